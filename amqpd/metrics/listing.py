"""docs/metrics.md: every family, as it is declared. ``python -m amqpd.metrics.listing >docs/metrics.md`` writes it."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from amqpd.metrics.families import CLUSTER, DETAILED_ONLY, OBJECTS, RABBITMQ_ONLY, WHOLE
from amqpd.metrics.tables import NOT_DETAILED, Family, Table, greatest

OWN = {
    "channel_info",
    "connection_blocked",
    "connection_info",
    "connection_pending_bytes",
    "connections_blocked",
    "event_loop_lag_seconds",
    "exchange_messages_unroutable",
    "exchanges",
    "gc_pause_seconds",
    "global_messages_rejected",
    "memory_used_bytes",
    "queue_ack_rate",
    "queue_ack_seconds",
    "queue_blocked_seconds",
    "queue_delivery_rate",
    "queue_message_wait_seconds",
    "queue_messages_refused",
    "queue_oldest_ready_age_seconds",
    "queue_oldest_unacked_age_seconds",
    "queue_publish_rate",
    "queue_seconds_until_empty",
    "ready",
    "store_commit_seconds",
    "store_file_bytes",
    "store_group_changes",
    "store_waiting_bytes",
    "store_waiting_limit_bytes",
    "uptime_seconds",
}
"""What RabbitMQ has nothing like."""

INTRODUCTION = """\
# Metrics

Every metric, as `amqpd/metrics/families/` declares it; `python -m amqpd.metrics.listing >docs/metrics.md` writes this.

Names in **bold** are amqpd's own; the others are RabbitMQ's, with `amqpd_` for `rabbitmq_`. A histogram has samples of
its name with `_bucket`, `_sum` and `_count`. `family` is what `/metrics/detailed?family=` knows a metric by, there with
the prefix `amqpd_detailed_`; where there is none, it is on the other pages only. Counters begin at 0 when the broker
starts, those of an object when it is made.

Not in the tables, but on the pages: `amqpd_identity_info` and `amqpd_build_info`, whose labels say who answers and what
runs there; `amqpd_alarms_file_descriptor_limit`, which is 1 if more than 90 % of the file descriptors are in use, and
blocks nobody; `amqpd_process_*` and `python_*`, what the operating system and the interpreter know of the process.
"""

AS_ONE = {sum: "the sum", greatest: "the greatest", None: ""}


def page() -> str:
    """The whole of it."""
    return "\n".join(
        [
            INTRODUCTION,
            "## The broker and its process\n",
            _table(_lines(WHOLE, "amqpd")),
            "With `--metrics-prefix rabbitmq` also:\n",
            _table(_lines(RABBITMQ_ONLY, "rabbitmq")),
            "## Queues, exchanges, channels and connections\n",
            "A row each on `/metrics/per-object` and `/metrics/detailed`; `/metrics` has all as one, without labels.\n",
            _table(_lines(OBJECTS, "amqpd", _as_one), "all as one"),
            "## On /metrics/detailed only\n",
            "The metrics of channels take the place of those above where both are asked for.\n",
            _table([*_lines(DETAILED_ONLY, "amqpd_detailed"), *_lines(CLUSTER, "amqpd_cluster")]),
        ]
    )


def _table(lines: Iterable[Sequence[str]], *more: str) -> str:
    columns = ("name", "type", "labels", "family", "what it is", *more)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (columns, ["---"] * len(columns), *lines))


def _lines(tables: Iterable[Table[Any]], prefix: str, *more: Callable[[Family[Any]], str]) -> Iterator[tuple[str, ...]]:
    for table in tables:
        for each in {each.name: each for families in table.families.values() for each in families}.values():
            name = f"`{prefix}_{each.name}{'_total' if each.kind == 'counter' else ''}`"
            yield (
                f"**{name}**" if each.name in OWN else name,
                each.kind,
                _code(table.labels),
                _code(asked for asked, families in table.families.items() if each in families),
                each.documentation,
                *(column(each) for column in more),
            )


def _as_one(each: Family[Any]) -> str:
    return AS_ONE[each.combine] if each.ever is None else "of all that there ever were"


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names if name != NOT_DETAILED)


if __name__ == "__main__":
    sys.stdout.write(page())
