"""The rules a queue follows beside first in, first out: what its arguments and the policies for it come to.

Arguments were checked when the queue was declared, policies when they were set. Where both say something: of times and
lengths the smaller one holds, of the rest the argument (RabbitMQ, ``rabbit_amqqueue_process``).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from amqpd.wire.tables import Table

QUORUM_DELIVERY_LIMIT = 20
"""How often a message of a quorum queue may come back, unless something else is said: RabbitMQ's default since 4.0."""


class Overflow(StrEnum):
    """What becomes of a message when its queue is full."""

    DROP_HEAD = "drop-head"  # it stays, and the oldest goes
    REJECT_PUBLISH = "reject-publish"  # it is refused, and its publisher told by a nack
    REJECT_PUBLISH_DLX = "reject-publish-dlx"  # the same, and it is dead-lettered


class TimeoutAction(StrEnum):
    """What happens to a consumer that does not acknowledge in time."""

    REQUEUE = "requeue"  # the delivery goes back to the queue, and all else goes on
    CHANNEL_CLOSE = "channel-close"  # its channel is closed with 406, as by RabbitMQ


@dataclass(frozen=True, slots=True)
class QueueRules:
    """Times in milliseconds, sizes in octets of bodies; None: no such rule.

    ``max_length`` and ``max_length_bytes`` are about ready messages. ``expires`` is how long the queue may be unused.
    ``delivery_limit`` is how often a message may come back before it is dropped. ``message_times`` is whether it is
    measured how long messages wait and how long consumers take; None: as the broker does it.
    """

    message_ttl: int | None = None
    expires: int | None = None
    max_length: int | None = None
    max_length_bytes: int | None = None
    overflow: Overflow = Overflow.DROP_HEAD
    dead_letter_exchange: str | None = None
    dead_letter_routing_key: str | None = None
    delivery_limit: int | None = None
    consumer_timeout: int | None = None
    consumer_timeout_action: TimeoutAction = TimeoutAction.REQUEUE
    message_times: bool | None = None

    @property
    def limited(self) -> bool:
        """Whether its length has a limit."""
        return self.max_length is not None or self.max_length_bytes is not None

    @property
    def about_arrivals(self) -> bool:
        """Whether a message that comes must be looked at."""
        return self.limited or self.message_ttl is not None


PLAIN = QueueRules()
"""Of a queue without arguments and policies."""

SMALLER = ("message-ttl", "expires", "max-length", "max-length-bytes", "delivery-limit", "consumer-timeout")
"""Settings of which the smaller one holds."""

OTHERS = ("overflow", "dead-letter-exchange", "dead-letter-routing-key", "consumer-timeout-action", "message-times")
"""Settings of which the argument holds."""


def rules_of(arguments: Table, policy: Table | None = None) -> QueueRules:
    """The rules for a queue with these arguments (``x-message-ttl``), under what policies come to
    (``message-ttl``)."""
    settings: dict[str, Any] = {key: arguments["x-" + key] for key in SMALLER + OTHERS if "x-" + key in arguments}
    for key, value in (policy or {}).items():
        if key in OTHERS:
            settings.setdefault(key, value)
        elif key in SMALLER:
            settings[key] = smaller(value, settings.get(key, value))
    if arguments.get("x-queue-type") == "quorum":
        settings.setdefault("delivery-limit", QUORUM_DELIVERY_LIMIT)
    if settings.get("delivery-limit", 0) < 0:
        del settings["delivery-limit"]
    if "overflow" in settings:
        settings["overflow"] = Overflow(settings["overflow"])
    if "consumer-timeout-action" in settings:
        settings["consumer-timeout-action"] = TimeoutAction(settings["consumer-timeout-action"])
    rules = QueueRules(**{key.replace("-", "_"): value for key, value in settings.items()})
    return PLAIN if rules == PLAIN else rules


def smaller(one: Any, other: Any) -> Any:
    """The smaller of two numbers; a negative one, as a delivery limit may be, is no limit."""
    return max(one, other) if min(one, other) < 0 else min(one, other)
