"""A client that behaves badly costs itself, not its neighbours."""

import random
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

import pytest
from pika import spec
from pika.adapters.blocking_connection import BlockingChannel

from interop.blocking import Inbox, drain, publish
from interop.raw import PROTOCOL_HEADER, Peer, frame, method

OpenPeer = Callable[..., Peer]
MIB = 1 << 20


@pytest.fixture
def neighbour(channel: BlockingChannel) -> Callable[[], None]:
    """A well-behaved client, connected before the other's misdeeds; called, it shows that nothing disturbs it."""
    queue = channel.queue_declare("", exclusive=True).method.queue
    messages = [b"%d" % n for n in range(100)]

    def works() -> None:
        publish(channel, queue, messages)  # each confirmed before the next
        assert drain(channel, queue) == messages

    return works


@pytest.fixture
def queue(channel: BlockingChannel, unique: Callable[[str], str]) -> str:
    name = unique("shared")
    channel.queue_declare(name)
    return name


@pytest.fixture
def stuck_consumer(peer: OpenPeer, queue: str) -> Callable[[int], Peer]:
    """Starts a consumer of ``queue`` that reads no delivery, and of which the kernel takes in next to nothing."""

    def start(prefetch_count: int) -> Peer:
        stuck = peer(receive_buffer=16 * 1024).open()
        stuck.open_channel()
        stuck.call(1, spec.Basic.Qos(prefetch_count=prefetch_count), spec.Basic.QosOk)
        stuck.call(1, spec.Basic.Consume(queue=queue), spec.Basic.ConsumeOk)
        return stuck

    return start


def test_a_consumer_that_stops_reading(
    stuck_consumer: Callable[[int], Peer], neighbour: Callable[[], None], channel: BlockingChannel, queue: str
) -> None:
    """64 MiB are for it, and it reads none of them: publishers and others work on. When it reads, it gets all."""
    stuck = stuck_consumer(0)
    for n in range(64):
        channel.basic_publish("", queue, n.to_bytes(4, "big") + bytes(MIB - 4))  # each confirmed before the next
    neighbour()

    for n in range(64):
        _, body = stuck.expect_message(spec.Basic.Deliver)
        assert (int.from_bytes(body[:4], "big"), len(body)) == (n, MIB)


def test_others_of_the_same_queue_go_on(
    stuck_consumer: Callable[[int], Peer], channel: BlockingChannel, queue: str
) -> None:
    """A prefetch bounds what the stuck consumer withholds; all else goes to others, and in the end that too.

    It withholds its prefetch, or fewer where the broker stops delivering to a peer that does not read.
    """
    stuck = stuck_consumer(5)
    bodies = [n.to_bytes(4, "big") + bytes(MIB // 4) for n in range(40)]
    publish(channel, queue, bodies)
    inbox = Inbox(channel, queue, auto_ack=True)
    inbox.wait(35)
    stuck.close()
    messages = inbox.wait(40)
    returned = [message.body for message in messages if message.method.redelivered]
    at_once = [message.body for message in messages if not message.method.redelivered]
    assert 1 <= len(returned) <= 5
    assert at_once == sorted(at_once)
    assert sorted(returned + at_once) == bodies


@pytest.mark.parametrize(
    "garbage",
    [
        random.Random(1).randbytes(200_000),
        PROTOCOL_HEADER + random.Random(2).randbytes(200_000),
        PROTOCOL_HEADER + frame(1, 0, bytes(100)),
        b"AMQP",
        b"",
    ],
    ids=["noise", "noise after the header", "no method", "half a header", "nothing at all"],
)
def test_garbage_instead_of_a_handshake(peer: OpenPeer, neighbour: Callable[[], None], garbage: bytes) -> None:
    stranger = peer()
    send_as_far_as_it_goes(stranger, garbage)
    neighbour()
    stranger.close()
    neighbour()


@pytest.mark.parametrize(
    "garbage",
    [
        random.Random(3).randbytes(200_000),
        frame(1, 1, b"\xff\xff\xff\xff"),
        frame(1, 1, b""),
        frame(2, 1, b"\x00"),
        b"\x03\x00\x01\xff\xff\xff\xff",
        method(1, spec.Basic.Publish(exchange="", routing_key="x")) + frame(2, 1, b"\x00\x3c" + b"\xff" * 12),
    ],
    ids=["noise", "no such method", "empty method", "cut header", "4 GiB frame", "body of 16 EiB"],
)
def test_garbage_on_an_open_channel(peer: OpenPeer, neighbour: Callable[[], None], garbage: bytes) -> None:
    vandal = peer().open()
    vandal.open_channel()
    send_as_far_as_it_goes(vandal, garbage)
    neighbour()
    vandal.close()
    neighbour()


def test_a_connection_reset_in_the_middle_of_a_message(peer: OpenPeer, neighbour: Callable[[], None]) -> None:
    vandal = peer().open()
    vandal.open_channel()
    queue = vandal.declare_queue(exclusive=True)
    vandal.send(
        method(1, spec.Basic.Publish(exchange="", routing_key=queue)),
        frame(2, 1, struct.pack(">HHQH", 60, 0, MIB, 0)),
        frame(3, 1, bytes(100_000))[:50_000],
    )
    vandal.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST, not FIN
    vandal.close()
    neighbour()


def send_as_far_as_it_goes(sender: Peer, garbage: bytes) -> None:
    with suppress(OSError):  # the broker may have had enough before the end
        sender.send(garbage)
