"""Which families a page has, and under which names."""

from dataclasses import replace
from pathlib import Path

import pytest

from amqpd.metrics.families import CLUSTER, DETAILED_ONLY, OBJECTS, RABBITMQ_ONLY, WHOLE
from amqpd.metrics.pages import AGGREGATED, NAMES, PER_OBJECT, Page, detailed
from amqpd.metrics.tables import NOT_DETAILED
from tests.metrics.samples import broker, connection, exchange, names, queue, scrape, server, session, snapshot, value

PROC = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")

READ = snapshot(
    broker(
        queues=(queue("orders", ready=3), queue("bills", ready=4), queue("orders", vhost="shop", ready=5)),
        exchanges=(exchange(""), exchange("amq.direct")),
        sessions=(session("here -> there", 1),),
    ),
    server(connections=(connection("here -> there"),)),
)

OVERVIEW = {
    "build_info",
    "identity_info",
    "erlang_uptime_seconds",
    "connections",
    "channels",
    "queues",
    "connections_opened_total",
    "connections_closed_total",
    "channels_opened_total",
    "channels_closed_total",
    "channel_consumers",
    "queues_declared_total",
    "queues_created_total",
    "queues_deleted_total",
    "disk_space_available_bytes",
    "disk_space_available_limit_bytes",
    "process_open_fds",
    "process_max_fds",
    "process_open_tcp_sockets",
    "process_max_tcp_sockets",
    "process_resident_memory_bytes",
    "resident_memory_limit_bytes",
    "queue_messages_ready",
    "queue_messages_unacked",
    "global_publishers",
    "global_consumers",
    "global_messages_received_total",
    "global_messages_received_confirm_total",
    "global_messages_confirmed_total",
    "global_messages_routed_total",
    "global_messages_unroutable_dropped_total",
    "global_messages_unroutable_returned_total",
    "global_messages_delivered_total",
    "global_messages_delivered_consume_auto_ack_total",
    "global_messages_delivered_consume_manual_ack_total",
    "global_messages_delivered_get_auto_ack_total",
    "global_messages_delivered_get_manual_ack_total",
    "global_messages_get_empty_total",
    "global_messages_redelivered_total",
    "global_messages_acknowledged_total",
    "message_size_bytes_bucket",
    "message_size_bytes_sum",
    "message_size_bytes_count",
}
"""What RabbitMQ's dashboard asks for, from 3.10 to 4.3."""


def test_the_dashboard_of_rabbitmq_finds_all_that_it_asks_for() -> None:
    found = {name for name, _ in scrape(snapshot(), prefix="rabbitmq")}
    assert {f"rabbitmq_{name}" for name in OVERVIEW} <= found


@PROC
def test_what_is_resident_is_to_rabbitmqs_dashboards_what_the_limit_is_for() -> None:
    read, detail = snapshot(broker(memory_used=7)), detailed([("family", "node_coarse_metrics")])
    name = "process_resident_memory_bytes"
    assert value(read, f"rabbitmq_{name}", prefix="rabbitmq") == 7
    assert value(read, f"rabbitmq_detailed_{name}", detail, prefix="rabbitmq") == 7
    assert (value(read, f"amqpd_{name}") or 0) > 1_000_000


def test_sizes_have_the_buckets_of_rabbitmq() -> None:
    bounds = {
        dict(labels)["le"]
        for name, labels in scrape(snapshot(), prefix="rabbitmq")
        if name == "rabbitmq_message_size_bytes_bucket"
    }
    assert bounds == {"100.0", "1000.0", "10000.0", "100000.0", "1e+06", "1e+07", "5e+07", "1e+08", "+Inf"}


def test_rabbitmqs_names_are_ours_with_another_prefix() -> None:
    ours = {name.removeprefix("amqpd_") for name in names(READ)}
    theirs = {name.removeprefix("rabbitmq_") for name in names(READ, prefix="rabbitmq")}
    assert theirs - ours == {"erlang_uptime_seconds", "process_open_tcp_sockets", "process_max_tcp_sockets"}
    assert not ours - theirs


@pytest.mark.parametrize("page", [AGGREGATED, PER_OBJECT, detailed([("family", "queue_metrics")])])
def test_each_page_says_who_it_is_from(page: Page) -> None:
    identity = {"node": "amqpd@here", "cluster": "home", "cluster_permanent_id": "home", "endpoint": page.endpoint}
    for prefix in ("amqpd", "rabbitmq"):
        labels = {f"{prefix}_{name}": text for name, text in identity.items()}
        assert value(READ, f"{prefix}_identity_info", page, prefix, **labels) == 1


def test_all_objects_as_one_have_no_labels() -> None:
    assert value(READ, "amqpd_queue_messages_ready") == 12
    labels = {label for _, labels in scrape(READ) for label, _ in labels}
    assert labels.isdisjoint({"vhost", "queue", "exchange", "channel", "connection"})


def test_all_objects_as_one_are_there_where_there_are_none() -> None:
    found = scrape(snapshot())
    assert found["amqpd_queue_messages_ready", frozenset()] == 0
    assert found["amqpd_queue_messages_published_total", frozenset()] == 0
    assert found["amqpd_queue_oldest_ready_age_seconds", frozenset()] == 0
    assert found["amqpd_queue_message_wait_seconds_count", frozenset()] == 0
    assert found["amqpd_channel_consumers", frozenset()] == 0
    assert found["amqpd_connection_incoming_bytes_total", frozenset()] == 0


def test_no_counter_goes_down_when_objects_go() -> None:
    """All that one can read of the whole is the same with them and without, but for what there is now."""
    gone = snapshot(replace(READ.broker, queues=(), exchanges=(), sessions=()), replace(READ.server, connections=()))
    before, after = scrape(READ), scrape(gone)
    for key in before.keys() | after.keys():
        if key[0].endswith("_total") and "process_" not in key[0] and "python" not in key[0]:
            assert after[key] == before[key]


def test_of_objects_there_is_one_sample_each() -> None:
    found = scrape(READ, PER_OBJECT)
    assert {
        (dict(labels)["vhost"], dict(labels)["queue"]): ready
        for (name, labels), ready in found.items()
        if name == "amqpd_queue_messages_ready"
    } == {("/", "orders"): 3, ("/", "bills"): 4, ("shop", "orders"): 5}


def test_the_page_of_objects_has_what_the_other_has_of_the_whole_too() -> None:
    whole = {key for key in scrape(READ) if key[0].startswith("amqpd_global") or "event_loop" in key[0]}
    assert whole <= scrape(READ, PER_OBJECT).keys()


def test_families_are_there_without_objects() -> None:
    assert "amqpd_queue_messages_ready" in names(snapshot(), PER_OBJECT)
    assert not [name for name, _ in scrape(snapshot(), PER_OBJECT) if name.startswith("amqpd_queue_")]


def test_in_detail_there_is_what_is_asked_for() -> None:
    page = detailed([("family", "queue_coarse_metrics"), ("family", "exchange_names")])
    assert names(READ, page) == {
        "amqpd_identity_info",
        "amqpd_build_info",
        "amqpd_detailed_queue_messages_ready",
        "amqpd_detailed_queue_messages_unacked",
        "amqpd_detailed_queue_messages",
        "amqpd_cluster_exchange_name",
    }


def test_in_detail_there_is_nothing_if_nothing_is_asked_for() -> None:
    assert names(READ, detailed([])) == {"amqpd_identity_info", "amqpd_build_info"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_name_gives_something(name: str) -> None:
    assert len(names(READ, detailed([("family", name)]))) > 2


@pytest.mark.parametrize(
    ("family", "shown"),
    [
        ("node_coarse_metrics", {"open_fds", "open_tcp_sockets", "resident_memory_bytes"}),
        ("node_metrics", {"max_fds", "max_tcp_sockets"}),
        ("queue_metrics", set()),
    ],
)
def test_in_detail_the_process_is_measured_too(family: str, shown: set[str]) -> None:
    """Under the names that RabbitMQ has it under."""
    found = names(READ, detailed([("family", family)]), "rabbitmq")
    rabbitmqs = ("open_fds", "open_tcp_sockets", "resident_memory_bytes", "max_fds", "max_tcp_sockets")
    assert {name for name in rabbitmqs if f"rabbitmq_detailed_process_{name}" in found} == shown


@pytest.mark.parametrize("prefix", ["amqpd", "rabbitmq"])
def test_each_family_is_there_once(prefix: str) -> None:
    """Whoever gives the names makes sure of it."""
    in_detail = names(READ, detailed(("family", name) for name in NAMES), prefix)
    tables = (*WHOLE, *OBJECTS, *CLUSTER, *(RABBITMQ_ONLY if prefix == "rabbitmq" else ()))
    declared = [each for table in tables for name, group in table.families.items() if name for each in group]
    for each in declared:
        assert {f"{prefix}_detailed_{each.name}", f"{prefix}_cluster_{each.name}"} & in_detail
    assert names(READ, PER_OBJECT, prefix) > names(READ, AGGREGATED, prefix)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ([("vhost", "/")], {("/", "orders"), ("/", "bills")}),
        ([("queue", "orders")], {("/", "orders"), ("shop", "orders")}),
        ([("vhost", "shop"), ("queue", "orders")], {("shop", "orders")}),
        ([("queue", "orders"), ("queue", "bills"), ("vhost", "/")], {("/", "orders"), ("/", "bills")}),
        ([("vhost", "nowhere")], set()),
    ],
)
def test_queues_can_be_selected(parameters: list[tuple[str, str]], expected: set[tuple[str, str]]) -> None:
    asked_for = [("family", name) for name in ("queue_metrics", "queue_rate_metrics", "queue_time_metrics")]
    found = scrape(READ, detailed([*asked_for, *parameters]))
    for name in ("queue_info", "queue_messages_bytes", "queue_publish_rate", "queue_ack_seconds_count"):
        of = {
            (dict(labels)["vhost"], dict(labels)["queue"])
            for its_name, labels in found
            if its_name == f"amqpd_detailed_{name}"
        }
        assert of == expected


def test_a_queue_is_selected_by_what_its_label_shows() -> None:
    latin = queue(b"caf\xe9".decode("utf-8", "surrogateescape"), ready=3)
    page = detailed([("family", "queue_coarse_metrics"), ("queue", r"caf\xe9")])
    read = snapshot(broker(queues=(latin, queue("tea"))))
    assert value(read, "amqpd_detailed_queue_messages_ready", page, vhost="/", queue=r"caf\xe9") == 3
    assert value(read, "amqpd_detailed_queue_messages_ready", page, vhost="/", queue="tea") is None


def test_what_is_no_queue_is_not_selected() -> None:
    page = detailed([("family", "exchange_metrics"), ("family", "channel_metrics"), ("vhost", "nowhere")])
    exchanges = [name for name, _ in scrape(READ, page) if name == "amqpd_detailed_exchange_messages_published_total"]
    assert len(exchanges) == 2
    assert value(READ, "amqpd_detailed_channel_consumers", page, channel="here -> there (1)") == 0


def test_names_that_cannot_be_asked_for_belong_to_the_whole() -> None:
    assert not [table for table in (*OBJECTS, *DETAILED_ONLY, *CLUSTER) if NOT_DETAILED in table.families]
    assert all(name in NAMES for table in RABBITMQ_ONLY for name in table.families)
