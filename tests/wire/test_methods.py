"""Methods: exact octets, both ways, against pika's own codec, and against hostile bytes."""

import dataclasses
from typing import Any

import pika.spec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.errors import AMQPError, FrameError, MalformedArguments, NotImplementedByServer
from amqpd.wire import methods
from amqpd.wire.methods import METHODS, Method, decode_method, encode_method
from tests.wire.strategies import any_methods, exact, nearly

# Payloads of method frames, written down from the specification: class id, method id, and each argument's octets.
PAYLOADS = [
    (
        methods.ConnectionStart(0, 9, {"product": "x"}, b"PLAIN", b"en_US"),
        [
            b"\x00\x0a\x00\x0a",
            b"\x00",
            b"\x09",
            b"\x00\x00\x00\x0e\x07productS\x00\x00\x00\x01x",
            b"\x00\x00\x00\x05PLAIN",
            b"\x00\x00\x00\x05en_US",
        ],
    ),
    (
        methods.ConnectionStartOk(response=b"\x00guest\x00guest"),
        [
            b"\x00\x0a\x00\x0b",
            b"\x00\x00\x00\x00",
            b"\x05PLAIN",
            b"\x00\x00\x00\x0c\x00guest\x00guest",
            b"\x05en_US",
        ],
    ),
    (
        methods.ConnectionTune(channel_max=2047, frame_max=131072, heartbeat=60),
        [b"\x00\x0a\x00\x1e", b"\x07\xff", b"\x00\x02\x00\x00", b"\x00\x3c"],
    ),
    (methods.ConnectionOpen("/"), [b"\x00\x0a\x00\x28", b"\x01/", b"\x00", b"\x00"]),
    (
        methods.ConnectionClose(200, "bye", failing_class_id=60, failing_method_id=40),
        [b"\x00\x0a\x00\x32", b"\x00\xc8", b"\x03bye", b"\x00\x3c", b"\x00\x28"],
    ),
    (methods.ConnectionCloseOk(), [b"\x00\x0a\x00\x33"]),
    (methods.ConnectionBlocked("low on memory"), [b"\x00\x0a\x00\x3c", b"\x0dlow on memory"]),
    (
        methods.ConnectionUpdateSecret(b"new", "old"),
        [b"\x00\x0a\x00\x46", b"\x00\x00\x00\x03new", b"\x03old"],
    ),
    (methods.ChannelOpenOk(), [b"\x00\x14\x00\x0b", b"\x00\x00\x00\x00"]),
    (methods.ChannelFlow(active=True), [b"\x00\x14\x00\x14", b"\x01"]),
    (
        methods.ExchangeDeclare(exchange="e", type="topic", durable=True, internal=True),
        [b"\x00\x28\x00\x0a", b"\x00\x00", b"\x01e", b"\x05topic", b"\x0a", b"\x00\x00\x00\x00"],
    ),
    (
        methods.QueueDeclare(queue="q", durable=True, no_wait=True, arguments={"x-max-length": 5}),
        [
            b"\x00\x32\x00\x0a",
            b"\x00\x00",
            b"\x01q",
            b"\x12",
            b"\x00\x00\x00\x12\x0cx-max-lengthI\x00\x00\x00\x05",
        ],
    ),
    (
        methods.QueueDeclareOk("q", message_count=1, consumer_count=2),
        [b"\x00\x32\x00\x0b", b"\x01q", b"\x00\x00\x00\x01", b"\x00\x00\x00\x02"],
    ),
    (
        methods.BasicQos(prefetch_count=10, global_=True),
        [b"\x00\x3c\x00\x0a", b"\x00\x00\x00\x00", b"\x00\x0a", b"\x01"],
    ),
    (
        methods.BasicPublish(exchange="e", routing_key="\udcff", immediate=True),
        [b"\x00\x3c\x00\x28", b"\x00\x00", b"\x01e", b"\x01\xff", b"\x02"],
    ),
    (
        methods.BasicDeliver("ctag", 2, True, "e", "k"),
        [b"\x00\x3c\x00\x3c", b"\x04ctag", b"\x00\x00\x00\x00\x00\x00\x00\x02", b"\x01", b"\x01e", b"\x01k"],
    ),
    (methods.BasicAck(1), [b"\x00\x3c\x00\x50", b"\x00\x00\x00\x00\x00\x00\x00\x01", b"\x00"]),
    (
        methods.BasicNack(2**64 - 1, multiple=True, requeue=True),
        [b"\x00\x3c\x00\x78", b"\xff\xff\xff\xff\xff\xff\xff\xff", b"\x03"],
    ),
    (methods.ConfirmSelect(no_wait=True), [b"\x00\x55\x00\x0a", b"\x01"]),
    (methods.TxCommitOk(), [b"\x00\x5a\x00\x15"]),
]
each_payload = pytest.mark.parametrize(
    ("method", "payload"),
    [pytest.param(method, b"".join(octets), id=method.name) for method, octets in PAYLOADS],
)


@each_payload
def test_a_method_has_its_octets(method: Method, payload: bytes) -> None:
    assert encode_method(method) == payload
    assert decode_method(payload) == method


TABLES = {"arguments", "client_properties", "server_properties"}


@given(any_methods)
def test_a_method_comes_back_as_it_was(method: Method) -> None:
    payload = encode_method(method)

    decoded = decode_method(payload)

    assert type(decoded) is type(method)
    assert encode_method(decoded) == payload
    for name in method.__slots__:
        if name not in TABLES:  # test_tables.py says how far their values come back as they were
            assert exact(getattr(decoded, name)) == exact(getattr(method, name))


def test_every_method_of_pika_is_here_under_its_name() -> None:
    names = {index: method.NAME for index, method in pika.spec.methods.items()}

    assert {index: method.name.title().replace("-", "") for index, method in METHODS.items()} == names


def _default(field: dataclasses.Field[Any]) -> Any:
    """The default of an argument; it has the type that all its values have."""
    return {} if field.default is dataclasses.MISSING else field.default


# Values that any domain of that type holds, and that pika writes in tables with the tags we do.
SIMPLE: dict[type, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: st.integers(0, 255),
    str: st.text("abc.é", max_size=20),
    bytes: st.text("abc.", max_size=20).map(str.encode),
    dict: st.dictionaries(st.text("abc", max_size=4), st.booleans() | st.text("abc") | st.integers(-9, 9)),
}


# pika puts the secret it reads into another attribute than the one it writes.
READ_BY_PIKA = [method for method in METHODS.values() if method is not methods.ConnectionUpdateSecret]


@pytest.mark.parametrize("method", READ_BY_PIKA, ids=lambda method: method.name)
@given(data=st.data())
def test_pika_reads_and_writes_the_same_octets(method: type[Method], data: st.DataObject) -> None:
    defaults = {field.name: _default(field) for field in dataclasses.fields(method)}  # type: ignore[arg-type]
    arguments = {
        name: default if name.startswith("reserved_") else data.draw(SIMPLE[type(default)])
        for name, default in defaults.items()
    }
    payload = encode_method(method(**arguments))

    theirs = pika.spec.methods[method.class_id << 16 | method.method_id]
    decoded = theirs.__new__(theirs).decode(payload, 4)

    assert b"".join(decoded.encode()) == payload[4:]


def test_methods_do_not_change() -> None:
    method = methods.QueueDeclare(queue="q")

    with pytest.raises(dataclasses.FrozenInstanceError):
        method.queue = "other"  # type: ignore[misc]


def test_reserved_bits_are_not_looked_at() -> None:
    assert decode_method(b"\x00\x3c\x00\x50\x00\x00\x00\x00\x00\x00\x00\x01\xfe") == methods.BasicAck(1)


# Hostile bytes --------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=40) | nearly(any_methods.map(encode_method)))
def test_any_bytes_are_a_method_or_a_connection_error(payload: bytes) -> None:
    try:
        method = decode_method(payload)
    except (FrameError, MalformedArguments, NotImplementedByServer):
        return
    assert isinstance(method, METHODS[int.from_bytes(payload[:4], "big")])


def refusal(payload: bytes) -> AMQPError:
    with pytest.raises(AMQPError) as refused:
        decode_method(payload)
    return refused.value


@each_payload
def test_a_payload_cut_off_anywhere_or_too_long_is_malformed(method: Method, payload: bytes) -> None:
    for wrong in [payload[:size] for size in range(4, len(payload))] + [payload + b"\x00"]:
        error = refusal(wrong)
        assert error.code == 502
        assert (error.class_id, error.method_id) == (method.class_id, method.method_id)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (b"\x00", "reserved_1: stream read less than specified amount, expected 2, found 1"),
        (b"\x00\x00\x05ab", "queue: stream read less than specified amount, expected 5, found 2"),
        (b"\x00\x00\x01\xe9\x00\x00\x00\x00\x00", "Malformed UTF-8 in shortstr"),
        (b"\x00\x00\x00\x00\x00\x00\x00\x03\x01aZ", "unknown field type b'Z'"),
        (b"\x00\x00\x00\x00\x00\x00\x00\x00\x00", "expected end of stream"),
    ],
)
def test_malformed_arguments_are_told_what_is_wrong(arguments: bytes, complaint: str) -> None:
    error = refusal(b"\x00\x32\x00\x0a" + arguments)

    assert error.reply_text == f"SYNTAX_ERROR - cannot decode queue.declare: {complaint}"


@pytest.mark.parametrize(("class_id", "method_id"), [(0, 0), (10, 99), (50, 12), (65535, 65535)])
def test_a_method_that_nobody_knows_is_not_implemented(class_id: int, method_id: int) -> None:
    error = refusal(class_id.to_bytes(2, "big") + method_id.to_bytes(2, "big"))

    assert error.reply_text == f"NOT_IMPLEMENTED - unknown method {class_id}.{method_id}"
    assert (error.code, error.class_id, error.method_id) == (540, class_id, method_id)


def test_a_payload_too_short_to_name_a_method_is_no_frame() -> None:
    assert refusal(b"\x00\x32").reply_text == "FRAME_ERROR - type 1, all octets = <<0,50>>: unknown_frame"


# Arguments that no method can carry -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "complaint"),
    [
        (methods.QueueDeclare(queue="x" * 256), "cannot encode queue.declare: queue: "),
        (methods.ConnectionTune(channel_max=65536), "cannot encode connection.tune: channel_max: "),
        (methods.BasicAck(-1), "cannot encode basic.ack: delivery_tag: "),
        (methods.QueueDeclare(arguments={"n": 2**63}), "9223372036854775808 does not fit a field of type long"),
    ],
)
def test_an_argument_that_does_not_fit_is_the_callers_error(method: Method, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        encode_method(method)
