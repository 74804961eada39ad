"""The families of the process and the machine; what the operating system knows of it is in
:mod:`amqpd.metrics.process`."""

from amqpd.broker.statistics import BrokerStatistics
from amqpd.metrics.process import MEMORY_USED
from amqpd.metrics.statistics import ServerStatistics
from amqpd.metrics.tables import NOT_DETAILED, Table, gauge, histogram

RESOURCES: Table[BrokerStatistics] = Table(
    labels=(),
    rows=lambda snapshot: (snapshot.broker,),
    label_values=lambda _broker: (),
    families={
        NOT_DETAILED: (
            gauge(
                "alarms_memory_used_watermark",
                "1 if memory is low, and publishers are blocked",
                lambda broker: broker.memory_alarm,
            ),
            gauge(
                "alarms_free_disk_space_watermark",
                "1 if disk space is low, and publishers are blocked",
                lambda broker: broker.disk_alarm,
            ),
        ),
        "node_coarse_metrics": (
            gauge(
                "memory_used_bytes",
                MEMORY_USED,
                lambda broker: broker.memory_used,
            ),
            gauge("disk_space_available_bytes", "Free space where the store is", lambda broker: broker.disk_free),
        ),
        "node_metrics": (
            gauge(
                "resident_memory_limit_bytes",
                "Use of memory above which publishers are blocked",
                lambda broker: broker.memory_limit,
            ),
            gauge(
                "disk_space_available_limit_bytes",
                "Free space below which publishers are blocked",
                lambda broker: broker.disk_free_limit,
            ),
        ),
    },
)

SERVER: Table[ServerStatistics] = Table(
    labels=(),
    rows=lambda snapshot: (snapshot.server,),
    label_values=lambda _server: (),
    families={
        "node_metrics": (gauge("uptime_seconds", "Time since the start", lambda server: server.uptime_s),),
        "process_metrics": (
            gauge(
                "ready",
                "0 if no client should be sent here now: while it drains, or an alarm blocks publishers",
                lambda server: not server.not_ready,
            ),
            histogram(
                "event_loop_lag_seconds",
                "How late the event loop was, looked at ten times a second",
                lambda server: server.loop_lag,
            ),
            histogram(
                "gc_pause_seconds",
                "How long collections of garbage took, in which nothing else happens",
                lambda server: server.gc_pauses,
            ),
        ),
    },
)

ERLANG: Table[ServerStatistics] = Table(
    labels=(),
    rows=lambda snapshot: (snapshot.server,),
    label_values=lambda _server: (),
    families={
        "node_metrics": (gauge("erlang_uptime_seconds", "Time since the start", lambda server: server.uptime_s),)
    },
)
