"""Conversations with a broker, written down as they go: what arrives, and what the broker sends.

    peer >> (1, QueueDeclare(queue="q"))
    peer << (1, QueueDeclareOk(queue="q"))

``>>`` is what the peer says, ``<<`` what it hears next: nothing comes in between, and nothing more at the end of the
test. What is said or heard is one of:

- ``(channel, method)``, a method frame;
- ``(channel, method, body)`` or ``(channel, method, body, properties)``, a method with its content, in as many frames
  as the peer's frame_max makes of it;
- a :class:`Frame`, for what is no method frame, or a wrong one; and to say only, octets;
- to hear only: :class:`Confirmed`, :data:`NOTHING` and :data:`END`.

What is said between two looks at the answers goes to the broker in one read, octet by octet, or split anywhere: that is
the stage's ``split``, and every test is played with each of them. What the broker sends must be the same. Each octet of
it is looked at: frames in the wrong form or too large, contents that stop short, and words after a close fail any test.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from amqpd.amqp.connection import Connection
from amqpd.amqp.limits import Limits
from amqpd.broker.broker import Broker
from amqpd.wire import methods
from amqpd.wire.constants import (
    FRAME_BODY,
    FRAME_END,
    FRAME_HEAD_SIZE,
    FRAME_HEADER,
    FRAME_HEARTBEAT,
    FRAME_METHOD,
    FRAME_MIN_SIZE,
    FRAME_OVERHEAD,
    PROTOCOL_HEADER,
)
from amqpd.wire.methods import Method, decode_method, encode_method
from amqpd.wire.properties import Properties, decode_properties, encode_header

TICK_S = 0.5
"""The time passes in steps of this, as it does in the server."""


# What is said and heard -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frame:
    """A frame by its parts. ``size`` and ``end`` are what it says of itself, the truth unless given."""

    kind: int
    channel: int
    payload: bytes = b""
    size: int | None = None
    end: int = FRAME_END

    def __bytes__(self) -> bytes:
        size = len(self.payload) if self.size is None else self.size
        head = self.kind.to_bytes(1, "big") + self.channel.to_bytes(2, "big") + size.to_bytes(4, "big")
        return head + self.payload + bytes((self.end,))


@dataclass(frozen=True)
class Confirmed:
    """Confirms of the publishes from ``first`` to ``last``, in as many basic.ack as it pleases the broker."""

    channel: int
    first: int
    last: int


NOTHING = "nothing"
END = "the end: all was said, and the server may close the socket"

HEARTBEAT = Frame(FRAME_HEARTBEAT, 0)

Blame = type[Method] | None
Item = tuple[Any, ...] | Frame | bytes | Confirmed | str


def method_frame(channel: int, method: Method) -> Frame:
    return Frame(FRAME_METHOD, channel, encode_method(method))


def header_frame(channel: int, size: int, properties: Properties | None = None) -> Frame:
    return Frame(FRAME_HEADER, channel, encode_header(size, properties or Properties()))


def body_frame(channel: int, body: bytes) -> Frame:
    return Frame(FRAME_BODY, channel, body)


def frames(item: Item, frame_max: int = FRAME_MIN_SIZE) -> Iterator[Frame]:
    """The frames of a thing to say."""
    if isinstance(item, Frame):
        yield item
        return
    assert isinstance(item, tuple), item
    channel, method, *content = item
    yield method_frame(channel, method)
    if content:
        body, *properties = content
        yield header_frame(channel, len(body), *properties)
        size = frame_max - FRAME_OVERHEAD
        for start in range(0, len(body), size):
            yield body_frame(channel, body[start : start + size])


def octets(item: Item, frame_max: int = FRAME_MIN_SIZE) -> bytes:
    return item if isinstance(item, bytes) else b"".join(map(bytes, frames(item, frame_max)))


def channel_close(channel: int, code: int, text: str, blame: Blame) -> Item:
    return channel, methods.ChannelClose(code, text, *_ids(blame))


def connection_close(code: int, text: str, blame: Blame) -> Item:
    return 0, methods.ConnectionClose(code, text, *_ids(blame))


def _ids(blame: Blame) -> tuple[int, int]:
    return (blame.class_id, blame.method_id) if blame else (0, 0)


# How octets arrive ----------------------------------------------------------------------------------------------------

Split = Callable[[bytes], Iterator[bytes]]


def in_one_read(data: bytes) -> Iterator[bytes]:
    yield data


def octet_by_octet(data: bytes) -> Iterator[bytes]:
    for octet in data:
        yield bytes((octet,))


class SplitAnywhere:
    """Splits at random places; the same ones each time a test is played."""

    def __init__(self, seed: int = 0) -> None:
        self._random = Random(seed)

    def __call__(self, data: bytes) -> Iterator[bytes]:
        start = 0
        while start < len(data):
            stop = start + self._random.choice((1, 2, 3, 7, 8, 20, 100, 5000))
            yield data[start:stop]
            start = stop


SPLITS: dict[str, Callable[[], Split]] = {
    "in one read": lambda: in_one_read,
    "octet by octet": lambda: octet_by_octet,
    "split anywhere": SplitAnywhere,
}


# Who takes part -------------------------------------------------------------------------------------------------------


class Stage:
    """A broker, the peers that talk to it, and a clock. Names that the broker makes are amq.gen-1, amq.ctag-2..."""

    def __init__(self, split: Split = in_one_read, limits: Limits | None = None, **broker: Any) -> None:
        tokens = count(1)
        self.now = 1000.0
        self.broker = Broker(make_token=lambda: str(next(tokens)), clock=lambda: int(self.now * 1000), **broker)
        self.broker.alarms.changed = self._pass_on_alarms
        self.limits = limits or Limits()
        self.peers: list[Peer] = []
        self.bugs: list[Exception] = []
        """What was reported as an internal error. A test that wants one takes it out."""
        self.split = split
        self._said: list[tuple[Peer, bytes]] = []

    def stranger(self, loopback: bool = True, limits: Limits | None = None) -> Peer:
        """Someone who has opened a socket and said nothing yet."""
        peer = Peer(self, limits or self.limits, loopback)
        self.peers.append(peer)
        return peer

    def connect(self, channels: int = 1, frame_max: int = 131072, heartbeat: int = 0, **login: Any) -> Peer:
        """Someone who has opened a connection, and channels 1, 2..."""
        peer = self.stranger()
        peer.log_in(**login)
        peer >> (0, methods.ConnectionTuneOk(2047, frame_max, heartbeat)) >> (0, methods.ConnectionOpen())
        peer << (0, methods.ConnectionOpenOk())
        for number in range(1, channels + 1):
            peer >> (number, methods.ChannelOpen())
            peer << (number, methods.ChannelOpenOk())
        return peer

    def say(self, peer: Peer, data: bytes) -> None:
        """It arrives when someone looks at the answers, together with what the same peer said just before."""
        if self._said and self._said[-1][0] is peer:
            data = self._said.pop()[1] + data
        self._said.append((peer, data))

    def deliver(self) -> None:
        """What was said arrives, as far as it is read, and what the broker answers is written to the sockets."""
        said, self._said = self._said, []
        for peer in self.peers:
            peer.arrive()
        for peer, data in said:
            peer.unread += self.split(data)
            peer.arrive()

    def write(self) -> None:
        for peer in self.peers:
            peer.write()

    def sync(self) -> None:
        """All that was handed to the store is safe now."""
        self.deliver()
        store, agenda = self.broker.store, self.broker.agenda
        store.advance(store.written, agenda)
        agenda.settle()
        self.write()

    def _pass_on_alarms(self) -> None:
        for peer in self.peers:
            peer.connection.alarms_changed()
        self.write()

    def wait(self, seconds: float) -> None:
        """The time passes."""
        self.deliver()
        end = self.now + seconds
        while self.now < end:
            self.now = min(self.now + TICK_S, end)
            for peer in self.peers:
                peer.connection.tick(self.now)
            self.broker.timers.run()
            self.write()

    def end(self) -> None:
        """Nothing was left unsaid."""
        self.deliver()
        for peer in self.peers:
            assert not peer.heard, f"not looked at: {list(peer.heard)}"
        for bug in self.bugs:
            raise bug


@dataclass(eq=False)
class Peer:
    """One side of a conversation, the other being a connection of the broker.

    ``reads`` False plays a peer that does not read: nothing is taken from its outbox any more. ``unread`` is what it
    has said while the broker did not want to read it. ``sizes`` has the payload sizes of all body frames heard.
    """

    stage: Stage
    limits: Limits
    loopback: bool = True
    reads: bool = True
    frame_max: int = FRAME_MIN_SIZE
    heard: deque[Item] = field(default_factory=deque)
    unread: deque[bytes] = field(default_factory=deque)
    reports: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._woken = False
        self._octets = b""
        self._content: list[Any] = []
        self._missing = 0
        self._closed = False
        self.connection = Connection(
            self.stage.broker, self.limits, self._wake, self._report, self.stage.now, self.loopback
        )

    def __rshift__(self, item: Item) -> Peer:
        """The peer says this."""
        self.stage.say(self, octets(item, self.frame_max))
        if isinstance(item, tuple) and isinstance(item[1], methods.ConnectionTuneOk):
            self.frame_max = item[1].frame_max
        return self

    def __lshift__(self, item: Item) -> Peer:
        """The peer hears this next."""
        self.stage.deliver()
        if item is NOTHING:
            assert not self.heard, f"heard {self.heard[0]}"
            assert not self.connection.finished, "the connection is finished"
        elif item is END:
            assert not self.heard, f"heard {self.heard[0]}"
            assert self.connection.finished, "the connection is not finished"
        elif isinstance(item, Confirmed):
            self._hear_confirms(item)
        else:
            heard = self.heard.popleft() if self.heard else NOTHING
            assert heard == item
        return self

    def _hear_confirms(self, expected: Confirmed) -> None:
        due = expected.first
        while due <= expected.last:
            assert self.heard, f"confirmed before {due}, and no more is heard"
            channel, ack = self.heard.popleft()
            assert channel == expected.channel
            assert isinstance(ack, methods.BasicAck)
            assert ack.delivery_tag == due or (ack.delivery_tag > due and ack.multiple)
            due = ack.delivery_tag + 1
        assert due == expected.last + 1

    def log_in(self, user: str = "guest", password: str = "guest", **capabilities: bool) -> None:
        """From the protocol header to connection.tune."""
        self >> PROTOCOL_HEADER
        self.hear(methods.ConnectionStart)
        self >> (0, start_ok(user, password, **capabilities))
        self.hear(methods.ConnectionTune)

    def hear(self, expected: type[Method]) -> Any:
        """What the peer hears next is a method of this kind; returned, for whoever wants to look into it."""
        self.stage.deliver()
        assert self.heard, f"{expected.name} is not heard"
        _, method, *_ = self.heard.popleft()
        assert isinstance(method, expected)
        return method

    def hear_all(self) -> list[Item]:
        """All that there is to hear."""
        self.stage.deliver()
        heard = list(self.heard)
        self.heard.clear()
        return heard

    def read_again(self) -> None:
        """The peer takes up reading: all that was on its way comes, and what it makes room for."""
        self.reads = True
        self.connection.outbox.stalled = False
        self.stage.deliver()
        self.connection.resume()
        self.stage.write()

    # The server's part: from the peer to the connection, and from the outbox to the peer

    def arrive(self) -> None:
        """As a server does it: what the peer has said is read as long as it is wanted."""
        while self.unread and self.connection.readable:
            self.connection.receive_data(self.unread.popleft())
            self.stage.write()

    def write(self) -> None:
        """As a server does it: what waits is sent, and if that made room, or a reply had to wait, it goes on."""
        while self.reads:
            was_full = self.connection.outbox.room() <= 0
            data = b"".join(self.connection.outbox.take())
            if data:
                assert self._woken, "the server was not told that there is something to send"
                self._woken = False
                self.connection.sent()
                self._octets += data
                self._read()
            if self.connection.outbox.stalled:
                break
            if was_full:
                self.connection.resume()
            elif self.connection.left_off:
                self.connection.go_on()
            else:
                break

    def _wake(self) -> None:
        assert not self._woken, "the server was told twice"
        self._woken = True

    def _report(self, event: str, **fields: Any) -> None:
        if event == "internal_error":
            self.stage.bugs.append(fields["error"])
        self.reports.append((event, fields))

    def _read(self) -> None:
        """Turn octets into things heard. Whatever is wrong with them fails the test."""
        data, offset = self._octets, 0
        if data.startswith(b"AMQP"):
            self.heard.append(data[:8])
            offset = 8
        while len(data) - offset >= FRAME_OVERHEAD:
            size = int.from_bytes(data[offset + 3 : offset + FRAME_HEAD_SIZE], "big")
            start = offset + FRAME_HEAD_SIZE
            assert size + FRAME_OVERHEAD <= self.frame_max, "larger than agreed"
            assert len(data) > start + size, "the broker wrote half a frame"
            assert data[start + size] == FRAME_END
            channel = int.from_bytes(data[offset + 1 : offset + 3], "big")
            self._read_frame(Frame(data[offset], channel, data[start : start + size]))
            offset = start + size + 1
        self._octets = data[offset:]
        assert not self._octets, "the broker wrote half a frame"

    def _read_frame(self, frame: Frame) -> None:
        kind, channel = frame.kind, frame.channel
        if kind == FRAME_METHOD:
            assert not self._content, "a method in the middle of a content"
            method = decode_method(frame.payload)
            assert not self._closed or isinstance(method, methods.ConnectionCloseOk), f"{method} after the close"
            self._closed = self._closed or isinstance(method, methods.ConnectionClose | methods.ConnectionCloseOk)
            if isinstance(method, methods.BasicDeliver | methods.BasicGetOk | methods.BasicReturn):
                self._content = [channel, method]
            else:
                self.heard.append((channel, method))
        elif kind == FRAME_HEADER:
            assert len(self._content) == 2, "a content header that belongs to no method"
            assert channel == self._content[0]
            properties = decode_properties(frame.payload)
            self._missing = int.from_bytes(frame.payload[4:12], "big")
            self._content += [b"", properties] if properties != Properties() else [b""]
            self._end_of_content()
        elif kind == FRAME_BODY:
            assert len(self._content) > 2, "a body that belongs to no content header"
            assert channel == self._content[0]
            assert 0 < len(frame.payload) <= self._missing
            self.sizes.append(len(frame.payload))
            self._missing -= len(frame.payload)
            self._content[2] += frame.payload
            self._end_of_content()
        else:
            assert frame == HEARTBEAT
            self.heard.append(frame)

    def _end_of_content(self) -> None:
        if not self._missing:
            self.heard.append(tuple(self._content))
            self._content = []


def start_ok(user: str = "guest", password: str = "guest", **capabilities: bool) -> methods.ConnectionStartOk:
    """A login by PLAIN."""
    response = b"\0%b\0%b" % (user.encode(), password.encode())
    return methods.ConnectionStartOk({"capabilities": dict(capabilities)}, "PLAIN", response)
