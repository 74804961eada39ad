"""What a SASL response says about who the peer is."""

import pytest

from amqpd.amqp.sasl import BadResponse, amqplain, plain
from amqpd.wire.tables import encode_fields


@pytest.mark.parametrize(
    ("response", "credentials"),
    [
        (b"\0guest\0secret", ("guest", b"secret")),
        (b"someone else\0guest\0secret", ("guest", b"secret")),
        (b"\0\0", ("", b"")),
        (b"\0caf\xc3\xa9\0\xff", ("café", b"\xff")),
        (b"\0\xff\0", ("\udcff", b"")),
    ],
)
def test_plain(response: bytes, credentials: tuple[str, bytes]) -> None:
    assert plain(response) == credentials


@pytest.mark.parametrize("response", [b"", b"guest", b"guest\0guest", b"\0guest\0se\0cret"])
def test_what_is_not_plain(response: bytes) -> None:
    with pytest.raises(BadResponse):
        plain(response)


def test_amqplain() -> None:
    assert amqplain(encode_fields({"LOGIN": "guest", "PASSWORD": "secret"})) == ("guest", b"secret")
    assert amqplain(encode_fields({"PASSWORD": "é", "LOGIN": "é", "x": 1})) == ("é", b"\xc3\xa9")


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"\0guest\0guest",
        b"\x05LOGINS\0\0\0\x09guest",
        encode_fields({"LOGIN": "guest"}),
        encode_fields({"LOGIN": "guest", "PASSWORD": 1}),
        encode_fields({"LOGIN": b"guest", "PASSWORD": "secret"}),
    ],
)
def test_what_is_not_amqplain(response: bytes) -> None:
    with pytest.raises(BadResponse):
        amqplain(response)
