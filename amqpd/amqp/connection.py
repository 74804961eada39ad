"""One AMQP connection without its socket: octets in by ``receive_data``, octets out through its outbox.

Whatever octets arrive, the result is replies or a close. A soft error closes its channel, a hard error the connection:
the close method is queued first, then the state moves, and what follows is discarded until the peer agrees. Any other
exception is a bug of ours: the peer gets 541, the log the traceback, and the other connections nothing.

The connection has no clock. Whoever has one calls ``tick`` now and then; deadlines and heartbeats are reckoned in the
time that it brings. What an operator should know is reported as events with fields.

Strategy: one loop over each read. It looks for the repeat of the last publish first, then takes frame by frame; the
four hot methods and contents go straight to their channel, which may take more of the like behind them; all else goes
through ``_receive_cold``.

A connection can have to wait, with what was read and not yet taken: for the peer to take the answers to what it asked,
or for the disk. A reply to a method that has written something leaves when that is safe, and what the peer said after
it is not looked at before. A peer that publishes while something is low (see broker/alarms.py) is served to the end of
the present read, and ``readable`` is False until it is over.
"""

from collections.abc import Callable
from typing import Any

from amqpd.amqp.channel import Channel, Report, ignore
from amqpd.amqp.contents import Contents, Repeat
from amqpd.amqp.frames import bad_frame, misplaced_frame
from amqpd.amqp.handlers import HANDLERS
from amqpd.amqp.handshake import PROTOCOL_HEADERS, Handshake
from amqpd.amqp.inbox import Inbox
from amqpd.amqp.limits import Limits
from amqpd.amqp.outbox import Outbox
from amqpd.amqp.states import (
    CLOSE_SENT,
    PROTOCOL_HEADER,
    ChannelState,
    ConnectionState,
    ContentState,
    channel_after,
    connection_after,
    out_of_sequence,
)
from amqpd.broker.agenda import Work
from amqpd.broker.broker import Broker
from amqpd.broker.client import Client
from amqpd.errors import AMQPError, ConnectionForced, HardError, InternalError, LoginRefused, NotAllowed, SoftError
from amqpd.wire import fast, methods
from amqpd.wire.constants import (
    FRAME_BODY,
    FRAME_END,
    FRAME_HEAD_SIZE,
    FRAME_HEADER,
    FRAME_HEARTBEAT,
    FRAME_METHOD,
    FRAME_OVERHEAD,
)

HEARTBEAT = fast.encode_frame(FRAME_HEARTBEAT, 0, b"")
SILENT_REFUSAL_S = 3.0
"""How long a peer waits for its socket to close where its close-ok is not waited for; RabbitMQ's time."""

WAITING_INPUT = 65_536
"""Octets that may be read ahead while a reply waits for the disk. Up to here reading goes on, since only who reads sees
the other side leave."""

_CLOSE = b"\x00\x0a\x00\x32"  # connection.close
_CLOSE_OK = b"\x00\x0a\x00\x33"
_WHILE_CLOSING = (  # what counts on a closing channel: channel.close, channel.close-ok, and a channel.open too soon
    b"\x00\x14\x00\x28",
    b"\x00\x14\x00\x29",
    b"\x00\x14\x00\x0a",
)


class Connection(Work):
    """The protocol of one peer; as work, the reply that waits for the disk.

    ``wake`` is called when there is something to send. ``finished`` says that nothing more will come or be taken: what
    the outbox holds is the last, and the socket may be closed behind it. ``blocked``: it has published while something
    was low, and that is not over. ``name`` is for statistics.
    """

    def __init__(
        self,
        broker: Broker,
        limits: Limits,
        wake: Callable[[], None],
        report: Report,
        now: float,
        loopback: bool = True,
        name: str = "",
    ) -> None:
        super().__init__()
        self.state = ConnectionState.EXPECTING_HEADER
        self.outbox = Outbox(limits.outbound_high_water, wake)
        self.channels: dict[int, Channel] = {}
        self.finished = False
        self.blocked = False
        self.close_reason = ""
        self._broker = broker
        self._limits = limits
        self._report = report
        self._handshake = Handshake(broker, limits, loopback, name)
        self._client: Client | None = None
        self._frame_max = self._handshake.frame_max
        self._repeat = Repeat()
        self._outbound_limit = max(limits.outbound_limit, limits.outbound_high_water)
        self._told_blocked = False
        self._late_reply: tuple[Channel, methods.Method, int] | None = None  # waits for this much to be durable
        self._in_step = True  # we know where in what the peer sends a frame begins
        self._inbox = Inbox(wanted=len(PROTOCOL_HEADERS[0]))
        self._now = now
        self._deadline: float | None = now + limits.handshake_timeout_s
        self._heard = False
        self._last_heard = now
        self._last_sent = now

    def describe(self) -> dict[str, str]:
        """Who the peer is, as far as that is known by now, for the log."""
        return self._handshake.describe()

    # Octets in

    def receive_data(self, data: bytes) -> None:
        """Take what the peer has sent, in whatever pieces, and do all that it asks for."""
        self._heard = True
        if self._is_deaf():
            return
        offset = 0
        inbox = self._inbox
        if inbox.size or self._waits():
            if not self._waits():
                offset = inbox.rest_of_large_frame(data)
            if offset:
                self._take(inbox.take_with(data, offset), 0)
                if self._is_deaf():
                    return
            if not offset or inbox.size or self._waits():
                inbox.add(data, offset)
                if not self.left_off:
                    return
                data, offset = inbox.take(), 0
        self._take(data, offset)

    def _is_deaf(self) -> bool:
        """Nothing more is taken from this peer."""
        return self.finished or not self._in_step

    def _take(self, data: bytes, offset: int) -> None:
        """Take the frames from ``offset`` on; what is over is kept."""
        agenda = self._broker.agenda
        agenda.hold()
        try:
            taken = self._receive(data, offset)
            agenda.flush()
        except HardError as error:
            taken = len(data)
            self._lose_step(error)
        except Exception as bug:  # noqa: BLE001 - it is reported, and must not reach the other connections
            taken = len(data)
            self._fail(bug)
        finally:
            agenda.release()
        if not self.finished:
            self._inbox.keep(data, taken)

    def _receive(self, data: bytes, offset: int) -> int:
        """Take all frames from ``offset`` on that lie whole in the buffer.

        Returns the offset behind them, and sets what is wanted there. HardError: a frame's form is wrong, so nobody
        knows where the next one begins.
        """
        if self.state is ConnectionState.EXPECTING_HEADER:
            offset = self._receive_protocol_header(data)
        channels, repeat, alarms = self.channels, self._repeat, self._broker.alarms
        end = len(data)
        while not self.finished:
            if repeat.head is not None and data.startswith(repeat.head, offset):
                offset = repeat.contents.receive_repeats(data, offset)
                if alarms.blocking:
                    self._block()
            if end - offset < FRAME_OVERHEAD:
                self._inbox.wanted = FRAME_OVERHEAD
                break
            kind, number, size = fast.unpack_frame_head(data, offset)
            start = offset + FRAME_HEAD_SIZE
            stop = start + size
            if size > self._frame_max:  # a payload that large is 8 octets too many; RabbitMQ lets them pass too
                raise bad_frame(kind, b"", f"{{frame_too_large,{size},{self._frame_max - FRAME_OVERHEAD}}}")
            if stop >= end:
                self._inbox.wanted = size + FRAME_OVERHEAD
                break
            if data[stop] != FRAME_END:
                raise bad_frame(kind, data[start:stop], f"{{invalid_frame_end_marker,{data[stop]}}}")
            offset = stop + 1
            channel = channels.get(number)
            try:
                if channel is None or channel.state is not ChannelState.OPEN:
                    self._receive_cold(kind, number, data[start:stop])
                elif kind == FRAME_METHOD:
                    method = data[start : start + 4]
                    if method == fast.PUBLISH:
                        offset = channel.contents.receive_publish(data, start, stop)
                        if alarms.blocking and offset > stop + 1:  # its content has come, too
                            self._block()
                    elif method == fast.ACK:
                        offset = channel.receive_acks(data, start, stop)
                    elif method == fast.NACK:
                        channel.receive_nack(data, start, stop)
                    elif method == fast.REJECT:
                        channel.receive_reject(data, start, stop)
                    else:
                        self._receive_cold(kind, number, data[start:stop])
                        if self._waits():  # and what follows waits with it, see go_on
                            self._inbox.wanted = FRAME_OVERHEAD
                            break
                elif kind == FRAME_HEADER or kind == FRAME_BODY:
                    if kind == FRAME_HEADER:
                        channel.contents.receive_header(data, start, stop)
                    else:
                        channel.contents.receive_body(data, start, stop)
                    if alarms.blocking:
                        self._block()
                else:
                    self._receive_cold(kind, number, data[start:stop])
            except SoftError as refused:
                assert channel is not None, "soft errors come from open channels"
                blamed = data[start:stop] if kind == FRAME_METHOD else fast.PUBLISH
                self._close_channel(channel, _blamed(refused, blamed))
            except HardError as error:
                self._close(error)
        return offset

    def _receive_protocol_header(self, data: bytes) -> int:
        """The first eight octets. Returns how many were taken: with fewer than eight, none."""
        size = len(PROTOCOL_HEADERS[0])
        if len(data) < size:
            return 0
        if data[:size] not in PROTOCOL_HEADERS:
            # "If the server does not recognise the first 5 octets ... or does not support the specific protocol version
            # that the client requests, it MUST write a valid protocol header to the socket ... and then close" (4.2.2)
            self.outbox.write(PROTOCOL_HEADERS[0])
            self._finish(f"bad protocol header {data[:size]!r}")
            return len(data)
        self.state = connection_after(self.state, PROTOCOL_HEADER)
        self._send(self._handshake.start())
        return size

    # All that is not hot

    def _receive_cold(self, kind: int, number: int, payload: bytes) -> None:
        """A frame for channel 0, for a channel that is not open, or with a method that is not hot."""
        if kind == FRAME_HEARTBEAT:
            if payload:
                raise bad_frame(kind, payload, "unknown_frame")
            if number:
                raise misplaced_frame(kind, payload)
        elif kind not in (FRAME_METHOD, FRAME_HEADER, FRAME_BODY):
            raise bad_frame(kind, payload, "unknown_frame")
        elif number == 0:
            self._receive_on_connection(kind, payload)
        elif self.state is ConnectionState.RUNNING:
            self._receive_on_channel(kind, number, payload)
        elif self.state is not ConnectionState.CLOSING:
            raise misplaced_frame(kind, payload)

    def _receive_on_connection(self, kind: int, payload: bytes) -> None:
        closing = self.state is ConnectionState.CLOSING
        if kind != FRAME_METHOD:
            if closing:
                return
            raise misplaced_frame(kind, payload)
        if closing and not payload.startswith((_CLOSE, _CLOSE_OK)):
            return
        method = methods.decode_method(payload)
        self._broker.agenda.flush()  # what was published and settled before this method has happened before it
        try:
            self.state = connection_after(self.state, method.name)
            _ON_CONNECTION[type(method)](self, method)
        except LoginRefused:
            raise  # names no method, as in RabbitMQ
        except HardError as error:
            raise _blamed(error, payload) from None

    def _receive_on_channel(self, kind: int, number: int, payload: bytes) -> None:
        channel = self.channels.get(number)
        closing = channel is not None and channel.state is ChannelState.CLOSING
        if closing and not (kind == FRAME_METHOD and payload.startswith(_WHILE_CLOSING)):
            return  # "any received methods except Close and Close-OK MUST be discarded" (channel.close)
        if kind != FRAME_METHOD:
            raise out_of_sequence(ContentState.METHOD)
        if channel is not None and channel.state is ChannelState.OPEN:
            channel.contents.check_complete()
        method = methods.decode_method(payload)
        self._broker.agenda.flush()  # as for a method of the connection
        try:
            state = channel_after(channel.state if channel else ChannelState.CLOSED, method.name)
            if isinstance(method, methods.ChannelOpen):
                self._open_channel(number, state)
                return
            assert channel is not None, "a channel that is not open takes nothing but channel.open"
            channel.state = state
            if isinstance(method, methods.ChannelCloseOk):
                del self.channels[number]
                return
            written = self._broker.store.written
            if isinstance(method, methods.ChannelClose):
                self._drop_channel(channel)
                reply: methods.Method | None = methods.ChannelCloseOk()
            else:
                reply = HANDLERS[type(method)](channel, method)
            if reply is not None and not getattr(method, "no_wait", False):
                self._answer(channel, reply, written)
        except SoftError as refused:
            assert channel is not None, "channel.open has no soft errors"
            self._close_channel(channel, _blamed(refused, payload))
        except HardError as error:
            raise _blamed(error, payload) from None

    def _answer(self, channel: Channel, reply: methods.Method, written: int) -> None:
        """Send the reply to a method; where the store has got more from it than the ``written`` before, when that is
        safe."""
        now_written = self._broker.store.written
        if now_written == written:
            channel.send(reply)
        else:
            self._late_reply = channel, reply, now_written
            self.perform()

    def perform(self) -> None:
        """The store's watermark may have moved so far that the late reply can leave."""
        if self._late_reply is None:  # the connection is closing, and has nothing to say any more
            return
        channel, reply, written = self._late_reply
        store = self._broker.store
        if written > (store.durable if isinstance(reply, methods.TxCommitOk) else store.recorded):
            store.wait(self)
        else:
            self._late_reply = None
            channel.send(reply)

    # Channels

    def _open_channel(self, number: int, state: ChannelState) -> None:
        assert self._client is not None, "channels open on a running connection"
        maximum = self._handshake.channel_max
        if maximum and len(self.channels) >= maximum:
            raise NotAllowed(
                f"number of channels opened ({maximum}) has reached the negotiated channel_max ({maximum})"
            )
        payload_max = self._frame_max - FRAME_OVERHEAD
        channel = Channel(number, self.outbox, self._limits, payload_max, self._report)
        channel.notify_cancel = self._handshake.client_can("consumer_cancel_notify")
        channel.session = self._client.open_session(channel, channel.number)
        channel.contents = Contents(number, channel.session, self._limits, payload_max, self._repeat)
        channel.state = state
        channel.fail = self._close_channel
        self.channels[number] = channel
        channel.send(methods.ChannelOpenOk())

    def _drop_channel(self, channel: Channel) -> None:
        """Its session ends. A channel that is closed may be opened again; one that is closing waits for close-ok."""
        assert self._client is not None, "channels open on a running connection"
        self._client.close_session(channel.session)
        if self._late_reply is not None and self._late_reply[0] is channel:
            self._late_reply = None
        self._repeat.head = None
        channel.leave()
        if channel.state is ChannelState.CLOSED:
            del self.channels[channel.number]

    def _close_channel(self, channel: Channel, error: AMQPError) -> None:
        self._broker.agenda.flush()  # what was done before the error is confirmed before the close
        channel.send(
            methods.ChannelClose(
                reply_code=error.code,
                reply_text=error.reply_text,
                failing_class_id=error.class_id,
                failing_method_id=error.method_id,
            )
        )
        channel.state = channel_after(ChannelState.OPEN, CLOSE_SENT)
        self._report("channel_error", channel=channel.number, code=error.code, text=error.reply_text)
        self._drop_channel(channel)

    # Methods of the connection

    def _on_start_ok(self, method: methods.ConnectionStartOk) -> None:
        self._send(self._handshake.on_start_ok(method))

    def _on_tune_ok(self, method: methods.ConnectionTuneOk) -> None:
        self._handshake.on_tune_ok(method)
        self._frame_max = self._handshake.frame_max

    def _on_open(self, method: methods.ConnectionOpen) -> None:
        self._client = self._handshake.on_open(method)
        self._client.dismissed = self._dismissed
        self._deadline = None
        self._send(methods.ConnectionOpenOk())
        self._report("connection_opened", mechanism=self._handshake.mechanism, **self.describe())

    def _on_close(self, method: methods.ConnectionClose) -> None:
        self._send(methods.ConnectionCloseOk())
        if self.state is ConnectionState.CLOSED:
            self._finish(f"closed by the client: {method.reply_code} {method.reply_text}")

    def _on_close_ok(self, method: methods.ConnectionCloseOk) -> None:
        self._finish(self.close_reason)

    def _on_update_secret(self, method: methods.ConnectionUpdateSecret) -> None:
        """A new token for a login that expires; passwords do not, so there is nothing to do, as in RabbitMQ."""
        self._send(methods.ConnectionUpdateSecretOk())

    # The end

    def shut_down(self, reason: str) -> None:
        """The broker stops: tell the peer (320), and wait for its close-ok no longer than the limit says."""
        if self.state in (ConnectionState.RUNNING, ConnectionState.OPENING, ConnectionState.TUNING):
            self._close(ConnectionForced(f"broker forced connection closure with reason '{reason}'"))
        elif self.state is not ConnectionState.CLOSING:
            self._finish(reason)

    def _dismissed(self, reason: str) -> None:
        """The broker shuts this client out."""
        self._close(ConnectionForced(reason))

    def lost(self, reason: str) -> None:
        """The socket is gone. Nothing is sent or reported any more."""
        self._finish(self.close_reason or reason)
        self._report = self.outbox.wake = ignore  # the way back to the server, as in Channel.leave

    def _close(self, error: HardError) -> None:
        """Queue connection.close, then discard what follows until the peer has agreed."""
        self.close_reason = self.close_reason or f"{error.code} {error.reply_text}"
        if self.state is ConnectionState.EXPECTING_HEADER or self.finished:
            self._finish(self.close_reason)
            return
        if self.state is ConnectionState.CLOSING:
            return
        self._broker.agenda.flush()  # as for a channel
        refused = isinstance(error, LoginRefused)
        told = not refused or self._handshake.reads_refusal
        if refused:
            self._report("authentication_failed", user=self._handshake.user, reason=self._handshake.refusal)
        if told:
            self._send(
                methods.ConnectionClose(
                    reply_code=error.code,
                    reply_text=error.reply_text,
                    failing_class_id=error.class_id,
                    failing_method_id=error.method_id,
                )
            )
        self.state = connection_after(self.state, CLOSE_SENT)
        answerable = told and self._in_step
        self._deadline = self._now + (self._limits.close_timeout_s if answerable else SILENT_REFUSAL_S)
        if not refused and not isinstance(error, ConnectionForced):
            self._report("connection_error", code=error.code, text=error.reply_text)
        self._leave()

    def _fail(self, bug: Exception) -> None:
        """We have met a bug of ours while we dealt with this peer."""
        self._report("internal_error", error=bug)
        self._lose_step(InternalError("the broker failed; its log says where"))

    def _lose_step(self, error: HardError) -> None:
        """Close, and take nothing more: where in what comes a close-ok may be, nobody knows."""
        self._in_step = False
        self._inbox.clear()
        self._close(error)

    def _leave(self) -> None:
        """Everything this peer had in the broker ends."""
        self._repeat.head = None
        self._late_reply = None
        self._unblock()
        for channel in self.channels.values():
            channel.leave()
        self.channels.clear()
        if self._client is not None:
            client, self._client = self._client, None
            client.dismissed = ignore  # the way back, as in Channel.leave
            self._broker.disconnect(client)

    def _finish(self, reason: str) -> None:
        self._leave()
        self.finished = True
        self.state = ConnectionState.CLOSED
        self.close_reason = reason
        self._inbox.clear()
        self._deadline = None

    # Time

    def tick(self, now: float) -> None:
        """The time is ``now``, in seconds of any clock that does not jump. To be called about twice a second."""
        self._now = now
        if self._heard or not self.readable:  # RabbitMQ does not count the silence of blocked peers either
            self._heard = False
            self._last_heard = now
        if self._deadline is not None and now >= self._deadline:
            waiting = "handshake" if self.state is not ConnectionState.CLOSING else "connection.close-ok"
            self._finish(self.close_reason or f"timeout: no {waiting}")
            return
        heartbeat_s = self._handshake.heartbeat_s
        if not heartbeat_s or self.state is not ConnectionState.RUNNING:
            return
        # "If a peer detects no incoming traffic (i.e. received octets) for two heartbeat intervals or longer, it should
        # close the connection without following the Connection.Close/Close-Ok handshaking" (4.2.7)
        if now - self._last_heard > 2 * heartbeat_s:
            self._report("heartbeat_missed", heartbeat_s=heartbeat_s)
            self._finish(f"missed heartbeats: nothing heard for {now - self._last_heard:.0f} s")
        elif now - self._last_sent >= heartbeat_s / 2:
            self.outbox.write(HEARTBEAT)

    def sent(self) -> None:
        """Something has been written to the socket, so no heartbeat is due for a while."""
        self._last_sent = self._now

    def not_read(self) -> None:
        """The server leaves the peer's octets unread, but knows that it lives: its silence says nothing."""
        self._heard = True

    # Waiting

    @property
    def readable(self) -> bool:
        """Whether more of what the peer sends is wanted."""
        return not (self.blocked or (self._late_reply is not None and self._inbox.size >= WAITING_INPUT))

    @property
    def left_off(self) -> bool:
        """Whether frames that were read are still to be taken, and can be now: ``go_on`` takes them."""
        return self._inbox.size >= self._inbox.wanted and not self._waits()

    def _waits(self) -> bool:
        """What the peer says next is not to be looked at yet.

        A basic.get of a few octets is answered with any number of them; a reply that waits for the disk has to come
        before what follows from later methods.
        """
        return self.outbox.size >= self._outbound_limit or self._late_reply is not None

    def go_on(self) -> None:
        """Take the frames that were left when the connection had to wait."""
        if self.left_off:
            self.receive_data(b"")

    def resume(self) -> None:
        """The peer has taken what was sent: frames that were left for that go on, and then deliveries may."""
        self.go_on()
        agenda = self._broker.agenda
        agenda.hold()
        try:
            for channel in self.channels.values():
                if channel.state is ChannelState.OPEN:
                    channel.session.resume()
            agenda.flush()
        except Exception as bug:  # noqa: BLE001 - as for what is received
            self._fail(bug)
        finally:
            agenda.release()

    # Alarms

    def alarms_changed(self) -> None:
        """Something else is low now, or nothing. For those that are not ``blocked`` it changes nothing."""
        if self.blocked:
            if not self._broker.alarms.blocking:
                self._unblock()
            self._tell_blocked()

    def _block(self) -> None:
        """The peer publishes while something is low."""
        if not self.blocked:
            self.blocked = True
            self._broker.alarms.blocked += 1
            self._tell_blocked()

    def _unblock(self) -> None:
        if self.blocked:
            self.blocked = False
            self._broker.alarms.blocked -= 1

    def _tell_blocked(self) -> None:
        """connection.blocked once, however many alarms there are, and connection.unblocked when all are over."""
        reason = self._broker.alarms.reason if self.blocked else ""
        if bool(reason) != self._told_blocked and self._handshake.client_can("connection.blocked"):
            self._told_blocked = bool(reason)
            self._send(methods.ConnectionBlocked(reason) if reason else methods.ConnectionUnblocked())

    def _send(self, method: methods.Method) -> None:
        self.outbox.write(fast.encode_frame(FRAME_METHOD, 0, methods.encode_method(method)))


def _blamed(error: AMQPError, payload: bytes) -> Any:
    """The error, with the ids of the method it was raised for unless it names one."""
    if not error.class_id:
        error.class_id = int.from_bytes(payload[:2], "big")
        error.method_id = int.from_bytes(payload[2:4], "big")
    return error


_ON_CONNECTION: dict[type[methods.Method], Callable[[Connection, Any], None]] = {
    methods.ConnectionStartOk: Connection._on_start_ok,
    methods.ConnectionTuneOk: Connection._on_tune_ok,
    methods.ConnectionOpen: Connection._on_open,
    methods.ConnectionClose: Connection._on_close,
    methods.ConnectionCloseOk: Connection._on_close_ok,
    methods.ConnectionUpdateSecret: Connection._on_update_secret,
}
