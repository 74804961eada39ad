"""The hot codec: exact octets, against the grammar in both directions, what an encoder remembers, and hostile bytes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from construct import GreedyRange, Terminated
from hypothesis import example, given
from hypothesis import strategies as st

from amqpd.errors import AMQPError, MalformedArguments
from amqpd.wire import fast, grammar, methods
from amqpd.wire.constants import FRAME_BODY, FRAME_END, FRAME_HEAD_SIZE, FRAME_HEADER, FRAME_METHOD
from amqpd.wire.methods import Method, decode_method, encode_method
from amqpd.wire.properties import encode_header
from tests.wire.strategies import (
    any_short_strings,
    exact,
    longlongs,
    methods_of,
    nearly,
    octets,
    properties,
    short_strings,
    shorts,
)


@dataclass
class Message:
    """A content as the codec takes it."""

    address: bytes
    header: bytes
    body: bytes


# No property, and the body's size.
HEADER_0 = b"\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
HEADER_5 = b"\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00"
HELLO = Message(b"\x01e\x03key", HEADER_5, b"hello")


# Into the broker: exact octets ----------------------------------------------------------------------------------------


def test_publish() -> None:
    payload = (
        b"\x00\x3c\x00\x28"  # class 60, method 40
        b"\x00\x00"  # reserved
        b"\x01e"  # exchange
        b"\x03key"  # routing key
        b"\x01"  # mandatory
    )

    assert fast.decode_publish(payload, 0, len(payload)) == (b"\x01e\x03key", True, False)


def test_publish_to_a_queue_has_no_name_of_an_exchange() -> None:
    payload = (
        b"\x00\x3c\x00\x28\x00\x00"
        b"\x00"  # exchange
        b"\x05queue"  # routing key
        b"\x02"  # immediate
    )

    assert fast.decode_publish(payload, 0, len(payload)) == (b"\x00\x05queue", False, True)


def test_ack() -> None:
    payload = (
        b"\x00\x3c\x00\x50"  # class 60, method 80
        b"\x00\x00\x00\x00\x00\x00\x00\x07"  # delivery tag
        b"\x01"  # multiple
    )

    assert fast.decode_ack(payload, 0, 13) == (7, True)


def test_nack() -> None:
    payload = (
        b"\x00\x3c\x00\x78"  # class 60, method 120
        b"\xff\xff\xff\xff\xff\xff\xff\xff"  # delivery tag
        b"\x02"  # requeue, not multiple
    )

    assert fast.decode_nack(payload, 0, 13) == (2**64 - 1, False, True)


def test_reject() -> None:
    payload = (
        b"\x00\x3c\x00\x5a"  # class 60, method 90
        b"\x00\x00\x00\x00\x00\x00\x01\x00"  # delivery tag
        b"\x01"  # requeue
    )

    assert fast.decode_reject(payload, 0, 13) == (256, True)


def test_the_frames_of_one_read_are_read_where_they_lie() -> None:
    data = (
        b"\x01\x00\x01\x00\x00\x00\x0e"  # a method on channel 1, 14 octets
        b"\x00\x3c\x00\x28\x00\x00\x00\x05queue\x00"
        b"\xce"
        b"\x02\x00\x01\x00\x00\x00\x0e"  # a content header
        b"\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00"
        b"\xce"
    )

    assert fast.unpack_frame_head(data, 0) == (FRAME_METHOD, 1, 14)
    assert fast.decode_publish(data, 7, 21) == (b"\x00\x05queue", False, False)
    assert fast.unpack_frame_head(data, 22) == (FRAME_HEADER, 1, 14)
    assert fast.body_size(data[29:43]) == 5


# Out of the broker: exact octets --------------------------------------------------------------------------------------


def test_a_frame() -> None:
    assert fast.encode_frame(8, 0, b"") == b"\x08\x00\x00\x00\x00\x00\x00\xce"
    assert fast.encode_frame(3, 258, b"hello") == b"\x03\x01\x02\x00\x00\x00\x05hello\xce"


def test_a_confirm() -> None:
    assert fast.encode_ack(1, 7, multiple=True) == (
        b"\x01\x00\x01\x00\x00\x00\x0d"
        b"\x00\x3c\x00\x50"  # class 60, method 80
        b"\x00\x00\x00\x00\x00\x00\x00\x07"  # delivery tag
        b"\x01"  # multiple
        b"\xce"
    )


def test_a_message_that_was_asked_for() -> None:
    assert fast.encode_get_ok(1, 7, True, HELLO.address, 3) == (
        b"\x01\x00\x01\x00\x00\x00\x17"
        b"\x00\x3c\x00\x47"  # class 60, method 71
        b"\x00\x00\x00\x00\x00\x00\x00\x07"  # delivery tag
        b"\x01"  # redelivered
        b"\x01e\x03key"
        b"\x00\x00\x00\x03"  # message count
        b"\xce"
    )


def test_a_message_that_comes_back() -> None:
    assert fast.encode_return(1, 312, "NO_ROUTE", HELLO.address) == (
        b"\x01\x00\x01\x00\x00\x00\x15"
        b"\x00\x3c\x00\x32"  # class 60, method 50
        b"\x01\x38"  # reply code
        b"\x08NO_ROUTE"  # reply text
        b"\x01e\x03key"
        b"\xce"
    )


HEADER_FRAME_5 = b"\x02\x00\x01\x00\x00\x00\x0e" + HEADER_5 + b"\xce"


def test_a_content_in_two_body_frames() -> None:
    assert b"".join(fast.encode_content(1, HELLO, 3)) == (
        HEADER_FRAME_5
        + b"\x03\x00\x01\x00\x00\x00\x03hel\xce"  # no frame but the last has room left
        + b"\x03\x00\x01\x00\x00\x00\x02lo\xce"
    )


def test_two_deliveries() -> None:
    encoder = fast.DeliverEncoder(1, "ctag", 4088)
    content = HEADER_FRAME_5 + b"\x03\x00\x01\x00\x00\x00\x05hello\xce"
    first = (
        b"\x01\x00\x01\x00\x00\x00\x18"
        b"\x00\x3c\x00\x3c"  # class 60, method 60
        b"\x04ctag"  # consumer tag
        b"\x00\x00\x00\x00\x00\x00\x00\x07"  # delivery tag
        b"\x00"  # not redelivered
        b"\x01e\x03key"
        b"\xce"
    )
    second = (
        b"\x01\x00\x01\x00\x00\x00\x18"
        b"\x00\x3c\x00\x3c"
        b"\x04ctag"
        b"\x00\x00\x00\x00\x00\x00\x00\x08"  # the next delivery tag
        b"\x00"
        b"\x01e\x03key"
        b"\xce"
    )

    assert b"".join(encoder.encode(7, False, [HELLO, HELLO])) == first + content + second + content


def test_the_delivery_of_an_empty_message_has_no_body_frame() -> None:
    encoder = fast.DeliverEncoder(1, "ctag", 4088)

    assert b"".join(encoder.encode(7, True, [Message(b"\x00\x01q", HEADER_0, b"")])) == (
        b"\x01\x00\x01\x00\x00\x00\x15"
        b"\x00\x3c\x00\x3c"
        b"\x04ctag"
        b"\x00\x00\x00\x00\x00\x00\x00\x07"
        b"\x01"  # redelivered
        b"\x00\x01q"
        b"\xce"
        b"\x02\x00\x01\x00\x00\x00\x0e"
        b"\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
        b"\xce"
    )


# Decoders against the grammar -----------------------------------------------------------------------------------------


def short_string(text: str) -> bytes:
    data: bytes = grammar.ANY_SHORT_STRING.build(text)
    return data


def publish_by_grammar(payload: bytes) -> Any:
    publish = decode_method(payload)
    assert isinstance(publish, methods.BasicPublish)
    address = short_string(publish.exchange) + short_string(publish.routing_key)
    return address, publish.mandatory, publish.immediate


def acknowledgement_by_grammar(payload: bytes) -> Any:
    method = decode_method(payload)
    return tuple(getattr(method, name) for name in method.__slots__)


@dataclass
class Decoder:
    method: type[Method]
    ids: bytes
    by_hand: Callable[[bytes, int, int], Any]
    by_grammar: Callable[[bytes], Any]


DECODERS = [
    Decoder(methods.BasicPublish, fast.PUBLISH, fast.decode_publish, publish_by_grammar),
    Decoder(methods.BasicAck, fast.ACK, fast.decode_ack, acknowledgement_by_grammar),
    Decoder(methods.BasicNack, fast.NACK, fast.decode_nack, acknowledgement_by_grammar),
    Decoder(methods.BasicReject, fast.REJECT, fast.decode_reject, acknowledgement_by_grammar),
]
each_decoder = pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.method.name)


def verdict(decode: Callable[..., Any], *arguments: Any) -> Any:
    """What comes out: values with their types, or what the peer is told and of which method."""
    try:
        return exact(list(decode(*arguments)))
    except MalformedArguments as error:
        return error.code, error.class_id, error.method_id


@each_decoder
@given(data=st.data(), before=st.binary(max_size=20), after=st.binary(max_size=20))
def test_a_method_is_decoded_as_by_the_grammar_wherever_it_lies(
    decoder: Decoder, data: st.DataObject, before: bytes, after: bytes
) -> None:
    payload = encode_method(data.draw(methods_of(decoder.method)))
    start, stop = len(before), len(before) + len(payload)

    assert decoder.by_hand(before + payload + after, start, stop) == decoder.by_grammar(payload)


@each_decoder
@given(data=st.data(), before=st.binary(max_size=20), after=st.binary(max_size=20))
def test_any_arguments_are_the_same_to_hand_and_grammar_or_malformed_to_both(
    decoder: Decoder, data: st.DataObject, before: bytes, after: bytes
) -> None:
    valid = methods_of(decoder.method).map(lambda method: encode_method(method)[4:])
    payload = decoder.ids + data.draw(st.binary(max_size=16) | nearly(valid))
    start, stop = len(before), len(before) + len(payload)

    assert verdict(decoder.by_hand, before + payload + after, start, stop) == verdict(decoder.by_grammar, payload)


@each_decoder
def test_a_method_has_the_ids_it_is_looked_up_by(decoder: Decoder) -> None:
    assert encode_method(decoder.method())[:4] == decoder.ids


@each_decoder
def test_bits_without_a_name_may_be_anything(decoder: Decoder) -> None:
    payload = encode_method(decoder.method())

    for bits in range(256):
        changed = payload[:-1] + bytes((bits,))
        decoded = decoder.by_hand(changed, 0, len(changed))
        named = [flag for flag in decoded if isinstance(flag, bool)]
        assert named == [bits & 1 == 1, bits & 2 == 2][: len(named)]
        assert decoded == decoder.by_grammar(changed)


@each_decoder
def test_a_method_cut_off_anywhere_is_malformed(decoder: Decoder) -> None:
    payload = encode_method(decoder.method())
    malformed = (502, decoder.method.class_id, decoder.method.method_id)

    for stop in range(4, len(payload)):
        assert verdict(decoder.by_hand, payload[:stop], 0, stop) == malformed
        assert verdict(decoder.by_hand, payload, 0, stop) == malformed  # what it lacks lies in the next frame
    assert verdict(decoder.by_hand, payload + b"\x00", 0, len(payload) + 1) == malformed


@pytest.mark.parametrize(
    "arguments",
    [
        b"\x00\x00\xff",  # the exchange's name would end in the next frame
        b"\x00\x00\x00\xff",  # the routing key would
        b"\x00\x00\x05abcde",  # no routing key
        b"\x00\x00\x00\x05abcde",  # no bits
        b"\x00\x00\x00\x00\x00\x00",  # one octet left over
    ],
)
def test_names_that_do_not_fill_their_frame_are_malformed(arguments: bytes) -> None:
    payload = fast.PUBLISH + arguments

    with pytest.raises(MalformedArguments, match=r"cannot decode basic\.publish: its names do not end where it ends"):
        fast.decode_publish(payload + b"\xce" + bytes(600), 0, len(payload))


def test_a_malformed_acknowledgement_is_told_by_its_name() -> None:
    with pytest.raises(AMQPError) as refused:
        fast.decode_nack(fast.NACK + b"\x01", 0, 5)

    assert refused.value.reply_text == (
        "SYNTAX_ERROR - cannot decode basic.nack: it is not a delivery tag and an octet of bits"
    )


@given(st.binary(max_size=20), octets, shorts, st.binary(max_size=100))
def test_a_frame_head_is_unpacked_wherever_it_lies(before: bytes, kind: int, channel: int, payload: bytes) -> None:
    data = before + frame_by_grammar(kind, channel, payload)

    assert fast.unpack_frame_head(data, len(before)) == (kind, channel, len(payload))
    assert data[len(before) + FRAME_HEAD_SIZE :] == payload + bytes((FRAME_END,))


@given(longlongs, properties)
def test_a_header_says_how_large_its_body_is(body_size: int, properties: Any) -> None:
    header = encode_header(body_size, properties)

    assert fast.body_size(header) == grammar.CONTENT_HEADER.parse(header).body_size == body_size


# Encoders against the grammar -----------------------------------------------------------------------------------------


def frame_by_grammar(kind: int, channel: int, payload: bytes) -> bytes:
    data: bytes = grammar.FRAME.build({"type": kind, "channel": channel, "payload": payload})
    return data


def method_by_grammar(channel: int, method: Method) -> bytes:
    return frame_by_grammar(FRAME_METHOD, channel, encode_method(method))


def content_by_grammar(channel: int, message: Message, payload_max: int) -> bytes:
    """The header's frame, then as few frames as the body takes, all full but the last (4.2.6)."""
    parts = [message.body[start : start + payload_max] for start in range(0, len(message.body), payload_max)]
    bodies = [frame_by_grammar(FRAME_BODY, channel, part) for part in parts]
    return frame_by_grammar(FRAME_HEADER, channel, message.header) + b"".join(bodies)


@given(octets, shorts, st.binary(max_size=100))
def test_a_frame_is_that_of_the_grammar(kind: int, channel: int, payload: bytes) -> None:
    assert fast.encode_frame(kind, channel, payload) == frame_by_grammar(kind, channel, payload)


@given(shorts, methods_of(methods.BasicAck))
def test_a_confirm_is_that_of_the_grammar(channel: int, ack: methods.BasicAck) -> None:
    assert fast.encode_ack(channel, ack.delivery_tag, ack.multiple) == method_by_grammar(channel, ack)


@given(shorts, methods_of(methods.BasicGetOk))
def test_a_get_ok_is_that_of_the_grammar(channel: int, get_ok: methods.BasicGetOk) -> None:
    address = short_string(get_ok.exchange) + short_string(get_ok.routing_key)

    frame = fast.encode_get_ok(channel, get_ok.delivery_tag, get_ok.redelivered, address, get_ok.message_count)

    assert frame == method_by_grammar(channel, get_ok)


@given(shorts, shorts, short_strings, any_short_strings, any_short_strings)
def test_a_return_is_that_of_the_grammar(channel: int, code: int, text: str, exchange: str, routing_key: str) -> None:
    frame = fast.encode_return(channel, code, text, short_string(exchange) + short_string(routing_key))

    assert frame == method_by_grammar(channel, methods.BasicReturn(code, text, exchange, routing_key))


addresses = st.builds(
    lambda exchange, key: short_string(exchange) + short_string(key), any_short_strings, any_short_strings
)


def headers_of(body_size: int) -> st.SearchStrategy[bytes]:
    return st.builds(encode_header, st.just(body_size), properties)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    body = draw(st.binary(max_size=40))
    return Message(draw(addresses), draw(headers_of(len(body))), body)


@given(shorts, messages(), st.integers(1, 50))
@example(1, HELLO, 4)
@example(1, HELLO, 5)
@example(1, HELLO, 6)
def test_a_content_is_that_of_the_grammar(channel: int, message: Message, payload_max: int) -> None:
    content = b"".join(fast.encode_content(channel, message, payload_max))

    assert content == content_by_grammar(channel, message, payload_max)


@given(shorts, messages().filter(lambda message: message.body != b""))
def test_a_content_head_is_what_stands_before_a_body_in_one_frame(channel: int, message: Message) -> None:
    head = fast.encode_content_head(channel, message.header, len(message.body))

    assert head + message.body + b"\xce" == content_by_grammar(channel, message, len(message.body))


# Deliveries -----------------------------------------------------------------------------------------------------------


@dataclass
class Run:
    """The arguments of one call."""

    delivery_tag: int
    redelivered: bool
    messages: list[Message]


@dataclass
class Consumer:
    """What one consumer is delivered, from the first call to the last."""

    channel: int
    consumer_tag: str
    payload_max: int
    runs: list[Run]


def another(octets: bytes) -> bytes:
    """The same octets as another object."""
    return bytes(bytearray(octets))


@st.composite
def consumers(draw: st.DrawFn) -> Consumer:
    """Runs of messages with few different addresses and headers, which are shared between messages or only alike."""
    payload_max = draw(st.integers(1, 12))
    some_addresses = draw(st.lists(addresses, min_size=1, max_size=2))
    sizes = st.sampled_from([0, 1, payload_max, payload_max + 1, 3 * payload_max - 1])
    some_headers = draw(st.lists(sizes.flatmap(headers_of), min_size=1, max_size=3))

    def message(address: bytes, header: bytes) -> st.SearchStrategy[Message]:
        size = fast.body_size(header)
        bodies = st.binary(min_size=size, max_size=size)
        return st.builds(
            Message, st.sampled_from([address, another(address)]), st.sampled_from([header, another(header)]), bodies
        )

    each = st.tuples(st.sampled_from(some_addresses), st.sampled_from(some_headers)).flatmap(lambda of: message(*of))
    runs = st.builds(Run, st.integers(0, 2**64 - 10), st.booleans(), st.lists(each, max_size=5))
    return Consumer(draw(shorts), draw(any_short_strings), payload_max, draw(st.lists(runs, min_size=1, max_size=4)))


def deliveries_by_grammar(consumer: Consumer, run: Run) -> bytes:
    frames = b""
    for delivery_tag, message in enumerate(run.messages, run.delivery_tag):
        names = grammar.ANY_SHORT_STRING[2].parse(message.address)
        deliver = methods.BasicDeliver(consumer.consumer_tag, delivery_tag, run.redelivered, *names)
        frames += method_by_grammar(consumer.channel, deliver)
        frames += content_by_grammar(consumer.channel, message, consumer.payload_max)
    return frames


@given(consumers())
def test_deliveries_are_those_of_the_grammar_whatever_came_before(consumer: Consumer) -> None:
    encoder = fast.DeliverEncoder(consumer.channel, consumer.consumer_tag, consumer.payload_max)

    for run in consumer.runs:
        chunks = encoder.encode(run.delivery_tag, run.redelivered, run.messages)

        assert b"".join(chunks) == deliveries_by_grammar(consumer, run)


def frames_of(chunks: Sequence[fast.Chunk]) -> list[Any]:
    """Type and payload of each frame, as the peer reads them; no octet is left over. Methods are decoded."""
    frames, _ = (GreedyRange(grammar.FRAME) >> Terminated).parse(b"".join(chunks))
    return [
        decode_method(frame.payload) if frame.type == FRAME_METHOD else (frame.type, frame.payload) for frame in frames
    ]


def test_each_delivery_has_the_next_tag_and_its_own_body() -> None:
    encoder = fast.DeliverEncoder(1, "ctag", 4088)
    bye = Message(HELLO.address, HELLO.header, b"bye!!")

    assert frames_of(encoder.encode(1, False, [HELLO, bye])) == [
        methods.BasicDeliver("ctag", 1, False, "e", "key"),
        (FRAME_HEADER, HEADER_5),
        (FRAME_BODY, b"hello"),
        methods.BasicDeliver("ctag", 2, False, "e", "key"),
        (FRAME_HEADER, HEADER_5),
        (FRAME_BODY, b"bye!!"),
    ]


def test_an_encoder_that_remembers_still_tells_what_is_redelivered() -> None:
    encoder = fast.DeliverEncoder(1, "ctag", 4088)

    first, again, third = (frames_of(encoder.encode(tag, tag == 2, [HELLO]))[0] for tag in (1, 2, 3))

    assert (first.redelivered, again.redelivered, third.redelivered) == (False, True, False)


def test_another_address_with_the_same_header_and_back() -> None:
    encoder = fast.DeliverEncoder(1, "ctag", 4088)
    elsewhere = Message(b"\x00\x05queue", HELLO.header, HELLO.body)

    delivered = frames_of(encoder.encode(1, False, [HELLO, elsewhere, HELLO]))[::3]

    assert [(deliver.exchange, deliver.routing_key) for deliver in delivered] == [
        ("e", "key"),
        ("", "queue"),
        ("e", "key"),
    ]


def test_bodies_of_no_frame_of_one_and_of_two_in_one_run() -> None:
    encoder = fast.DeliverEncoder(1, "ctag", 3)
    address = HELLO.address
    header_3 = HEADER_5[:11] + b"\x03\x00\x00"

    contents = [(HEADER_0, b""), (HEADER_5, b"hello"), (header_3, b"abc"), (HEADER_0, b""), (HEADER_5, b"hello")]
    frames = frames_of(encoder.encode(1, False, [Message(address, header, body) for header, body in contents]))

    assert [frame for frame in frames if isinstance(frame, tuple)] == [
        (FRAME_HEADER, HEADER_0),
        (FRAME_HEADER, HEADER_5),
        (FRAME_BODY, b"hel"),
        (FRAME_BODY, b"lo"),
        (FRAME_HEADER, header_3),
        (FRAME_BODY, b"abc"),
        (FRAME_HEADER, HEADER_0),
        (FRAME_HEADER, HEADER_5),
        (FRAME_BODY, b"hel"),
        (FRAME_BODY, b"lo"),
    ]


def test_a_run_of_small_messages_is_one_chunk() -> None:
    encoder = fast.DeliverEncoder(1, "ctag", 4088)

    assert len(encoder.encode(1, False, [HELLO] * 10)) == 1


def test_a_body_of_many_frames_is_not_copied() -> None:
    encoder = fast.DeliverEncoder(1, "ctag", 3)

    for chunks in (encoder.encode(1, False, [HELLO]), fast.encode_content(1, HELLO, 3)):
        stretches = [chunk for chunk in chunks if isinstance(chunk, memoryview)]
        assert [bytes(stretch) for stretch in stretches] == [b"hel", b"lo"]
        assert all(stretch.obj is HELLO.body for stretch in stretches)
