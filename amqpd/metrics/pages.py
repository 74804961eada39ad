"""The pages there are, and what ``/metrics/detailed`` may be asked for."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from amqpd.metrics.families import CLUSTER, DETAILED_ONLY, OBJECTS, RABBITMQ_ONLY, WHOLE
from amqpd.metrics.tables import NOT_DETAILED

PROCESS_FAMILIES = "node_coarse_metrics"
PROCESS_LIMITS = "node_metrics"
"""Under these names /metrics/detailed has what the operating system knows of the process too, and what there may be of
it; see :mod:`amqpd.metrics.process`."""

NAMES = {
    name
    for table in (*WHOLE, *RABBITMQ_ONLY, *OBJECTS, *DETAILED_ONLY, *CLUSTER)
    for name in table.families
    if name != NOT_DETAILED
}
"""What families can be asked for by."""

NOTHING_HERE = {
    "auth_attempt_detailed_metrics",
    "channel_exchange_metrics",
    "channel_process_metrics",
    "channel_queue_exchange_metrics",
    "queue_exchange_metrics",
    "ra_metrics",
    "stream_consumer_metrics",
}
"""RabbitMQ's names for what amqpd has none of, or not by such labels: what a channel publishes is in channel_metrics,
not told apart by exchange. They may be asked for, since configurations for RabbitMQ do, and give nothing."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page. The rest is of "detailed" only: names of ``families``, and which queues those of queues are for, by
    what labels show of them; empty: any."""

    endpoint: Literal["aggregated", "per-object", "detailed"]
    families: frozenset[str] = frozenset()
    vhosts: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()


AGGREGATED = Page("aggregated")
PER_OBJECT = Page("per-object")


class BadRequest(ValueError):
    """A page was asked for that cannot be made; the text is for the one who asks."""


def detailed(parameters: Iterable[tuple[str, str]]) -> Page:
    """The page for these parameters, each of which may come more than once.

    Raises BadRequest for a parameter or a family that is not known: a page without them would look as if all were well.
    """
    asked: dict[str, set[str]] = {"family": set(), "vhost": set(), "queue": set()}
    for parameter, value in parameters:
        if parameter not in asked:
            raise BadRequest(f"There is no parameter {parameter!r}: there are {', '.join(asked)}.")
        asked[parameter].add(value)
    unknown = asked["family"] - NAMES - NOTHING_HERE
    if unknown:
        raise BadRequest(f"There is no family {min(unknown)!r}: there are {', '.join(sorted(NAMES))}.")
    return Page("detailed", frozenset(asked["family"]), frozenset(asked["vhost"]), frozenset(asked["queue"]))
