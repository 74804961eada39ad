"""Statistics go in, families come out: tests read the page as Prometheus does, with its parser."""

from dataclasses import fields

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

import amqpd
from amqpd.broker.statistics import BrokerStatistics, QueueStatistics
from amqpd.metrics.collector import (
    BROKER,
    PROTOCOL,
    QUEUE,
    QUEUE_TYPE,
    RESOURCES,
    StatisticsCollector,
    label_value,
)
from tests.metrics.statistics import broker_statistics, queue_statistics

CLASSIC = {"protocol": "amqp091", "queue_type": "rabbit_classic_queue"}


def scrape(statistics: BrokerStatistics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of the page, by its name and labels."""
    page = generate_latest(StatisticsCollector(statistics)).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def value(statistics: BrokerStatistics, name: str, **labels: str) -> float:
    return scrape(statistics)[name, frozenset(labels.items())]


@pytest.mark.parametrize(
    ("name", "field", "labels"),
    [
        ("amqpd_connections", "connections", {}),
        ("amqpd_connections_blocked", "connections_blocked", {}),
        ("amqpd_channels", "channels", {}),
        ("amqpd_consumers", "consumers", {}),
        ("amqpd_exchanges", "exchanges", {}),
        ("amqpd_connections_opened_total", "connections_opened", {}),
        ("amqpd_connections_closed_total", "connections_closed", {}),
        ("amqpd_channels_opened_total", "channels_opened", {}),
        ("amqpd_channels_closed_total", "channels_closed", {}),
        ("amqpd_queues_declared_total", "queues_declared", {}),
        ("amqpd_queues_created_total", "queues_created", {}),
        ("amqpd_queues_deleted_total", "queues_deleted", {}),
        ("amqpd_memory_used_bytes", "memory_used", {}),
        ("amqpd_resident_memory_limit_bytes", "memory_limit", {}),
        ("amqpd_disk_space_available_bytes", "disk_free", {}),
        ("amqpd_disk_space_available_limit_bytes", "disk_free_limit", {}),
        ("amqpd_global_messages_received_total", "messages_published", {"protocol": "amqp091"}),
        ("amqpd_global_messages_routed_total", "messages_routed", {"protocol": "amqp091"}),
        ("amqpd_global_messages_confirmed_total", "messages_confirmed", {"protocol": "amqp091"}),
        ("amqpd_global_messages_unroutable_returned_total", "messages_unroutable_returned", {"protocol": "amqp091"}),
        ("amqpd_global_messages_unroutable_dropped_total", "messages_unroutable_dropped", {"protocol": "amqp091"}),
        ("amqpd_global_messages_delivered_total", "messages_delivered", CLASSIC),
        ("amqpd_global_messages_redelivered_total", "messages_redelivered", CLASSIC),
        ("amqpd_global_messages_acknowledged_total", "messages_acked", CLASSIC),
    ],
)
def test_each_total_has_its_metric(name: str, field: str, labels: dict[str, str]) -> None:
    assert value(broker_statistics(**{field: 7}), name, **labels) == 7
    assert value(broker_statistics(), name, **labels) == 0


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("amqpd_alarms_memory_used_watermark", "memory_alarm"),
        ("amqpd_alarms_free_disk_space_watermark", "disk_alarm"),
    ],
)
def test_an_alarm_is_1_while_it_lasts(name: str, field: str) -> None:
    assert value(broker_statistics(**{field: True}), name) == 1
    assert value(broker_statistics(**{field: False}), name) == 0


def test_where_no_disk_is_looked_after_its_space_is_not_0() -> None:
    in_memory = broker_statistics(disk_free=None, disk_free_limit=None)
    assert not [name for name, _ in scrape(in_memory) if name.startswith("amqpd_disk")]
    assert "# TYPE amqpd_disk_space_available_bytes gauge" in generate_latest(StatisticsCollector(in_memory)).decode()


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("amqpd_queue_messages_ready", "ready"),
        ("amqpd_queue_messages_unacked", "unacked"),
        ("amqpd_queue_messages_ready_bytes", "ready_bytes"),
        ("amqpd_queue_consumers", "consumers"),
        ("amqpd_queue_messages_published_total", "published"),
        ("amqpd_queue_messages_delivered_total", "delivered"),
        ("amqpd_queue_messages_redelivered_total", "redelivered"),
        ("amqpd_queue_messages_acked_total", "acked"),
    ],
)
def test_each_count_of_a_queue_has_its_metric(name: str, field: str) -> None:
    statistics = broker_statistics(queue_statistics("orders", **{field: 7}), queue_statistics("idle"))
    assert value(statistics, name, vhost="/", queue="orders") == 7
    assert value(statistics, name, vhost="/", queue="idle") == 0
    assert value(statistics, "amqpd_queues") == 2


def test_no_count_is_left_out() -> None:
    shown = {family.field for family in (*BROKER, *RESOURCES, *PROTOCOL, *QUEUE_TYPE)}
    assert shown == {field.name for field in fields(BrokerStatistics)} - {"queues"}
    shown = {family.field for family in QUEUE}
    assert shown == {field.name for field in fields(QueueStatistics)} - {"vhost", "name", "durable"}


def test_a_broker_without_queues_has_their_families_and_no_samples() -> None:
    page = generate_latest(StatisticsCollector(broker_statistics())).decode()
    assert "# TYPE amqpd_queue_messages_ready gauge" in page
    assert "\namqpd_queue_messages_ready{" not in page
    assert value(broker_statistics(), "amqpd_queues") == 0


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("orders", "orders"),
        ("späte Bestellungen", "späte Bestellungen"),
        ('quote " backslash \\ newline \n', 'quote " backslash \\ newline \n'),
        ("", ""),
        (b"caf\xe9".decode("utf-8", "surrogateescape"), "caf\\xe9"),
    ],
)
def test_a_queue_of_any_name_is_shown(name: str, shown: str) -> None:
    assert label_value(name) == shown
    statistics = broker_statistics(queue_statistics(name, ready=3))
    assert value(statistics, "amqpd_queue_messages_ready", vhost="/", queue=shown) == 3


def test_the_page_says_what_runs_here() -> None:
    builds = [dict(labels) for name, labels in scrape(broker_statistics()) if name == "amqpd_build_info"]
    assert [build["version"] for build in builds] == [amqpd.__version__]


def test_the_process_itself_is_measured() -> None:
    samples = scrape(broker_statistics())
    assert samples["python_gc_collections_total", frozenset({("generation", "0")})] >= 0
    assert any(name == "python_info" for name, _ in samples)
