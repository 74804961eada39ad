"""The octets of one connection, between its socket and its protocol.

An ``asyncio.Protocol`` rather than a stream: the event loop calls it with what it has read, and everything that follows
from that (routing, deliveries to other connections, their encoding) is done before it returns. A stream would cost a
task, a loop hop and two changes of the poll set for each chunk.

Both ways push back. When the peer takes its octets slower than they come, the transport's ``pause_writing`` stalls the
outbox, so that deliveries wait in their queues. When replies pile up all the same, because the peer asks and does not
read, it is not read either. Its heartbeats go unread then; as long as it takes some of what it asked for, it lives.
There are more reasons not to read a peer; ``Pump.regulate`` has them all.

A socket that is closed keeps what its peer has not taken yet, for as long as the peer may take to answer
connection.close; after that it is cut off.
"""

import asyncio
import math
import socket
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, cast

import structlog

from amqpd.amqp.connection import Connection
from amqpd.amqp.limits import Limits
from amqpd.amqp.states import ConnectionState
from amqpd.broker.broker import Broker
from amqpd.metrics.statistics import ConnectionStatistics
from amqpd.server.busy_poll import BusyPoll
from amqpd.server.listening import shown

WRITE_BUFFER_MAX = 262_144
"""Octets left with the transport before the outbox is stalled: enough to keep the socket busy while the loop is
elsewhere."""

GONE = ("0.0.0.0", 0)
"""The address of a socket whose peer has left before it could be asked."""

LARGE_READ = 65_536
"""Octets of a read after which more are likely to wait.

uvloop would go on and take up to 8 MiB from this peer before it looks at any other, and its consumers would get no more
than one outbox full in that time. So a publisher that sends without a pause is read once in each turn of the loop.
"""

TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)
"""Linux tells the state of a socket's TCP connection by this option; its first octet is one of the kernel's numbers."""
TCP_ESTABLISHED = 1

LEVELS = {
    "acknowledged_late": "warning",
    "authentication_failed": "warning",
    "channel_error": "warning",
    "connection_error": "warning",
    "connection_opened": "info",
    "consumer_timeout": "warning",
    "heartbeat_missed": "warning",
    "internal_error": "error",
}
"""All that a connection reports. Refusals are for whoever looks after the client, which will not work as it is."""

BEFORE_LOGIN = frozenset((ConnectionState.EXPECTING_HEADER, ConnectionState.STARTING))
"""Who leaves in one of these looks whether a broker is there: a health check, every few seconds."""

log = structlog.get_logger()


@dataclass(slots=True)
class Traffic:
    """What went through sockets, and in how many pieces."""

    octets_in: int = 0
    octets_out: int = 0
    reads: int = 0
    writes: int = 0

    def add(self, other: "Traffic") -> None:
        self.octets_in += other.octets_in
        self.octets_out += other.octets_out
        self.reads += other.reads
        self.writes += other.writes


class Pumps:
    """All pumps of a broker, and those whose outbox has something to send."""

    def __init__(self, broker: Broker, limits: Limits, busy_poll_us: int = 0) -> None:
        self.broker = broker
        self.limits = limits
        self.busy_poll = BusyPoll(busy_poll_us)
        self.open: set[Pump] = set()
        self.waking: list[Pump] = []
        self.blocked: set[Pump] = set()
        self.gone = Traffic()
        """That of the connections that are not there any more."""
        self._agenda = broker.agenda
        self._loop = asyncio.get_running_loop()
        self._stopping = ""
        self._emptied = asyncio.Event()
        broker.alarms.changed = self._alarms_changed

    @property
    def draining(self) -> bool:
        """The broker is about to stop, and lets nobody in."""
        return bool(self._stopping)

    def look(self) -> None:
        """Tell the broker what o'clock it is: before anything else reaches it."""
        self._agenda.moment = self._loop.time()

    def write(self) -> None:
        """Send what all outboxes hold: once for each read, whoever it was for."""
        waking, self.waking = self.waking, []
        for pump in waking:
            pump.write()

    def tick(self, now: float) -> None:
        """Pass on the time, and send what that makes due."""
        self.look()
        for pump in list(self.open):
            pump.tick(now)
        self.write()

    def enter(self, pump: "Pump") -> None:
        """A connection has come; if the broker is about to stop, it is told so."""
        self.open.add(pump)
        if self._stopping:
            pump.shut_down(self._stopping)

    def leave(self, pump: "Pump") -> None:
        self.open.discard(pump)
        self.gone.add(pump.traffic)
        self.blocked.discard(pump)
        if not self.open:
            self._emptied.set()

    def _alarms_changed(self) -> None:
        """In the middle of whatever the broker does: what follows from it comes after that."""
        asyncio.get_running_loop().call_soon(self._pass_on_alarms)

    def _pass_on_alarms(self) -> None:
        blocked, self.blocked = self.blocked, set()
        for pump in blocked:
            pump.connection.alarms_changed()
            pump.regulate()
        self.write()

    async def shut_down(self, reason: str) -> None:
        """Tell every peer that the broker stops, and wait until all are gone."""
        self._stopping = reason
        self.look()
        for pump in list(self.open):
            pump.shut_down(reason)
        self.write()
        self._emptied.clear()
        if self.open:
            await self._emptied.wait()

    def abort(self, reason: str) -> None:
        """Close all sockets now, whatever is still to be sent."""
        for pump in list(self.open):
            pump.abort(reason)


class Pump(asyncio.Protocol):
    """One connection: a socket's transport on one side, a :class:`Connection` on the other."""

    def __init__(self, pumps: Pumps) -> None:
        self._pumps = pumps
        self._agenda = pumps.broker.agenda
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._name = ""
        self._takes_pieces = False
        self._reading = True
        self._rests = False
        self._choked = False
        self._unsent: float = math.inf
        self._resuming = False
        self._silent = False
        self._cut_off_at = math.inf
        self.traffic = Traffic()
        self.connection: Connection

    # From the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A peer has connected. The event loops set TCP_NODELAY: a small reply does not wait for the next."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one, but not by inheritance
        # asyncio's own writelines joins the pieces, or does not tell who writes too much to stop (CVE-2024-12254, in
        # CPython 3.12.0 to 3.12.8, 3.13.0 and 3.13.1).
        self._takes_pieces = not isinstance(transport, asyncio.Transport)
        limits = self._pumps.limits
        # Reading goes on when writing does, so writing must have stopped where reading stops.
        self._transport.set_write_buffer_limits(high=min(WRITE_BUFFER_MAX, limits.outbound_limit))
        peer, here = transport.get_extra_info("peername") or GONE, transport.get_extra_info("sockname") or GONE
        self._name = f"{shown(peer)} -> {shown(here)}"
        self.connection = Connection(
            self._pumps.broker,
            limits,
            wake=self._wake,
            report=self._report,
            now=self._loop.time(),
            loopback=_is_loopback(peer),
            name=self._name,
        )
        log.debug("connection_accepted", connection=self._name)
        self._pumps.enter(self)

    def data_received(self, data: bytes) -> None:
        self._agenda.moment = self._loop.time()  # Pumps.look, without the call: this is done for each read
        self.connection.receive_data(data)
        size = len(data)
        traffic = self.traffic
        traffic.octets_in += size
        traffic.reads += 1
        if size >= LARGE_READ:
            self._rests = True
            self._loop.call_soon(self._read_on)
            self.regulate()
        else:
            self._pumps.busy_poll.heard()
        self._follow_up()

    def _follow_up(self) -> None:
        """Input was taken: send what it has caused, to whomever, and see what becomes of this connection."""
        if self._pumps.waking:
            self._pumps.write()
        if self.connection.finished:
            self._close()
        elif not (self._reading and self.connection.readable):
            self.regulate()

    def _read_on(self) -> None:
        self._rests = False
        self.regulate()

    def regulate(self) -> None:
        """Read the peer, or don't: to be called when something has changed that speaks for or against it.

        It is not read while it has more to take than the limit allows, while its connection is blocked by an alarm or
        waits for the disk with much input in hand, and after a large read until the others had their turn.
        """
        connection = self.connection
        if connection.blocked:
            self._pumps.blocked.add(self)
        wanted = connection.readable and not (self._choked or self._rests)
        if wanted != self._reading and not self._transport.is_closing():
            self._reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def pause_writing(self) -> None:
        self.connection.outbox.stalled = True

    def resume_writing(self) -> None:
        self.connection.outbox.stalled = False
        self._choked = False
        self.regulate()
        self._resume_soon()

    def eof_received(self) -> None:
        """The peer will send no more. AMQP ends with close-ok, so it has left, whether it still reads or not."""
        self._lose("closed by the peer without connection.close")
        self._close()

    def connection_lost(self, error: Exception | None) -> None:
        self._lose(f"socket: {error}" if error else "closed by the peer without connection.close")
        self._pumps.leave(self)
        reason = self.connection.close_reason
        if self._silent:
            log.debug("connection_closed", **self._about(), reason=reason)
        else:
            log.info("connection_closed", **self._about(), reason=reason)

    def _lose(self, reason: str) -> None:
        self._pumps.look()
        self._silent = self._silent or self.connection.state in BEFORE_LOGIN
        self.connection.lost(reason)
        self._pumps.write()  # what it had unacked goes to others

    # To the socket

    def write(self) -> None:
        """Hand the outbox to the transport; where that has stopped deliveries, see to it that they go on."""
        outbox = self.connection.outbox
        was_full = outbox.room() <= 0
        if self._send():
            self.connection.sent()
            if not self._choked and self._transport.get_write_buffer_size() > self._pumps.limits.outbound_limit:
                self._choked = True
                self._unsent = math.inf
        if self.connection.finished:
            self._close()
            return
        if self._choked or not self._reading:
            self.regulate()
        if outbox.stalled:
            return
        # The transport took it all. Other connections come first: no peer holds the loop until its queue is empty.
        if was_full:
            self._resume_soon()
        elif self.connection.left_off:  # until now, for the disk
            self._loop.call_soon(self._go_on)

    def tick(self, now: float) -> None:
        """Pass on the time. Whatever fails in that is this connection's end and not the ticker's."""
        if self._choked:
            unsent = self._transport.get_write_buffer_size()
            if unsent < self._unsent:
                self.connection.not_read()
            self._unsent = unsent
        try:
            if self.connection.blocked and self._pumps.broker.alarms.reason and self._is_deserted():
                self.eof_received()
            self.connection.tick(now)
        except Exception as bug:  # noqa: BLE001 - it is reported, and must not reach the other connections
            self._report("internal_error", error=bug)
            self.abort("internal error: see internal_error")
        if self.connection.finished:
            self._close()
        if now >= self._cut_off_at:
            self.abort("its last octets were not taken")

    def shut_down(self, reason: str) -> None:
        """Tell the peer that the broker stops."""
        self.connection.shut_down(reason)
        self.write()

    def abort(self, reason: str) -> None:
        """Close the socket now, whatever is still to be sent. The ``reason`` counts if there is none yet."""
        self._lose(reason)
        self._transport.abort()

    # What it has come to

    def statistics(self) -> ConnectionStatistics:
        connection = self.connection
        who = connection.describe()
        traffic = self.traffic
        return ConnectionStatistics(
            name=self._name,
            vhost=who.get("vhost", ""),
            user=who.get("user", ""),
            client=who.get("product", ""),
            client_version=who.get("product_version", ""),
            client_name=who.get("connection_name", ""),
            blocked=connection.blocked and bool(self._pumps.broker.alarms.reason),  # and not for a slow disk
            channels=len(connection.channels),
            octets_in=traffic.octets_in,
            octets_out=traffic.octets_out,
            reads=traffic.reads,
            writes=traffic.writes,
            pending=connection.outbox.size + self._transport.get_write_buffer_size(),
        )

    # Inside

    def _resume_soon(self) -> None:
        """Not at once: it may close the socket, which asyncio's transport does not stand while it resumes writing."""
        if not self._resuming:
            self._resuming = True
            self._loop.call_soon(self._resume)

    def _resume(self) -> None:
        self._resuming = False
        self._pumps.look()
        self.connection.resume()
        self._follow_up()

    def _go_on(self) -> None:
        self._pumps.look()
        self.connection.go_on()
        self._follow_up()

    def _is_deserted(self) -> bool:
        """Whether the peer has left, or will send no more: told by the kernel, since who does not read hears no end.

        Not everywhere: elsewhere the heartbeats find out when they cannot be sent, as in RabbitMQ.
        """
        connected = self._transport.get_extra_info("socket")
        return TCP_INFO is not None and connected.getsockopt(socket.IPPROTO_TCP, TCP_INFO, 1)[0] != TCP_ESTABLISHED

    def _send(self) -> bool:
        """Hand the outbox to the transport. False: there is nothing in it, or nobody left to take it."""
        outbox = self.connection.outbox
        size = outbox.size
        chunks = outbox.take()
        if not chunks or self._transport.is_closing():
            return False
        self.traffic.octets_out += size
        self.traffic.writes += 1
        if self._takes_pieces:
            self._transport.writelines(chunks)
        else:
            self._transport.write(b"".join(chunks))
        return True

    def _close(self) -> None:
        """Close the socket behind the last octets. A peer that does not take them in time is cut off by the ticker."""
        self._send()
        if not self._transport.is_closing():
            self._transport.close()
            self._cut_off_at = self._loop.time() + self._pumps.limits.close_timeout_s

    def _wake(self) -> None:
        self._pumps.waking.append(self)

    def _report(self, event: str, **fields: Any) -> None:
        if "error" in fields:
            fields["exc_info"] = fields.pop("error")
        getattr(log, LEVELS[event])(event, **self._about() | fields)

    def _about(self) -> dict[str, Any]:
        """Which connection it is and whose, as far as that is known by now: in all its events."""
        return {"connection": self._name, **self.connection.describe()}


def _is_loopback(address: tuple[Any, ...]) -> bool:
    """Whether a peer is on this machine."""
    host = ip_address(address[0].partition("%")[0])
    mapped = getattr(host, "ipv4_mapped", None)
    return bool((mapped or host).is_loopback)
