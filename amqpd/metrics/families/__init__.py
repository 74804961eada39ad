"""All families: the tables, by what the pages do with them."""

from typing import Any

from amqpd.metrics.families import channels, cluster, connections, exchanges, node, queues, store, totals
from amqpd.metrics.tables import Table

WHOLE: tuple[Table[Any], ...] = (
    totals.BROKER,
    totals.PROTOCOL,
    totals.QUEUE_TYPES,
    totals.DEAD_LETTERS,
    node.RESOURCES,
    node.SERVER,
    store.PERSISTER,
    store.FILES,
)
"""The broker and its process: the same rows on every page."""

RABBITMQ_ONLY: tuple[Table[Any], ...] = (node.ERLANG,)
"""What makes sense under RabbitMQ's names only; of the whole as well."""

OBJECTS: tuple[Table[Any], ...] = (
    queues.QUEUES,
    queues.RATES,
    queues.INFO,
    exchanges.EXCHANGES,
    exchanges.UNROUTABLE,
    channels.CHANNELS,
    channels.INFO,
    channels.CONSUMERS,
    connections.CONNECTIONS,
    connections.INFO,
)
"""What there are many of: a row each, or all as one."""

DETAILED_ONLY: tuple[Table[Any], ...] = (channels.QUEUES,)
"""The same families as one of ``OBJECTS`` has, by more labels: where they are asked for, they take their place."""

CLUSTER: tuple[Table[Any], ...] = (cluster.VHOSTS, cluster.EXCHANGES)
"""What is the same on each node of a cluster. In detail only, under a prefix of their own."""
