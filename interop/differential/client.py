"""Clients that write down all that a broker answers.

A ``Client`` is a connection with one channel in confirm mode. Its methods are named for what an application does; each
waits for the broker's answer and writes one line of transcript: what was asked, and what came. An error is an answer
like any other: the channel (or the connection) is opened anew, and the scenario goes on. What the broker does
by itself, deliveries above all, is written down when the scenario asks for it, so that the order of lines is the
scenario's and not that of the broker's processes.

Only silence ends a scenario: what does not come within ``DEADLINE_S`` is written down as such, and raises ``Silence``.
"""

import socket
from collections import deque
from typing import Any, NamedTuple, TypeVar

import pika.frame
from pika import spec

from interop.differential.fields import Table, decode_properties, encode_properties, encode_table
from interop.differential.transcript import (
    Transcript,
    show,
    show_body,
    show_properties,
    show_table,
    with_last_death,
)
from interop.raw import Peer, frame, method

DEADLINE_S = 5.0  # far more than any wait in these tests, even where the brokers share a busy machine
CHANNEL = 1
BODY_FRAME_MAX = 131_064  # frame_max of 131,072 without the frame's own 8 octets

T = TypeVar("T")


class Silence(Exception):
    """The broker did not send what the scenario waits for."""


class Closed(Exception):
    """The broker closed the channel or the connection, as ``close`` says; None if it cut the connection."""

    def __init__(self, close: Any) -> None:
        self.close = close


class ContentHeader(NamedTuple):
    body_size: int
    properties: dict[str, Any]


class Message(NamedTuple):
    """A message as it came by deliver, get-ok or return, with that method."""

    method: Any
    properties: dict[str, Any]
    body: bytes

    @property
    def tag(self) -> int:
        """The delivery tag."""
        return int(self.method.delivery_tag)


class TypedPeer(Peer):
    """A peer whose content headers keep the types of their fields; ``server`` is what the broker says it is."""

    server: dict[str, Any]

    def receive(self) -> Any:
        while len(self._unread) < 7 or len(self._unread) < 8 + int.from_bytes(self._unread[3:7], "big"):
            data = self._read()
            if not data:
                return None
            self._unread += data
        size = 8 + int.from_bytes(self._unread[3:7], "big")
        received, self._unread = self._unread[:size], self._unread[size:]
        if received[0] == spec.FRAME_HEADER:
            return ContentHeader(int.from_bytes(received[11:19], "big"), decode_properties(received[19:-1]))
        decoded = pika.frame.decode_frame(received)[1]
        if isinstance(getattr(decoded, "method", None), spec.Connection.Start):
            self.server = decoded.method.server_properties
        return decoded


class Client:
    """One application at the broker; ``label`` says in the transcript which, where there are several."""

    def __init__(self, address: tuple[str, int], transcript: Transcript, label: str = "") -> None:
        self._address = address
        self._transcript = transcript
        self._label = label and label + "> "
        self._connect()

    # Topology

    def declare(self, queue: str = "", arguments: Table | None = None, **flags: bool) -> str:
        """Declare a queue; its name, empty if the broker refuses."""
        request = spec.Queue.Declare(queue=queue, **flags)
        answer = self._call(f"declare {named(queue, arguments, flags)}", request, spec.Queue.DeclareOk, arguments or {})
        return str(answer.queue) if answer else ""

    def count(self, queue: str) -> int:
        """Ask for the numbers of a queue's ready messages and consumers; gives the former.

        RabbitMQ answers this before acknowledgements and requeues that are on their way, and so not after them.
        """
        request = spec.Queue.Declare(queue=queue, passive=True)
        answer = self._call(f"count {queue}", request, spec.Queue.DeclareOk, {})
        return int(answer.message_count) if answer else 0

    def purge(self, queue: str) -> None:
        self._call(f"purge {queue}", spec.Queue.Purge(queue=queue), spec.Queue.PurgeOk)

    def delete(self, queue: str, **flags: bool) -> None:
        request = spec.Queue.Delete(queue=queue, **flags)
        self._call(f"delete {named(queue, None, flags)}", request, spec.Queue.DeleteOk)

    def declare_exchange(
        self, exchange: str, type_: str = "direct", arguments: Table | None = None, **flags: bool
    ) -> None:
        request = spec.Exchange.Declare(exchange=exchange, type=type_, **flags)
        what = f"declare exchange {named(exchange, arguments, flags)} of type {type_}"
        self._call(what, request, spec.Exchange.DeclareOk, arguments or {})

    def delete_exchange(self, exchange: str, **flags: bool) -> None:
        request = spec.Exchange.Delete(exchange=exchange, **flags)
        self._call(f"delete exchange {named(exchange, None, flags)}", request, spec.Exchange.DeleteOk)

    def bind(self, queue: str, exchange: str, key: str = "", arguments: Table | None = None) -> None:
        request = spec.Queue.Bind(queue=queue, exchange=exchange, routing_key=key)
        what = f"bind {queue} to {named(exchange, arguments)} with {key!r}"
        self._call(what, request, spec.Queue.BindOk, arguments or {})

    def unbind(self, queue: str, exchange: str, key: str = "", arguments: Table | None = None) -> None:
        request = spec.Queue.Unbind(queue=queue, exchange=exchange, routing_key=key)
        what = f"unbind {queue} from {named(exchange, arguments)} with {key!r}"
        self._call(what, request, spec.Queue.UnbindOk, arguments or {})

    def bind_exchange(self, exchange: str, source: str, key: str = "", arguments: Table | None = None) -> None:
        request = spec.Exchange.Bind(destination=exchange, source=source, routing_key=key)
        what = f"bind exchange {exchange} to {named(source, arguments)} with {key!r}"
        self._call(what, request, spec.Exchange.BindOk, arguments or {})

    # Messages

    def publish(self, exchange: str, key: str, body: bytes | str, mandatory: bool = False, **properties: Any) -> None:
        """Publish and wait for the confirm. ``properties`` by their AMQP names, headers as a table."""
        body = body.encode() if isinstance(body, str) else body
        what = f"publish {show_body(body)} to {exchange or '(default)'} with {key!r}" + " mandatory" * mandatory
        header = b"\0\x3c\0\0" + len(body).to_bytes(8, "big") + encode_properties(properties)
        pieces = [body[at : at + BODY_FRAME_MAX] for at in range(0, len(body), BODY_FRAME_MAX)]
        self._peer.send(
            method(CHANNEL, spec.Basic.Publish(exchange=exchange, routing_key=key, mandatory=mandatory)),
            frame(spec.FRAME_HEADER, CHANNEL, header),
            *(frame(spec.FRAME_BODY, CHANNEL, piece) for piece in pieces),
        )
        self._published += 1
        self._write(what + self._answer(what, self._confirm))
        for line in show_properties(properties):
            self._write("    " + line)

    def send(self, queue: str, *bodies: bytes | str, **properties: Any) -> None:
        """Publish to a queue, through the default exchange."""
        for body in bodies:
            self.publish("", queue, body, **properties)

    def get(self, queue: str, ack: bool = True) -> Any:
        """Get a message, and acknowledge it unless told otherwise; an empty queue gives none."""
        self._peer.send(method(CHANNEL, spec.Basic.Get(queue=queue, no_ack=ack)))
        message = self._tell_message(f"get {queue}", lambda: self._expect((Message, spec.Basic.GetEmpty)))
        return message if isinstance(message, Message) else None

    def get_all(self, queue: str) -> None:
        """Get until there is none."""
        while self.get(queue):
            pass

    def consume(self, queue: str, tag: str, arguments: Table | None = None, **flags: bool) -> None:
        request = spec.Basic.Consume(queue=queue, consumer_tag=tag, **flags)
        what = f"consume {named(queue, arguments, flags)} as {tag!r}"
        self._call(what, request, spec.Basic.ConsumeOk, arguments or {})

    def cancel(self, tag: str) -> None:
        self._call(f"cancel {tag!r}", spec.Basic.Cancel(consumer_tag=tag), spec.Basic.CancelOk)

    def receive(self, count: int = 1) -> list[Message]:
        """The next deliveries, in the order in which they come; a cancel by the broker comes in their place."""
        return [self._tell_message("receive", self._next_delivery) for _ in range(count)]

    def nothing(self, queue: str) -> None:
        """Show that this queue has delivered no more: the broker has answered two questions after it would have.

        RabbitMQ answers the first question in the middle of what it has for the channel, so there is a second.
        """
        for _ in range(2):
            request = spec.Queue.Declare(queue=queue, passive=True)
            self._peer.send(typed_method(request, {}))
            self._answer("nothing", lambda: self._expect((spec.Queue.DeclareOk,)))
        self._write(f"nothing more from {queue}: " + ("so it is" if not self._deliveries else "but there is"))
        self.receive(len(self._deliveries))

    def ack(self, message: Message, multiple: bool = False) -> None:
        self._write(f"ack {show_body(message.body)}" + " and before" * multiple)
        self._peer.send(method(CHANNEL, spec.Basic.Ack(message.tag, multiple)))

    def nack(self, message: Message, requeue: bool, multiple: bool = False) -> None:
        verb = "requeue" if requeue else "discard"
        self._write(f"nack {show_body(message.body)}" + " and before" * multiple + f": {verb}")
        self._peer.send(method(CHANNEL, spec.Basic.Nack(message.tag, multiple, requeue)))

    def reject(self, message: Message, requeue: bool = False) -> None:
        self._write(f"reject {show_body(message.body)}: " + ("requeue" if requeue else "discard"))
        self._peer.send(method(CHANNEL, spec.Basic.Reject(message.tag, requeue)))

    def recover(self) -> None:
        """Have all that is unacknowledged requeued."""
        self._call("recover", spec.Basic.Recover(True), spec.Basic.RecoverOk)

    def qos(self, prefetch_count: int) -> None:
        self._call(f"qos {prefetch_count}", spec.Basic.Qos(prefetch_count=prefetch_count), spec.Basic.QosOk)

    def reopen(self) -> None:
        """Close the channel, with all that is unacknowledged on it, and open it again."""
        self._call("close the channel", spec.Channel.Close(200, "", 0, 0), spec.Channel.CloseOk)
        self._open_channel()

    def close(self) -> None:
        """Close the connection."""
        self._call("close the connection", spec.Connection.Close(200, "", 0, 0), spec.Connection.CloseOk, channel=0)
        self._peer.close()

    def end(self) -> None:
        """Let go of the socket, without a word."""
        self._peer.close()

    @property
    def server(self) -> dict[str, Any]:
        """What the broker says it is: product, version and more."""
        return self._peer.server

    # How it is done

    def _connect(self) -> None:
        self._peer = TypedPeer(self._address)
        self._peer.socket.settimeout(DEADLINE_S)
        self._peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # two writes in a row: 40 ms without
        self._peer.open()
        self._open_channel()

    def _open_channel(self) -> None:
        self._deliveries: deque[Any] = deque()  # Message or basic.cancel
        self._returned: list[Message] = []
        self._confirms: deque[Any] = deque()
        self._published = 0
        self._peer.open_channel(CHANNEL)
        self._peer.call(CHANNEL, spec.Confirm.Select(), spec.Confirm.SelectOk)

    def _write(self, line: str) -> None:
        self._transcript.write(self._label + line)

    def _call(
        self, what: str, request: Any, wanted: type[T], arguments: Table | None = None, channel: int = CHANNEL
    ) -> T | None:
        """Send a request, wait for its answer, and write both down; None if the answer is an error."""
        self._peer.send(method(channel, request) if arguments is None else typed_method(request, arguments))
        answers: list[T] = []

        def answer() -> str:
            answers.append(self._expect((wanted,)))
            return show_answer(answers[0])

        self._write(what + self._answer(what, answer))
        return answers[0] if answers else None

    def _answer(self, what: str, wait: Any) -> str:
        """What came: an answer, or an error, after which there is a new channel."""
        try:
            return f": {wait()}"
        except Closed as closed:
            return f": {self._reopen_after(closed)}"
        except TimeoutError:
            self._write(f"{what}: silence")
            raise Silence(what) from None

    def _reopen_after(self, closed: Closed) -> str:
        close = closed.close
        if isinstance(close, spec.Channel.Close):
            self._peer.send(method(CHANNEL, spec.Channel.CloseOk()))
            self._open_channel()
            scope = "channel"
        else:
            self._peer.close()
            self._connect()
            scope = "connection"
        if close is None:
            return "the connection is cut"
        blamed = spec.methods.get(close.class_id << 16 | close.method_id)
        return f"{close.reply_code} {close.reply_text} ({scope}, {blamed.NAME.lower() if blamed else 'no method'})"

    def _expect(self, wanted: tuple[type[Any], ...]) -> Any:
        """The next method of these; what comes in between is kept for who asks for it."""
        while True:
            value = self._take()
            if isinstance(value, wanted):
                return value
            assert value is None, f"unexpected: {value}"

    def _take(self) -> Any:
        """Take a frame, or a message whole: None if it was put aside, for others than who waits for an answer."""
        received = self._peer.receive()
        if received is None:
            raise Closed(None)
        if isinstance(received, pika.frame.Heartbeat):
            return None
        value = received.method
        match value:
            case spec.Basic.Deliver():
                self._deliveries.append(self._content(value))
            case spec.Basic.Cancel():
                self._deliveries.append(value)
            case spec.Basic.Return():
                self._returned.append(self._content(value))
            case spec.Basic.Ack() | spec.Basic.Nack():
                self._confirms.append(value)
            case spec.Basic.GetOk():
                return self._content(value)
            case spec.Channel.Close() | spec.Connection.Close():
                raise Closed(value)
            case _:
                return value
        return None

    def _content(self, announcement: Any) -> Message:
        header = self._peer.expect(ContentHeader)
        body = b""
        while len(body) < header.body_size:
            body += self._peer.expect(pika.frame.Body).fragment
        return Message(announcement, with_last_death(header.properties, self.server), body)

    def _confirm(self) -> str:
        """Wait until the last publish is confirmed."""
        while not self._confirms or self._confirms[-1].delivery_tag < self._published:
            unexpected = self._take()
            assert unexpected is None, unexpected
        confirm = self._confirms.pop()
        returned = [f"returned {each.method.reply_code} {each.method.reply_text}, " for each in self._returned]
        self._returned.clear()
        return "".join(returned) + ("ack" if isinstance(confirm, spec.Basic.Ack) else "nack")

    def _next_delivery(self) -> Any:
        while not self._deliveries:
            unexpected = self._take()
            assert unexpected is None, unexpected
        return self._deliveries.popleft()

    def _tell_message(self, what: str, wait: Any) -> Any:
        """Wait for a message (or the word that there is none) and write it down with its properties."""
        came: list[Any] = []

        def message() -> str:
            came.append(wait())
            return show_message(came[0])

        self._write(what + self._answer(what, message))
        if came and isinstance(came[0], Message):
            for line in show_properties(came[0].properties):
                self._write("    " + line)
        return came[0] if came else None


def typed_method(request: Any, arguments: Table) -> bytes:
    """The frame of a method whose last field is a table, which goes as it is."""
    payload = method(CHANNEL, request)[7:-1]
    assert payload.endswith(bytes(4)), "pika has put in an empty table"
    return frame(spec.FRAME_METHOD, CHANNEL, payload[:-4] + encode_table(arguments))


def named(name: str, arguments: Table | None, flags: Table | None = None) -> str:
    """A name with its flags and arguments, as the transcript has them."""
    words = [name or "(no name)", *(flag for flag, value in (flags or {}).items() if value)]
    return " ".join(words) + (f" {show_table(arguments)}" if arguments else "")


def show_answer(answer: Any) -> str:
    match answer:
        case spec.Queue.DeclareOk():
            return f"ok {answer.queue}, {answer.message_count} ready, {answer.consumer_count} consumers"
        case spec.Queue.PurgeOk() | spec.Queue.DeleteOk():
            return f"ok, {answer.message_count} messages"
        case spec.Basic.ConsumeOk():
            return f"ok {show(answer.consumer_tag)}"
    return "ok"


def show_message(message: Any) -> str:
    match message:
        case spec.Basic.GetEmpty():
            return "empty"
        case spec.Basic.Cancel():
            return f"{message.consumer_tag!r} is cancelled by the broker"
    how = message.method
    consumer = f" for {how.consumer_tag!r}" if isinstance(how, spec.Basic.Deliver) else f", {how.message_count} left"
    redelivered = " redelivered" * how.redelivered
    return (
        f"{show_body(message.body)} from {how.exchange or '(default)'} with {how.routing_key!r}{redelivered}{consumer}"
    )
