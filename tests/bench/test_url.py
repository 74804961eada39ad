import pytest

from amqpd.bench.url import BrokerURL, parse_url


@pytest.mark.parametrize(
    ("url", "parsed"),
    [
        ("amqp://", BrokerURL("127.0.0.1", 5672, "guest", "guest", "/")),
        ("amqp://host", BrokerURL("host", 5672, "guest", "guest", "/")),
        ("amqp://me:s%40crt@host:1/%2F", BrokerURL("host", 1, "me", "s@crt", "/")),
        ("amqp://[::1]:5673/a%2Fb", BrokerURL("::1", 5673, "guest", "guest", "a/b")),
    ],
)
def test_parts(url: str, parsed: BrokerURL) -> None:
    assert parse_url(url) == parsed


@pytest.mark.parametrize("url", ["amqps://host", "host:5672", "amqp://host:port"])
def test_what_is_no_url_of_amqp(url: str) -> None:
    with pytest.raises(ValueError, match=r"amqp://|[Pp]ort"):
        parse_url(url)


def test_text_has_no_password() -> None:
    assert str(parse_url("amqp://me:secret@[::1]:5673/a")) == "[::1]:5673/a"
