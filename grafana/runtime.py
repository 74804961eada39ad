"""Runtime and store: what the process and its disk do, for finding out why messages are late."""

from grafana_foundation_sdk.models import units

from grafana.board import board
from grafana.panels import NOT_SCRAPED, heat, timeseries
from grafana.promql import greatest, quantiles, rate, select, total

FILE = "instance, file"

NO_STORE = "amqpd keeps nothing on a disk"
NO_COMMIT = "nothing was committed"

PROCESS = [
    timeseries(
        "Lateness of the event loop",
        "By how much the one thread that moves all messages was late, looked at ten times a second. It adds to every "
        "delivery. Above some 10 ms: the CPU is used up, or the process waited for memory or for a core. A single long "
        "stop shows in no quantile, but in the sum: the seconds of lateness that came together in a second.",
        units.Seconds,
        *quantiles("amqpd_event_loop_lag_seconds", "instance"),
        ("sum, in a second {{instance}}", rate("amqpd_event_loop_lag_seconds_sum", "instance")),
    ),
    heat(
        "Lateness, all of it",
        "The same as a histogram: each column is a moment, the darker the more. A few cells far up and the rest at the "
        "bottom: single long steps, as a collection of garbage, a large definitions file, or a machine that swaps.",
        units.Seconds,
        "amqpd_event_loop_lag_seconds",
        empty=NOT_SCRAPED,
    ),
    timeseries(
        "CPU",
        "Cores in use. The broker needs one for messages and part of another for the disk: at 1 it is at its limit, "
        "and clients wait. Larger prefetch counts, confirms waited for in batches, and fewer, larger messages cost "
        "less.",
        units.PercentUnit,
        ("{{instance}}", rate("amqpd_process_cpu_seconds_total", "instance")),
        empty="not known on this system",
    ),
    timeseries(
        "Memory",
        "Resident memory of the process, what counts for the watermark, and the watermark, at which publishers are "
        "blocked. Waiting messages go to the disk; what stays is what consumers hold, connections, queues.",
        units.BytesIEC,
        ("resident {{instance}}", greatest("amqpd_process_resident_memory_bytes", "instance")),
        ("used {{instance}}", greatest("amqpd_memory_used_bytes", "instance")),
        ("limit {{instance}}", greatest("amqpd_resident_memory_limit_bytes", "instance")),
    ),
    timeseries(
        "File descriptors",
        "Open files and sockets against what the system allows the process: one for each connection, and some twenty. "
        "At the limit no connection is accepted; raise it (ulimit -n, LimitNOFILE).",
        units.Short,
        ("open {{instance}}", greatest("amqpd_process_open_fds", "instance")),
        ("limit {{instance}}", greatest("amqpd_process_max_fds", "instance")),
        empty="not known on this system",
    ),
    timeseries(
        "Uptime",
        "Time since the start. A step down to nothing is a restart: the log says why.",
        units.DurationSeconds,
        ("{{instance}}", greatest("amqpd_uptime_seconds", "instance")),
    ),
]

GARBAGE = [
    timeseries(
        "Pauses for garbage",
        "How long Python's collections of cyclic garbage stopped everything. Below a millisecond nobody sees it; long "
        "ones come with very many objects, as millions of unacknowledged messages.",
        units.Seconds,
        *quantiles("amqpd_gc_pause_seconds", "instance"),
        empty="no collection in this time",
    ),
    timeseries(
        "Time spent in pauses",
        "The share of all time in which collections of garbage stopped everything. Above a few per cent: fewer objects "
        "at one time, that is a prefetch count for every consumer.",
        units.PercentUnit,
        ("{{instance}}", rate("amqpd_gc_pause_seconds_sum", "instance")),
    ),
    timeseries(
        "Collections",
        "How often, by generation: 0 looks at the youngest objects only, 2 at all there are.",
        units.OpsPerSecond,
        ("generation {{generation}}", rate("python_gc_collections_total", "generation")),
    ),
]

STORE = [
    timeseries(
        "Commit time",
        "From the cut of a group of changes until it was safe on the disk. A publisher that waits for a confirm "
        "waits at least as long. Above 100 ms: the disk is slow or busy with something else; a virtual disk may have "
        "a budget.",
        units.Seconds,
        *quantiles("amqpd_store_commit_seconds", FILE),
        empty=NO_COMMIT,
    ),
    heat(
        "Commit time, all of it",
        "The same as a histogram, over all files. Two bands: some writes meet a disk that is doing something else.",
        units.Seconds,
        "amqpd_store_commit_seconds",
        empty=NO_COMMIT,
    ),
    timeseries(
        "Size of a group",
        "How many changes one commit made safe. It grows by itself under load: what comes while the disk is busy goes "
        "together. Near 1 under load: each publisher waits for its confirm before it sends the next message.",
        units.Short,
        *quantiles("amqpd_store_group_changes", FILE),
        empty=NO_COMMIT,
    ),
    timeseries(
        "Commits",
        "Groups made safe each second, and messages written in them. What was acknowledged before its turn came is "
        "never written.",
        units.OpsPerSecond,
        ("commits {{file}}", rate("amqpd_store_commit_seconds_count", "file")),
        ("messages written", rate("amqpd_msg_store_write_total")),
        ("messages read back", rate("amqpd_msg_store_read_total")),
        empty=NO_STORE,
    ),
    timeseries(
        "Waiting for the disk",
        "Octets handed to the store that are not on the disk yet. At the limit of a file publishers have to wait. Near "
        "that for long: more is published than the disk can take.",
        units.BytesIEC,
        ("{{instance}} {{file}}", total("amqpd_store_waiting_bytes", FILE)),
        ("limit {{instance}} {{file}}", greatest("amqpd_store_waiting_limit_bytes", FILE)),
        empty=NO_STORE,
    ),
    timeseries(
        "Size of the files",
        "Space that the files take. Freed space is used again and the file does not shrink: amqpd store compact "
        "gives it back. spill.mdb holds what is not durable and has no room in memory; it is empty after a start.",
        units.BytesIEC,
        ("{{file}}", total("amqpd_store_file_bytes", "file")),
        empty=NO_STORE,
    ),
    timeseries(
        "Octets to and from the disk",
        "What the store wrote, and what it read back for queues that are longer than their memory.",
        units.BytesPerSecondSI,
        ("written", rate("amqpd_io_write_bytes_total")),
        ("read", rate("amqpd_io_read_bytes_total")),
        empty=NO_STORE,
    ),
    timeseries(
        "Operations",
        "How often the store committed, which is a write and a sync in one, and how often it read back.",
        units.IOOpsPerSecond,
        ("commits", rate("amqpd_io_sync_ops_total")),
        ("reads", rate("amqpd_io_read_ops_total")),
        empty=NO_STORE,
    ),
    timeseries(
        "Time with the disk",
        "The share of all time in which a file was being committed, and in which the one thread that reads for all "
        "files did so. Commits near 100 %: the disk is the limit, and only a faster one, or fewer and larger messages, "
        "will help. Reads near 100 %: so they are for queues that are longer than their memory.",
        units.PercentUnit,
        ("commits {{instance}} {{file}}", rate("amqpd_store_commit_seconds_sum", FILE)),
        ("reads {{instance}}", rate("amqpd_io_read_time_seconds_total", "instance")),
        empty=NO_STORE,
    ),
]

SCRAPES = [
    timeseries(
        "Time of a scrape",
        "How long Prometheus waited for the metrics, by job. Seconds: very many queues or connections; scrape "
        "/metrics/detailed less often, or for one virtual host, and leave out the job amqpd-connections.",
        units.Seconds,
        ("{{job}} {{instance}}", select("scrape_duration_seconds")),
        width=12,
    ),
    timeseries(
        "Samples of a scrape",
        "How many values each scrape brought. Prometheus keeps all of them: this is what watching costs.",
        units.Short,
        ("{{job}} {{instance}}", select("scrape_samples_scraped")),
        width=12,
    ),
]

RUNTIME = board(
    "amqpd-runtime",
    "Runtime and store",
    "The process, its event loop and memory, the commits of the store, and what the scrapes cost. Needs /metrics only.",
    {
        "Process": PROCESS,
        "Garbage": GARBAGE,
        "Store": STORE,
        "Scrapes": SCRAPES,
    },
)
