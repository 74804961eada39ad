"""RabbitMQ's metrics: of both brokers, the same traffic makes the same samples under the same names.

amqpd is started with RabbitMQ's names (``--metrics-prefix rabbitmq``). The broker at ``AMQP_URL`` has its metrics at
``METRICS_URL``, or where RabbitMQ has them by default; where nothing answers, these tests are skipped. What is told of
a broker as a whole is compared by how much it grows, so nobody else may use that broker meanwhile.

Samples are waited for: RabbitMQ's queues and channels tell theirs every five seconds. Names of families are written
without ``rabbitmq_``.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ProbableAuthenticationError, UnroutableError
from prometheus_client.parser import text_string_to_metric_families

from interop.blocking import Inbox, get, publish
from interop.broker_process import BrokerProcess

Connect = Callable[..., pika.BlockingConnection]
OpenChannel = Callable[..., BlockingChannel]
Unique = Callable[[str], str]

METRICS_PORT = 15692
ANSWER_TIMEOUT_S = 5.0
DEADLINE_S = 15.0  # RabbitMQ's queues and channels tell their samples within 5 s, on a machine that is not busy
INTERVAL_S = 0.1

PREFIX = "rabbitmq_"
QUEUE_TYPES = ("classic", "quorum")


class Sample(NamedTuple):
    """One line of a page, without its value."""

    name: str
    labels: frozenset[tuple[str, str]]

    def label(self, name: str) -> str:
        return dict(self.labels)[name]


class Metrics:
    """The metrics of a broker, which begin at ``base``."""

    def __init__(self, base: str) -> None:
        self._base = base

    def open(self, page: str = "", method: str = "GET", **headers: str) -> Any:
        """The answer to a request for ``/metrics`` and what comes after it."""
        return urlopen(Request(self._base + page, headers=headers, method=method), timeout=ANSWER_TIMEOUT_S)

    def read(self, page: str = "") -> dict[Sample, float]:
        """All of the page that is RabbitMQ's."""
        with self.open(page) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        return {
            Sample(sample.name.removeprefix(PREFIX), frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
            if sample.name.startswith(PREFIX)
        }


class Broker(NamedTuple):
    url: str
    metrics: Metrics


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    if "AMQP_URL" not in os.environ:
        process = BrokerProcess(0, "--metrics-prefix", "rabbitmq", data_dir=tmp_path_factory.mktemp("data"))
        yield Broker(process.url, Metrics(process.metrics))
        assert process.stop() == 0, "\n".join(process.log)
        return
    url = os.environ["AMQP_URL"]
    base = os.environ.get("METRICS_URL", f"http://{pika.URLParameters(url).host}:{METRICS_PORT}/metrics")
    metrics = Metrics(base)
    try:
        metrics.read()
    except OSError as error:
        pytest.skip(f"no metrics at {base}: {error}")
    yield Broker(url, metrics)


@pytest.fixture(scope="module")
def url(broker: Broker) -> str:
    """For the fixtures of all tests: these have a broker of their own."""
    return broker.url


@pytest.fixture
def metrics(broker: Broker) -> Metrics:
    return broker.metrics


def wait_for(expected: object, look: Callable[[], object]) -> None:
    """Look until it is what is expected."""
    deadline = time.monotonic() + DEADLINE_S
    while (found := look()) != expected and time.monotonic() < deadline:
        time.sleep(INTERVAL_S)
    assert found == expected


class Growth:
    """How much the samples of the broker as a whole have grown since this was made."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._before = metrics.read()

    def of(self, name: str, **labels: str) -> float:
        return self._of(self._metrics.read(), name, labels)

    def expect(self, expected: Mapping[str, float], **labels: str) -> None:
        """Wait until all that are named here have grown by so much."""

        def look() -> dict[str, float]:
            now = self._metrics.read()
            return {name: self._of(now, name, labels) for name in expected}

        wait_for(expected, look)

    def _of(self, now: dict[Sample, float], name: str, labels: dict[str, str]) -> float:
        sample = Sample(name, frozenset(labels.items()))
        return now[sample] - self._before[sample]


# What there is

WHOLE = {
    (): """
        connections channels consumers queues
        connections_opened_total connections_closed_total channels_opened_total channels_closed_total
        queues_declared_total queues_created_total queues_deleted_total
        process_open_fds process_max_fds process_open_tcp_sockets process_max_tcp_sockets
        process_resident_memory_bytes resident_memory_limit_bytes
        disk_space_available_bytes disk_space_available_limit_bytes erlang_uptime_seconds
        io_read_ops_total io_read_bytes_total io_read_time_seconds_total
        io_write_ops_total io_write_bytes_total io_write_time_seconds_total
        io_sync_ops_total io_sync_time_seconds_total msg_store_read_total msg_store_write_total""",
    ("protocol",): """
        auth_attempts_total auth_attempts_succeeded_total auth_attempts_failed_total
        global_messages_received_total global_messages_received_confirm_total global_messages_routed_total
        global_messages_unroutable_dropped_total global_messages_unroutable_returned_total
        global_messages_confirmed_total global_publishers global_consumers""",
    ("protocol", "queue_type"): """
        global_messages_delivered_total global_messages_acknowledged_total global_messages_redelivered_total
        global_messages_delivered_consume_manual_ack_total global_messages_delivered_consume_auto_ack_total
        global_messages_delivered_get_manual_ack_total global_messages_delivered_get_auto_ack_total
        global_messages_get_empty_total""",
    ("dead_letter_strategy", "queue_type"): """
        global_messages_dead_lettered_expired_total global_messages_dead_lettered_rejected_total
        global_messages_dead_lettered_maxlen_total global_messages_dead_lettered_delivery_limit_total
        global_messages_dead_lettered_confirmed_total""",
}
"""What both have of the broker as a whole, by labels."""

OBJECTS = """
    queue_messages_ready queue_messages_unacked queue_messages queue_consumers
    queue_messages_bytes queue_messages_ready_bytes queue_messages_unacked_bytes
    queue_messages_ram queue_messages_ram_bytes
    queue_messages_published_total
    channel_consumers channel_messages_unacked channel_messages_unconfirmed channel_messages_uncommitted
    channel_acks_uncommitted channel_prefetch consumer_prefetch
    channel_messages_published_total channel_messages_confirmed_total
    channel_messages_unroutable_returned_total channel_messages_unroutable_dropped_total
    channel_get_ack_total channel_get_total channel_get_empty_total
    channel_messages_delivered_ack_total channel_messages_delivered_total
    channel_messages_redelivered_total channel_messages_acked_total
    connection_channels connection_incoming_bytes_total connection_outgoing_bytes_total
    connection_incoming_packets_total connection_outgoing_packets_total"""
"""What both have of queues, channels and connections, and on ``/metrics`` of all as one."""

DETAILED = {
    "queue_coarse_metrics": (
        ("queue", "vhost"),
        "queue_messages_ready queue_messages_unacked queue_messages",
    ),
    "queue_consumer_count": (("queue", "vhost"), "queue_consumers"),
    "queue_metrics": (
        ("queue", "vhost"),
        """queue_consumers queue_consumer_capacity queue_consumer_utilisation queue_messages_ram
        queue_messages_ram_bytes queue_messages_bytes queue_messages_ready_bytes queue_messages_unacked_bytes""",
    ),
    "channel_metrics": (
        ("channel",),
        """channel_consumers channel_messages_unacked channel_messages_unconfirmed channel_messages_uncommitted
        channel_acks_uncommitted channel_prefetch""",
    ),
    "channel_queue_metrics": (
        ("channel", "queue", "vhost"),
        """channel_messages_delivered_ack_total channel_messages_delivered_total channel_messages_redelivered_total
        channel_messages_acked_total""",
    ),
    "connection_churn_metrics": (
        (),
        """connections_opened_total connections_closed_total channels_opened_total channels_closed_total
        queues_declared_total queues_created_total queues_deleted_total""",
    ),
    "auth_attempt_metrics": (
        ("protocol",),
        "auth_attempts_total auth_attempts_succeeded_total auth_attempts_failed_total",
    ),
    "node_coarse_metrics": ((), "process_open_fds process_resident_memory_bytes disk_space_available_bytes"),
    "node_metrics": ((), "resident_memory_limit_bytes disk_space_available_limit_bytes erlang_uptime_seconds"),
    "node_persister_metrics": ((), "io_read_bytes_total io_write_bytes_total io_sync_ops_total msg_store_read_total"),
}
"""What both have on ``/metrics/detailed``: labels and names, by what it is asked for."""

Shape = tuple[str, tuple[str, ...]]


def shapes(samples: dict[Sample, float]) -> set[Shape]:
    """Names with the names of their labels."""
    return {(sample.name, tuple(sorted(name for name, _ in sample.labels))) for sample in samples}


def test_what_there_is_of_the_broker_as_a_whole(metrics: Metrics) -> None:
    expected = {(name, labels) for labels, names in WHOLE.items() for name in names.split()}
    assert expected - shapes(metrics.read()) == set()
    assert expected - shapes(metrics.read("/per-object")) == set()


def test_what_dashboards_join_everything_with(metrics: Metrics) -> None:
    for page in ("", "/per-object", "/detailed"):
        found = dict(shapes(metrics.read(page)))
        assert {"rabbitmq_node", "rabbitmq_cluster", "rabbitmq_cluster_permanent_id"} <= {*found["identity_info"]}
        assert {"rabbitmq_version", "erlang_version"} <= {*found["build_info"]}


@pytest.fixture
def used(open_channel: OpenChannel, unique: Unique) -> str:
    """The name of a queue with a message and a consumer."""
    queue = unique("used")
    channel = open_channel()
    channel.queue_declare(queue)
    publish(channel, queue, [b"1"])
    Inbox(channel, queue).wait(1)
    return queue


def test_what_there_is_of_all_objects_as_one(metrics: Metrics, used: str) -> None:
    expected = {(name, ()) for name in OBJECTS.split() if name != "consumer_prefetch"}  # no sum of which says anything
    wait_for(set(), lambda: expected - shapes(metrics.read()))


def test_what_there_is_of_each_object(metrics: Metrics, used: str) -> None:
    expected = {*OBJECTS.split()}
    wait_for(set(), lambda: expected - {sample.name for sample in metrics.read("/per-object")})


@pytest.mark.parametrize("family", DETAILED)
def test_what_there_is_in_detail(metrics: Metrics, used: str, family: str) -> None:
    labels, names = DETAILED[family]
    expected = {(f"detailed_{name}", labels) for name in names.split()}
    wait_for(set(), lambda: expected - shapes(metrics.read(f"/detailed?family={family}")))


# What it tells


def test_publishing(metrics: Metrics, connect: Connect, unique: Unique) -> None:
    one, other, exchange = unique("one"), unique("other"), unique("both")
    confirmed, unconfirmed = connect().channel(), connect().channel()
    confirmed.confirm_delivery()
    confirmed.exchange_declare(exchange, "fanout")
    for queue in (one, other):
        confirmed.queue_declare(queue)
        confirmed.queue_bind(queue, exchange)
    growth = Growth(metrics)

    publish(confirmed, one, [b"1", b"2"])
    confirmed.basic_publish(exchange, "", b"3")
    confirmed.basic_publish("amq.topic", one, b"dropped")
    with pytest.raises(UnroutableError):
        confirmed.basic_publish("amq.topic", one, b"returned", mandatory=True)
    publish(unconfirmed, one, [b"4"])
    unconfirmed.basic_publish("amq.topic", one, b"dropped")

    growth.expect(
        {
            "global_publishers": 2,
            "global_messages_received_total": 7,
            "global_messages_received_confirm_total": 5,
            "global_messages_confirmed_total": 5,
            "global_messages_routed_total": 5,
            "global_messages_unroutable_dropped_total": 2,
            "global_messages_unroutable_returned_total": 1,
        },
        protocol="amqp091",
    )


@pytest.mark.parametrize("queue_type", QUEUE_TYPES)
def test_deliveries(metrics: Metrics, channel: BlockingChannel, unique: Unique, queue_type: str) -> None:
    queue = unique("deliveries")
    channel.queue_declare(queue, durable=True, arguments={"x-queue-type": queue_type})
    growth = Growth(metrics)

    assert channel.basic_get(queue)[0] is None
    publish(channel, queue, [b"1", b"2", b"3", b"4", b"5"])
    assert channel.basic_get(queue, auto_ack=True)[2] == b"1"
    channel.basic_ack(get(channel, queue).tag)
    manual = Inbox(channel, queue)
    manual.wait(3)
    growth.expect({"global_consumers": 1}, protocol="amqp091")
    channel.basic_reject(manual.messages[0].tag, requeue=True)
    assert manual.wait(4)[3].method.redelivered
    channel.basic_ack(manual.messages[-1].tag, multiple=True)
    channel.basic_cancel(manual.tag)
    automatic = Inbox(channel, queue, auto_ack=True)
    publish(channel, queue, [b"6", b"7"])
    automatic.wait(2)

    growth.expect(
        {
            "global_messages_delivered_total": 8,
            "global_messages_delivered_consume_manual_ack_total": 4,
            "global_messages_delivered_consume_auto_ack_total": 2,
            "global_messages_delivered_get_manual_ack_total": 1,
            "global_messages_delivered_get_auto_ack_total": 1,
            "global_messages_get_empty_total": 1,
            "global_messages_redelivered_total": 1,
            "global_messages_acknowledged_total": 4,
        },
        protocol="amqp091",
        queue_type=f"rabbit_{queue_type}_queue",
    )


def expire(channel: BlockingChannel, queue: str) -> None:
    for body in (b"1", b"2"):
        channel.basic_publish("", queue, body, pika.BasicProperties(expiration="1"))


def reject(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, [b"1", b"2"])
    for message in Inbox(channel, queue).wait(2):
        channel.basic_reject(message.tag, requeue=False)


def overflow(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, [b"1", b"2", b"3"])


def return_too_often(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, [b"1", b"2"])
    for message in Inbox(channel, queue).wait(2):
        channel.basic_reject(message.tag, requeue=True)


DEATHS: dict[str, tuple[Callable[[BlockingChannel, str], None], dict[str, Any], tuple[str, ...]]] = {
    "expired": (expire, {}, QUEUE_TYPES),
    "rejected": (reject, {}, QUEUE_TYPES),
    "maxlen": (overflow, {"x-max-length": 1}, QUEUE_TYPES),
    "delivery_limit": (return_too_often, {"x-delivery-limit": 0}, ("quorum",)),
}
"""How two messages of a queue die, the arguments that it needs for that, and the types of queues in which they can."""

STRATEGIES: dict[str, dict[str, Any]] = {"disabled": {}, "at_most_once": {"x-dead-letter-exchange": "amq.direct"}}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    ("queue_type", "reason"), [(queue_type, reason) for reason, death in DEATHS.items() for queue_type in death[2]]
)
def test_dead_letters(
    metrics: Metrics, channel: BlockingChannel, unique: Unique, queue_type: str, reason: str, strategy: str
) -> None:
    die, arguments, _ = DEATHS[reason]
    queue = unique("deaths")
    arguments = {"x-queue-type": queue_type, **arguments, **STRATEGIES[strategy]}
    channel.queue_declare(queue, durable=True, arguments=arguments)
    growth = Growth(metrics)

    die(channel, queue)

    for each in STRATEGIES:
        growth.expect(
            {
                f"global_messages_dead_lettered_{other}_total": 2 if (each, other) == (strategy, reason) else 0
                for other, death in DEATHS.items()
                if queue_type in death[2]
            },
            dead_letter_strategy=each,
            queue_type=f"rabbit_{queue_type}_queue",
        )


def test_what_comes_and_goes(metrics: Metrics, connect: Connect, unique: Unique) -> None:
    """RabbitMQ's number of queues has those that are gone for some seconds more, so nothing is asked of it."""
    queue = unique("short-lived")
    growth = Growth(metrics)

    connection = connect()
    channel, other = connection.channel(), connection.channel()
    for _ in range(2):
        channel.queue_declare(queue)
    Inbox(channel, queue)
    other.close()

    opened = {"connections_opened_total": 1, "channels_opened_total": 2}
    declared = {"queues_declared_total": 2, "queues_created_total": 1}
    growth.expect(opened | declared | {"connections": 1, "channels": 1, "consumers": 1})

    channel.queue_delete(queue)
    connection.close()

    closed = {"connections_closed_total": 1, "channels_closed_total": 2, "queues_deleted_total": 1}
    growth.expect(opened | declared | closed | {"connections": 0, "channels": 0, "consumers": 0})


def test_logins(metrics: Metrics, connect: Connect) -> None:
    growth = Growth(metrics)
    connect()
    with pytest.raises(ProbableAuthenticationError):
        connect(credentials=pika.PlainCredentials("guest", "wrong"))
    growth.expect(
        {"auth_attempts_total": 2, "auth_attempts_succeeded_total": 1, "auth_attempts_failed_total": 1},
        protocol="amqp091",
    )
    assert growth.of("connections_opened_total") == 1  # such as were let in


@pytest.mark.parametrize("queue_type", QUEUE_TYPES)
def test_a_queue(metrics: Metrics, channel: BlockingChannel, unique: Unique, queue_type: str) -> None:
    queue = unique("queue")
    channel.queue_declare(queue, durable=True, arguments={"x-queue-type": queue_type})
    publish(channel, queue, [b"0123456789"] * 5)
    channel.basic_qos(prefetch_count=2)
    Inbox(channel, queue).wait(2)
    expected = {
        "messages_ready": 3,
        "messages_unacked": 2,
        "messages": 5,
        "consumers": 1,
        "messages_bytes": 50,
        "messages_ready_bytes": 30,
        "messages_unacked_bytes": 20,
    }

    def look(page: str, prefix: str) -> dict[str, float]:
        samples = metrics.read(page)
        labels = frozenset({"vhost": "/", "queue": queue}.items())
        return {name: samples.get(Sample(prefix + name, labels), -1) for name in expected}

    wait_for(expected, lambda: look("/per-object", "queue_"))
    families = "family=queue_coarse_metrics&family=queue_metrics"
    wait_for(expected, lambda: look(f"/detailed?{families}&vhost=/", "detailed_queue_"))
    nothing = dict.fromkeys(expected, -1)
    assert look(f"/detailed?{families}&vhost=elsewhere", "detailed_queue_") == nothing


def test_channels(metrics: Metrics, connect: Connect, unique: Unique) -> None:
    page = "/detailed?family=channel_metrics"
    queue = unique("channels")
    connection = connect()
    before = {sample.labels for sample in metrics.read(page)}

    consuming = connection.channel()
    consuming.queue_declare(queue)
    consuming.confirm_delivery()
    publish(consuming, queue, [b"1", b"2", b"3"])
    consuming.basic_qos(prefetch_count=2, global_qos=True)
    Inbox(consuming, queue).wait(2)

    transaction = connection.channel()
    transaction.tx_select()
    publish(transaction, queue, [b"4", b"5"])
    transaction.basic_ack(get(transaction, queue).tag)

    def look() -> list[dict[str, float]]:
        """The channels that are new, each by its samples; RabbitMQ calls them otherwise."""
        channels: dict[str, dict[str, float]] = {}
        for sample, value in metrics.read(page).items():
            name = sample.name.removeprefix("detailed_channel_")
            if sample.labels not in before and name in expected[0]:
                channels.setdefault(sample.label("channel"), {})[name] = value
        return sorted(channels.values(), key=lambda channel: channel["consumers"])

    expected: list[dict[str, float]] = [
        {
            "consumers": 0,
            "messages_unacked": 0,
            "messages_unconfirmed": 0,
            "messages_uncommitted": 2,
            "acks_uncommitted": 1,
            "prefetch": 0,
        },
        {
            "consumers": 1,
            "messages_unacked": 2,
            "messages_unconfirmed": 0,
            "messages_uncommitted": 0,
            "acks_uncommitted": 0,
            "prefetch": 2,
        },
    ]
    wait_for(expected, look)


def test_a_channel_s_consumers_of_a_queue(metrics: Metrics, channel: BlockingChannel, unique: Unique) -> None:
    queue = unique("consumers")
    channel.queue_declare(queue)
    publish(channel, queue, [b"1", b"2", b"3"])
    inbox = Inbox(channel, queue)
    inbox.wait(3)
    channel.basic_ack(inbox.messages[1].tag)
    channel.basic_reject(inbox.messages[0].tag, requeue=True)
    inbox.wait(4)
    expected = {"delivered_ack": 4, "delivered": 0, "redelivered": 1, "acked": 1}

    def look() -> dict[str, float]:
        found = {
            sample.name: value
            for sample, value in metrics.read("/detailed?family=channel_queue_metrics").items()
            if ("queue", queue) in sample.labels
        }
        return {name: found.get(f"detailed_channel_messages_{name}_total", -1) for name in expected}

    wait_for(expected, look)


def test_exchanges_and_virtual_hosts(metrics: Metrics, channel: BlockingChannel, unique: Unique) -> None:
    exchange, queue = unique("exchange"), unique("bound")
    channel.exchange_declare(exchange, "topic")
    channel.queue_declare(queue)
    for key in ("a.*", "b.#"):
        channel.queue_bind(queue, exchange, key)
    samples = metrics.read("/detailed?family=vhost_status&family=exchange_names&family=exchange_bindings")
    labels = frozenset({"vhost": "/", "exchange": exchange, "type": "topic"}.items())
    assert samples[Sample("cluster_exchange_bindings", labels)] == 2
    assert samples[Sample("cluster_exchange_name", labels)] == 1
    assert samples[Sample("cluster_vhost_status", frozenset({("vhost", "/")}))] == 1


def test_the_page(metrics: Metrics) -> None:
    with metrics.open() as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    with metrics.open(method="HEAD") as answer:
        assert answer.status == 204
    with metrics.open(**{"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
