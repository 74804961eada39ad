"""The octets of one connection, between its socket and its protocol.

An ``asyncio.Protocol`` rather than a stream: the event loop calls it with what it has read, and everything that follows
from that (routing, deliveries to other connections, their encoding) is done before it returns. A stream would cost a
task, a loop hop and two changes of the poll set for each chunk.

Both ways push back. When the peer takes its octets slower than they come, the transport's ``pause_writing`` stalls the
outbox, so that deliveries wait in their queues. When replies pile up all the same, because the peer asks and does not
read, it is not read either.
"""

import asyncio
import socket
from ipaddress import ip_address
from typing import Any, cast

import structlog

from amqpd.amqp.connection import Connection
from amqpd.amqp.limits import Limits
from amqpd.broker.broker import Broker

WRITE_BUFFER_MAX = 262_144
"""Octets left with the transport before the outbox is stalled: enough to keep the socket busy while the loop is
elsewhere."""

WARNINGS = frozenset(
    ("authentication_failed", "channel_error", "connection_error", "heartbeat_missed", "queue_arguments_without_effect")
)
"""Events of a connection that are more than news."""

log = structlog.get_logger()


class Pumps:
    """All pumps of a broker, and those whose outbox has something to send."""

    def __init__(self, broker: Broker, limits: Limits) -> None:
        self.broker = broker
        self.limits = limits
        self.open: set[Pump] = set()
        self.waking: list[Pump] = []

    def write(self) -> None:
        """Send what all outboxes hold: once for each read, whoever it was for."""
        waking, self.waking = self.waking, []
        for pump in waking:
            pump.write()

    def shut_down(self, reason: str) -> None:
        """Tell every peer that the broker stops."""
        for pump in list(self.open):
            pump.connection.shut_down(reason)
            pump.write()
        self.write()


class Pump(asyncio.Protocol):
    """One connection: a socket's transport on one side, a :class:`Connection` on the other."""

    def __init__(self, pumps: Pumps) -> None:
        self._pumps = pumps
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._name = ""
        self._reading = True
        self._resuming = False
        self.connection: Connection

    # From the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one, but not by inheritance
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_MAX)
        connected = transport.get_extra_info("socket")
        if connected.family in (socket.AF_INET, socket.AF_INET6):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a small reply shall not wait for the next
        peer, here = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self._name = f"{_address(peer)} -> {_address(here)}"
        self.connection = Connection(
            self._pumps.broker,
            self._pumps.limits,
            wake=self._wake,
            report=self._report,
            now=self._loop.time(),
            loopback=_is_loopback(peer),
        )
        self._pumps.open.add(self)
        log.debug("connection_accepted", connection=self._name)

    def data_received(self, data: bytes) -> None:
        self.connection.receive_data(data)
        if self._pumps.waking:
            self._pumps.write()
        if self.connection.finished:
            self._close()

    def pause_writing(self) -> None:
        self.connection.outbox.stalled = True

    def resume_writing(self) -> None:
        self.connection.outbox.stalled = False
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()
        self._resume()

    def connection_lost(self, error: Exception | None) -> None:
        self._pumps.open.discard(self)
        self.connection.lost(f"socket: {error}" if error else "closed by the peer without connection.close")
        log.info("connection_closed", connection=self._name, reason=self.connection.close_reason)
        self._pumps.write()  # what it had unacked goes to others

    # To the socket

    def write(self) -> None:
        """Hand the outbox to the transport; where that has stopped deliveries, see to it that they go on."""
        outbox = self.connection.outbox
        was_full = outbox.room() <= 0
        octets = outbox.take()
        if octets and not self._transport.is_closing():
            self.connection.sent()
            self._transport.write(octets)
            if self._reading and self._transport.get_write_buffer_size() > self._pumps.limits.outbound_limit:
                self._reading = False
                self._transport.pause_reading()
        if self.connection.finished:
            self._close()
        elif was_full and not outbox.stalled and not self._resuming:
            # The transport took it all. Other connections come first: no peer holds the loop until its queue is empty.
            self._resuming = True
            self._loop.call_soon(self._resume)

    def tick(self, now: float) -> None:
        """Pass on the time."""
        if not self._reading:
            self.connection.not_read()
        self.connection.tick(now)
        if self.connection.finished:
            self._close()

    def _resume(self) -> None:
        self._resuming = False
        self.connection.resume()
        self._pumps.write()

    def _close(self) -> None:
        """Close the socket behind the last octets. A peer that does not take them is cut off by the ticker."""
        octets = self.connection.outbox.take()
        if not self._transport.is_closing():
            if octets:
                self._transport.write(octets)
            self._transport.close()

    def abort(self) -> None:
        """Close the socket now, whatever is still to be sent."""
        self._transport.abort()

    def _wake(self) -> None:
        self._pumps.waking.append(self)

    def _report(self, event: str, **fields: Any) -> None:
        if "error" in fields:
            log.error(event, connection=self._name, exc_info=fields["error"])
        else:
            level = log.warning if event in WARNINGS else log.info
            level(event, connection=self._name, **fields)


def _address(address: Any) -> str:
    """``host:port`` of a TCP peer."""
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address or "local")


def _is_loopback(address: Any) -> bool:
    """Whether a peer is on this machine."""
    if not isinstance(address, tuple):
        return True
    host = ip_address(address[0].partition("%")[0])
    mapped = getattr(host, "ipv4_mapped", None)
    return bool((mapped or host).is_loopback)
