"""The families of the store: RabbitMQ's, of all files together, and ours of each."""

from amqpd.metrics.statistics import JournalStatistics
from amqpd.metrics.tables import Table, counter, gauge, histogram

PERSISTER: Table[tuple[JournalStatistics, ...]] = Table(
    labels=(),
    rows=lambda snapshot: (snapshot.server.journals,),
    label_values=lambda _journals: (),
    families={
        "node_persister_metrics": (
            counter("io_sync_ops", "Commits", lambda journals: sum(each.commits.count for each in journals)),
            counter(
                "io_sync_time_seconds",
                "Time from the cut of a group of changes until it was safe",
                lambda journals: sum(each.commits.total for each in journals),
            ),
            counter(
                "io_write_ops",
                "Groups of changes written: there is one for each commit",
                lambda journals: sum(each.commits.count for each in journals),
            ),
            counter(
                "io_write_bytes",
                "Octets of changes written",
                lambda journals: sum(each.octets_written for each in journals),
            ),
            counter(
                "io_write_time_seconds",
                "The same as io_sync_time_seconds, of which writing is a part",
                lambda journals: sum(each.commits.total for each in journals),
            ),
            counter("io_read_ops", "Reads of messages", lambda journals: sum(each.reads for each in journals)),
            counter(
                "io_read_bytes",
                "Octets of messages read",
                lambda journals: sum(each.octets_read for each in journals),
            ),
            counter(
                "io_read_time_seconds",
                "Time in which messages were read, by one thread for all files",
                lambda journals: sum(each.read_s for each in journals),
            ),
            counter(
                "msg_store_write",
                "Messages written",
                lambda journals: sum(each.messages_written for each in journals),
            ),
            counter(
                "msg_store_read",
                "Messages read",
                lambda journals: sum(each.messages_read for each in journals),
            ),
        )
    },
)

FILES: Table[JournalStatistics] = Table(
    labels=("file",),
    rows=lambda snapshot: snapshot.server.journals,
    label_values=lambda journal: (journal.file,),
    families={
        "store_metrics": (
            histogram(
                "store_commit_seconds",
                "Time from the cut of a group of changes until it was safe",
                lambda journal: journal.commits,
            ),
            histogram("store_group_changes", "Changes in a group that was committed", lambda journal: journal.groups),
            gauge(
                "store_file_bytes", "Size of the file; freed space stays in it", lambda journal: journal.octets_in_file
            ),
            gauge(
                "store_waiting_bytes",
                "Memory of messages that are not written yet",
                lambda journal: journal.waiting,
            ),
            gauge(
                "store_waiting_limit_bytes",
                "Memory of messages that are not written yet above which publishers have to wait",
                lambda journal: journal.waiting_limit,
            ),
        )
    },
)
