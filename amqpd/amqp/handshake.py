"""From the protocol header to connection.open: version, login, limits, virtual host (specification 0-9-1, 2.2.4).

The handshake says what to answer and what was agreed; the connection sends it. Both sides may lower a limit, neither
may raise it, and 0 stands for "no limit".
"""

import platform
from collections.abc import Callable

from amqpd import __version__
from amqpd.amqp.limits import Limits
from amqpd.amqp.sasl import MECHANISMS, BadResponse
from amqpd.auth.users import AuthenticationFailed
from amqpd.broker.broker import Broker
from amqpd.broker.client import Client
from amqpd.errors import LoginRefused, NotAllowed
from amqpd.wire.constants import FRAME_MIN_SIZE, PROTOCOL_HEADER
from amqpd.wire.methods import ConnectionOpen, ConnectionStart, ConnectionStartOk, ConnectionTune, ConnectionTuneOk
from amqpd.wire.tables import Table

PROTOCOL_HEADERS = (PROTOCOL_HEADER, b"AMQP\x01\x01\x00\x09")
"""What a client may begin with: 0-9-1, or the header of 0-9, which RabbitMQ takes for the same."""

CAPABILITIES: Table = {
    "publisher_confirms": True,
    "exchange_exchange_bindings": True,
    "basic.nack": True,
    "consumer_cancel_notify": True,
    "connection.blocked": True,
    "authentication_failure_close": True,
    "per_consumer_qos": True,
    "direct_reply_to": True,
}
"""What clients look for before they use it. Only what works is here."""

SERVER_PROPERTIES: Table = {
    "capabilities": CAPABILITIES,
    "product": "amqpd",
    "version": __version__,
    "platform": f"{platform.python_implementation()} {platform.python_version()}",
    "information": "Licensed under the Apache License 2.0",
}


class Handshake:
    """What has been agreed with one peer so far. ``loopback`` says that the peer is on this machine, ``name`` is
    that of its connection.

    ``refusal`` is why the login was refused, for the log: the peer is not told.
    """

    def __init__(self, broker: Broker, limits: Limits, loopback: bool, name: str) -> None:
        self.client_properties: Table = {}
        self.mechanism = ""
        self.user = ""
        self.refusal = ""
        self.vhost = ""
        self.channel_max = limits.channel_max
        # "Until the frame-max has been negotiated, both peers MUST accept frames of up to frame-min-size octets large"
        self.frame_max = FRAME_MIN_SIZE
        self.heartbeat_s = 0
        self._broker = broker
        self._limits = limits
        self._loopback = loopback
        self._name = name

    def start(self) -> ConnectionStart:
        return ConnectionStart(
            server_properties=SERVER_PROPERTIES, mechanisms=" ".join(MECHANISMS).encode(), locales=b"en_US"
        )

    @property
    def reads_refusal(self) -> bool:
        """Whether the client takes a connection.close for a refused login. The others see their socket closed, as in
        RabbitMQ, which for an unknown mechanism tells nobody."""
        return self.mechanism in MECHANISMS and self.client_can("authentication_failure_close")

    def client_can(self, capability: str) -> bool:
        """Whether the client has announced a capability."""
        capabilities = self.client_properties.get("capabilities")
        return isinstance(capabilities, dict) and capabilities.get(capability) is True

    def on_start_ok(self, method: ConnectionStartOk) -> ConnectionTune:
        """Check the login and propose limits. LoginRefused: why is in ``refusal``."""
        self.client_properties = method.client_properties
        self.mechanism = method.mechanism
        try:
            name, password = self._credentials(method)
            self.user = name
            self._broker.users.authenticate(name, password, loopback=self._loopback)
        except (AuthenticationFailed, BadResponse) as reason:
            self.refusal = str(reason)
            self._broker.totals.auth_failed += 1
            raise LoginRefused(
                f"Login was refused using authentication mechanism {method.mechanism}. "
                "For details see the broker logfile."
            ) from reason
        self._broker.totals.auth_succeeded += 1
        limits = self._limits
        return ConnectionTune(channel_max=limits.channel_max, frame_max=limits.frame_max, heartbeat=limits.heartbeat_s)

    def _credentials(self, method: ConnectionStartOk) -> tuple[str, bytes]:
        mechanism: Callable[[bytes], tuple[str, bytes]] | None = MECHANISMS.get(method.mechanism)
        if mechanism is None:
            raise BadResponse("unknown authentication mechanism")
        return mechanism(method.response)

    def on_tune_ok(self, method: ConnectionTuneOk) -> None:
        """Take the client's limits. NotAllowed: it raised one, or its frames would be too small.

        The heartbeat is the client's to choose, 0 for none.
        """
        _check("frame_max", method.frame_max, FRAME_MIN_SIZE, self._limits.frame_max)
        _check("channel_max", method.channel_max, 1, self._limits.channel_max)
        self.frame_max = method.frame_max
        self.channel_max = method.channel_max
        self.heartbeat_s = method.heartbeat

    def on_open(self, method: ConnectionOpen) -> Client:
        """Enter the virtual host. NotAllowed: not this user, or not there, or no one more."""
        client = self._broker.connect(self.user, method.virtual_host, self._name)
        self.vhost = method.virtual_host
        return client

    def describe(self) -> dict[str, str]:
        """Who the client is, as far as that is known by now, and in its own words, for the log."""
        names = {"product": "product", "version": "product_version", "connection_name": "connection_name"}
        said = {name: self.client_properties.get(key) for key, name in names.items()}
        found = {"user": self.user, "vhost": self.vhost, **said}
        return {name: value[:255] for name, value in found.items() if isinstance(value, str) and value}


def _check(field: str, value: int, least: int, most: int) -> None:
    """A negotiated value, where 0 is no limit. ``most`` 0: we set none."""
    if value and value < least:
        raise NotAllowed(f"negotiated {field} = {value} is lower than the minimum allowed value ({least})")
    if most and (value == 0 or value > most):
        shown = "0 (no limit)" if value == 0 else str(value)
        raise NotAllowed(f"negotiated {field} = {shown} is higher than the maximum allowed value ({most})")
