"""The headers exchange and its patterns: which message headers a binding's arguments ask for.

``x-match`` says whether all of them or any of them must be there; keys that start with ``x-`` are passed over unless it
is ``all-with-x`` or ``any-with-x``. A void argument asks only that the header is there. The specification leaves open
when two values are the same (0-9-1, section 3.1.3.4); here it is as in RabbitMQ 3: numbers and times by value, whatever
their type, text by its octets, and a boolean is neither. Within arrays and tables all types and the order count.
"""

from collections.abc import Iterable, Mapping

from amqpd.broker.exchanges.erlang import erlang_term
from amqpd.broker.exchanges.exchange import Binding, BindingKey, Exchange
from amqpd.broker.host import Host
from amqpd.broker.message import Message
from amqpd.broker.records import BindingRecord, ExchangeRecord
from amqpd.broker.sink import Sink
from amqpd.errors import PreconditionFailed
from amqpd.wire.tables import FieldValue, Table, encode_table, type_name

MODES = ("all", "any", "all-with-x", "any-with-x")

Comparable = tuple[str, bool | int | float | bytes]
"""A field value, so that ``==`` says what the exchange means by the same value: its kind and what is compared."""

_ANYTHING: Comparable = ("anything", b"")


class HeadersExchange(Exchange):
    """The binding's arguments are a pattern of headers. The routing key has no say."""

    type = "headers"
    per_message = True

    def __init__(self, record: ExchangeRecord, host: Host) -> None:
        super().__init__(record, host)
        self._patterns: dict[BindingKey, HeadersPattern] = {}

    def check(self, record: BindingRecord) -> None:
        HeadersPattern(record.arguments)

    def match(self, routing_key: str, message: Message | None) -> Iterable[Sink | Exchange]:
        headers = comparable(message.headers if message is not None else {})
        return (self.bindings[key].destination for key, pattern in self._patterns.items() if pattern.matches(headers))

    def _index(self, key: BindingKey, binding: Binding) -> None:
        self._patterns[key] = HeadersPattern(binding.record.arguments)

    def _unindex(self, key: BindingKey, binding: Binding) -> None:
        del self._patterns[key]


class HeadersPattern:
    """The arguments of a binding to a headers exchange, made ready to match.

    PreconditionFailed: ``x-match`` is wrong.
    """

    __slots__ = ("_every", "_wanted")

    def __init__(self, arguments: Table) -> None:
        mode = arguments.get("x-match", "all")
        if not isinstance(mode, str):
            raise PreconditionFailed(
                f"Invalid x-match field type {type_name(mode)} (value {erlang_term(mode)}); expected longstr"
            )
        if mode not in MODES:
            raise PreconditionFailed(
                f"Invalid x-match field value {erlang_term(mode)}; expected all, any, all-with-x, or any-with-x"
            )
        self._every = mode.startswith("all")
        self._wanted = [
            (key, _ANYTHING if value is None else _comparable(value))
            for key, value in arguments.items()
            if key != "x-match" and (mode.endswith("-with-x") or not key.startswith("x-"))
        ]

    def matches(self, headers: Mapping[str, Comparable]) -> bool:
        """All: every argument is met, also when there is none. Any: one is met, so never when there is none."""
        met = (key in headers and wanted in (_ANYTHING, headers[key]) for key, wanted in self._wanted)
        return all(met) if self._every else any(met)


def comparable(headers: Table) -> dict[str, Comparable]:
    """Headers, made ready to be matched with patterns."""
    return {key: _comparable(value) for key, value in headers.items()}


def _comparable(value: FieldValue) -> Comparable:
    if isinstance(value, bool):
        return "bool", value
    if isinstance(value, (int, float)):
        return "number", value
    if isinstance(value, bytes):
        return "text", value
    if isinstance(value, str):
        return "text", value.encode("utf-8", "surrogateescape")
    return "other", encode_table({"": value})
