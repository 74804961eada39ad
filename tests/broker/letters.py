"""Messages as the model of the broker knows them: by a number, and by what is written on them."""

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import takewhile
from typing import Any, NamedTuple

from amqpd.broker.message import Message, split_address
from amqpd.wire.properties import Properties, decode_properties

RUN = 10
"""Numbers in a run of messages. They have bodies of one size; the first, if there is such a message, has none."""


class Death(NamedTuple):
    """An entry of x-death."""

    queue: str
    reason: str
    count: int
    time_s: int
    exchange: str
    routing_key: str
    expiration: str | None


@dataclass(frozen=True)
class Letter:
    """A message: no two of one queue are alike. A copy has died elsewhere, or as often as no other has."""

    number: int
    exchange: str
    routing_key: str
    persistent: bool = False
    priority: int | None = None
    expiration: str | None = None
    deaths: tuple[Death, ...] = ()  # latest first
    first_death: tuple[str, str, str] | None = None
    last_death: tuple[str, str, str] | None = None

    @property
    def size(self) -> int:
        """Octets of its body: the same for all of a run."""
        run, place = divmod(self.number, RUN)
        return 20 + run * 140 % 300 if place else 0

    @property
    def body(self) -> bytes:
        return str(self.number).encode().ljust(self.size, b".") if self.size else b""

    @property
    def properties(self) -> Properties:
        """What its publisher says. Without a body it has its number here."""
        return Properties(
            delivery_mode=2 if self.persistent else None,
            priority=self.priority,
            expiration=self.expiration,
            message_id=None if self.size else str(self.number),
        )

    def after_death(self, queue: str, reason: str, now: int, exchange: str, routing_key: str | None) -> "Letter":
        """The message as it is published again, to this exchange."""
        same = [death for death in self.deaths if (death.queue, death.reason) == (queue, reason)]
        others = [death for death in self.deaths if death not in same]
        first_time = Death(queue, reason, 0, now // 1000, self.exchange, self.routing_key, self.expiration)
        death = (same or [first_time])[0]
        summary = self.exchange, queue, reason
        return replace(
            self,
            exchange=exchange,
            routing_key=self.routing_key if routing_key is None else routing_key,
            expiration=None,
            deaths=(death._replace(count=death.count + 1), *others),
            first_death=self.first_death or summary,
            last_death=summary,
        )

    def has_come_round(self, queue: str) -> bool:
        """Whether it was in this queue before, and no consumer has rejected it since."""
        since = [*takewhile(lambda death: death.queue != queue, self.deaths)]
        round_trip = self.deaths[: len(since) + 1]
        return len(round_trip) > len(since) and all(death.reason != "rejected" for death in round_trip)


def letter_of(message: Message) -> Letter:
    letter = _envelope(message.address, message.header)
    return replace(letter, number=int(message.body.rstrip(b"."))) if message.body else letter


@lru_cache(maxsize=1000)
def _envelope(address: bytes, header: bytes) -> Letter:
    properties = decode_properties(header)
    headers: dict[str, Any] = properties.headers or {}
    exchange, routing_key = split_address(address)
    return Letter(
        number=int(properties.message_id or 0),
        exchange=exchange,
        routing_key=routing_key,
        persistent=properties.delivery_mode == 2,
        priority=properties.priority,
        expiration=properties.expiration,
        deaths=tuple(map(_death, headers.get("x-death", []))),
        first_death=_summary(headers, "first"),
        last_death=_summary(headers, "last"),
    )


def _death(table: dict[str, Any]) -> Death:
    (routing_key,) = table["routing-keys"]
    return Death(
        queue=table["queue"],
        reason=table["reason"],
        count=table["count"],
        time_s=table["time"],
        exchange=table["exchange"],
        routing_key=routing_key,
        expiration=table.get("original-expiration"),
    )


def _summary(headers: dict[str, Any], of: str) -> tuple[str, str, str] | None:
    if f"x-{of}-death-queue" not in headers:
        return None
    return tuple(headers[f"x-{of}-death-{name}"] for name in ("exchange", "queue", "reason"))
