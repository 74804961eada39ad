"""A published message, as the broker keeps it: three byte strings.

The address and the content header stay as they came from the wire and are sent on as they are: RabbitMQ keeps
properties byte-exact too, and what is not decoded costs nothing. What a feature needs is read from them when it needs
it. A message refers to nothing but octets (it is *acyclic*), so the garbage collector need not look at it; it can be
told so where this is compiled.
"""

from collections.abc import Sequence

from mypy_extensions import mypyc_attr

from amqpd.histogram import Histogram
from amqpd.wire import properties
from amqpd.wire.properties import Properties
from amqpd.wire.tables import Table

FLAGS_AT = 12
"""Where a content header has the flags of its first eight properties (4.2.6.1)."""

HAS_HEADERS = 0x20
HAS_EXPIRATION = 0x01
"""Two of those flags."""

PERSISTENT = 2
"""The delivery-mode of a message that shall survive a restart (specification 0-9-1, basic.delivery-mode)."""


@mypyc_attr(acyclic=True)
class Message:
    """One published message. Never changed after it was made, and shared by all queues that it was routed to.

    ``address``: the exchange and the routing key, two short strings one after the other, as basic.publish carries them
    and basic.deliver repeats them. ``header``: the payload of the content header frame (class, weight, body size,
    property flags, property list). ``body``: the content, whole.
    """

    __slots__ = ("address", "body", "header")

    def __init__(self, address: bytes, header: bytes, body: bytes) -> None:
        self.address = address
        self.header = header
        self.body = body

    @property
    def exchange(self) -> str:
        """The exchange it was published to; ``""`` is the default exchange."""
        return split_address(self.address)[0]

    @property
    def routing_key(self) -> str:
        return split_address(self.address)[1]

    @property
    def properties(self) -> Properties:
        """All properties, decoded anew at each call."""
        return properties.decode_properties(self.header)

    @property
    def headers(self) -> Table:
        """The ``headers`` table among the properties; empty when there is none."""
        return properties.headers(self.header)

    @property
    def persistent(self) -> bool:
        return properties.delivery_mode(self.header) == PERSISTENT


@mypyc_attr(acyclic=True)
class TimedMessage(Message):
    """A message as one queue keeps it that lets it expire: what others have of it is not concerned.

    ``deadline``: when that is, in milliseconds since 1970.
    """

    __slots__ = ("deadline",)

    def __init__(self, address: bytes, header: bytes, body: bytes, deadline: int) -> None:
        super().__init__(address, header, body)
        self.deadline = deadline


def make_message(exchange: str, routing_key: str, body: bytes, of: Properties | None = None) -> Message:
    """A message from plain values. ValueError: a name of more than 255 octets, or a property that cannot be encoded."""
    header = properties.encode_header(len(body), of or Properties())
    return Message(join_address(exchange, routing_key), header, body)


def join_address(exchange: str, routing_key: str) -> bytes:
    """Exchange and routing key as two short strings. ValueError: one of them has more than 255 octets."""
    source = exchange.encode("utf-8", "surrogateescape")
    key = routing_key.encode("utf-8", "surrogateescape")
    if len(source) > 255 or len(key) > 255:
        raise ValueError("an exchange name or a routing key has at most 255 octets")
    return b"%c%b%c%b" % (len(source), source, len(key), key)


def split_address(address: bytes) -> tuple[str, str]:
    """The inverse of :func:`join_address`."""
    key_at = 1 + address[0]
    exchange = address[1:key_at].decode("utf-8", "surrogateescape")
    return exchange, address[key_at + 1 :].decode("utf-8", "surrogateescape")


def observe_sizes(messages: Sequence[Message], octets: int, sizes: Histogram) -> None:
    """Count how large these are, each with a size of its own; mostly they all belong into one bucket."""
    least = greatest = len(messages[0].body)
    for message in messages:
        size = len(message.body)
        if size < least:
            least = size
        elif size > greatest:
            greatest = size
    if not sizes.observe_alike(least, greatest, len(messages), octets):
        for message in messages:
            sizes.observe(len(message.body))
