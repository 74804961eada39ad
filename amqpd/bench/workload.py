"""What a run does, as one value.

``Workload`` has every figure a run depends on, so that two runs with equal workloads are the same run. Its ``kind``
says which of the fields count: ``USED`` is that table.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from amqpd.bench.errors import WrongOption

Kind = Literal["flow", "rpc", "churn", "backlog", "idle"]
ExchangeType = Literal["default", "direct", "fanout", "topic", "headers"]

STAMP_SIZE = 9  # octets of a body that carry the time it was sent at; smaller bodies go unmeasured


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Sizes in octets, times in seconds. ``name`` and ``description`` are for people."""

    name: str = "custom"
    description: str = ""
    kind: Kind = "flow"

    producers: int = 1  # connections that publish
    consumers: int = 1  # connections that consume; queues are divided among them, or they share one
    queues: int = 1
    exchange_type: ExchangeType = "default"  # "default": the exchange without a name, routing by the queue's
    bindings: int = 0  # of the exchange, in all; 0: one for each routing key
    routing_keys: int = 0  # different ones; 0: one for each queue
    mixed: bool = False  # every message has other properties
    size: int = 100  # of a body
    confirm: int = 0  # publisher confirms: the most unconfirmed messages of a producer; 0: no confirms
    ack: bool = False  # consumers acknowledge
    ack_every: int = 0  # after so many deliveries, all of them at once; 0: a quarter of the prefetch
    prefetch: int = 1000
    persistent: bool = False  # durable queues, persistent messages
    rate: float = 0.0  # messages a second, of all producers; 0: as fast as they can
    connections: int = 0  # at rest, beside the load
    in_flight: int = 1  # kind rpc: round trips at one time
    messages: int = 1_000_000  # kind backlog: in, then out

    duration: float = 5.0
    warm_up: float = 1.0

    def __post_init__(self) -> None:
        for option, (least, most) in RANGES.items():
            value = getattr(self, option)
            if not least <= value <= most:
                raise WrongOption(option, f"{value:,} is not from {least:,} to {most:,}")
        if self.kind in ("flow", "backlog"):
            self._check_routing()

    def _check_routing(self) -> None:
        """Every message has a queue, and every queue gets messages."""
        if self.exchange_type in ("default", "fanout"):
            for option in ("routing_keys", "bindings"):
                if getattr(self, option):
                    raise WrongOption(option, f"with exchange type {self.exchange_type} there is one for each queue")
        elif self.keys < self.queues:
            raise WrongOption("routing_keys", f"{self.keys:,} routing keys do not reach {self.queues:,} queues")
        elif self.binding_count < self.queues:
            raise WrongOption("bindings", f"{self.binding_count:,} bindings do not reach {self.queues:,} queues")
        elif self.exchange_type == "direct" and self.binding_count < self.keys:
            raise WrongOption("bindings", f"a direct exchange needs one for each of {self.keys:,} routing keys")

    @property
    def keys(self) -> int:
        """How many different routing keys messages have."""
        return 1 if self.exchange_type == "fanout" else self.routing_keys or self.queues

    @property
    def binding_count(self) -> int:
        return self.bindings or self.keys

    @property
    def copies(self) -> int:
        """How many queues each message reaches."""
        return self.queues if self.exchange_type == "fanout" else 1

    @property
    def in_turn(self) -> bool:
        """Whether each role waits while the broker works, and the broker while the role does."""
        return self.kind == "churn" or (self.kind == "rpc" and self.in_flight == 1)

    @property
    def stamped(self) -> bool:
        """Whether bodies have room for the time they were sent at."""
        return self.size >= STAMP_SIZE


RANGES: dict[str, tuple[float, float]] = {
    "producers": (1, 100),  # each is a process
    "consumers": (0, 10_000),
    "queues": (1, 99_999),  # and all numbers in names have five digits: messages of a run have one size
    "bindings": (0, 99_999),
    "routing_keys": (0, 99_999),
    "size": (0, 128 << 20),  # RabbitMQ's limit, by default
    "confirm": (0, 1_000_000),
    "ack_every": (0, 65_535),
    "prefetch": (0, 65_535),  # a short in basic.qos
    "rate": (0, 1_000_000_000),
    "connections": (0, 60_000),  # ports of one address
    "in_flight": (1, 10_000),
    "messages": (1, 1_000_000_000),
    "duration": (0.1, 86_400),
    "warm_up": (0, 3_600),
}

_TIMES = frozenset({"duration", "warm_up"})
_MESSAGES = frozenset(
    {"producers", "consumers", "queues", "exchange_type", "bindings", "routing_keys", "mixed", "size", "persistent"}
    | {"confirm", "ack", "ack_every", "prefetch", "connections"}
)
USED: dict[Kind, frozenset[str]] = {
    "flow": _MESSAGES | _TIMES | {"rate"},
    "rpc": _TIMES | {"size", "persistent", "in_flight", "connections"},
    "churn": _TIMES | {"producers", "size", "connections"},
    "backlog": _MESSAGES | {"messages"},
    "idle": frozenset({"connections"}),
}


def with_options(workloads: Sequence[Workload], **options: Any) -> list[Workload]:
    """These workloads with other values, each with those that it uses.

    Raises WrongOption for a value out of range, and for one that no workload uses.
    """
    for option in options:
        if not any(option in USED[workload.kind] for workload in workloads):
            raise WrongOption(option, f"{', '.join(workload.name for workload in workloads)} does not use it")
    return [
        replace(workload, **{option: value for option, value in options.items() if option in USED[workload.kind]})
        for workload in workloads
    ]


def share(count: int, roles: int, role: int) -> range:
    """Which of ``count`` things the one of ``roles`` that has number ``role`` deals with.

    They are dealt out like cards; where there are fewer things than roles, some roles share one.
    """
    return range(role, count, roles) if count >= roles else range(role % count, role % count + 1)
