"""What is read goes in, families come out: which value has which name."""

import pytest

from amqpd.broker.statistics import Handovers, Tally
from amqpd.metrics.pages import PER_OBJECT, detailed
from tests.metrics.samples import (
    broker,
    connection,
    consumer,
    distribution,
    exchange,
    journal,
    names,
    queue,
    scrape,
    server,
    session,
    snapshot,
    value,
)

PROTOCOL = {"protocol": "amqp091"}
HANDOVERS = Handovers(1, 2, 3, 4, 5, 6, 7)
TIMES = distribution(0.002, 3.0)


@pytest.mark.parametrize(
    ("name", "field", "labels"),
    [
        ("connections", "connections", {}),
        ("connections_blocked", "connections_blocked", {}),
        ("channels", "channels", {}),
        ("consumers", "consumers", {}),
        ("connections_opened_total", "connections_opened", {}),
        ("connections_closed_total", "connections_closed", {}),
        ("channels_opened_total", "channels_opened", {}),
        ("channels_closed_total", "channels_closed", {}),
        ("queues_declared_total", "queues_declared", {}),
        ("queues_created_total", "queues_created", {}),
        ("queues_deleted_total", "queues_deleted", {}),
        ("memory_used_bytes", "memory_used", {}),
        ("resident_memory_limit_bytes", "memory_limit", {}),
        ("disk_space_available_bytes", "disk_free", {}),
        ("disk_space_available_limit_bytes", "disk_free_limit", {}),
        ("auth_attempts_total", "auth_succeeded", PROTOCOL),
        ("auth_attempts_total", "auth_failed", PROTOCOL),
        ("auth_attempts_succeeded_total", "auth_succeeded", PROTOCOL),
        ("auth_attempts_failed_total", "auth_failed", PROTOCOL),
        ("global_messages_received_total", "messages_published", PROTOCOL),
        ("global_messages_received_confirm_total", "messages_published_confirm", PROTOCOL),
        ("global_messages_routed_total", "messages_routed", PROTOCOL),
        ("global_messages_unroutable_dropped_total", "messages_unroutable_dropped", PROTOCOL),
        ("global_messages_unroutable_returned_total", "messages_unroutable_returned", PROTOCOL),
        ("global_messages_confirmed_total", "messages_confirmed", PROTOCOL),
        ("global_messages_rejected_total", "messages_rejected", PROTOCOL),
        ("global_publishers", "publishers", PROTOCOL),
        ("global_consumers", "consumers", PROTOCOL),
        ("exchange_messages_published_total", "messages_published", {}),
        ("channel_messages_confirmed_total", "messages_confirmed", {}),
    ],
)
def test_each_total_has_its_name(name: str, field: str, labels: dict[str, str]) -> None:
    assert value(snapshot(broker(**{field: 7})), f"amqpd_{name}", **labels) == 7
    assert value(snapshot(), f"amqpd_{name}", **labels) == 0


@pytest.mark.parametrize(
    ("name", "field"),
    [("alarms_memory_used_watermark", "memory_alarm"), ("alarms_free_disk_space_watermark", "disk_alarm")],
)
def test_an_alarm_is_1_while_it_lasts(name: str, field: str) -> None:
    assert value(snapshot(broker(**{field: True})), f"amqpd_{name}") == 1
    assert value(snapshot(broker(**{field: False})), f"amqpd_{name}") == 0


def test_where_no_disk_is_looked_after_its_space_is_not_0() -> None:
    in_memory = snapshot(broker(disk_free=None, disk_free_limit=None))
    assert value(in_memory, "amqpd_disk_space_available_bytes") is None
    assert {"amqpd_disk_space_available_bytes", "amqpd_disk_space_available_limit_bytes"} <= names(in_memory)


def test_the_server_says_whether_it_is_ready() -> None:
    assert value(snapshot(), "amqpd_ready") == 1
    assert value(snapshot(server=server(not_ready=("draining",))), "amqpd_ready") == 0


@pytest.mark.parametrize(
    ("name", "of_each"),
    [
        ("queue_messages_ready", (3, 1)),
        ("queue_messages_unacked", (2, 0)),
        ("queue_messages", (5, 1)),
        ("queue_consumers", (4, 0)),
        ("queue_messages_ram", (4, 1)),
        ("queue_messages_ram_bytes", (36, 10)),
        ("queue_messages_bytes", (46, 10)),
        ("queue_messages_ready_bytes", (30, 10)),
        ("queue_messages_unacked_bytes", (16, 0)),
    ],
)
def test_gauges_of_queues_are_shown_of_each_and_added_up(name: str, of_each: tuple[int, int]) -> None:
    orders = queue(
        "orders",
        ready=3,
        unacked=2,
        unacked_bytes=16,
        consumers=4,
        ready_in_memory=2,
        ready_in_memory_bytes=20,
        ready_bytes=30,
    )
    idle = queue("idle", ready=1, ready_in_memory=1, ready_in_memory_bytes=10, ready_bytes=10)
    read = snapshot(broker(queues=(orders, idle)))
    shown = [value(read, f"amqpd_{name}", PER_OBJECT, vhost="/", queue=queue) for queue in ("orders", "idle")]
    assert shown == list(of_each)
    assert value(read, f"amqpd_{name}") == sum(of_each)


def test_of_the_ages_of_queues_the_greatest_counts() -> None:
    old, young = queue("old", ready_age_s=60.0), queue("young", ready_age_s=0.5, unacked_age_s=2.0)
    read = snapshot(broker(queues=(old, young)))
    assert value(read, "amqpd_queue_oldest_ready_age_seconds") == 60
    assert value(read, "amqpd_queue_oldest_unacked_age_seconds") == 2
    assert value(read, "amqpd_queue_oldest_unacked_age_seconds", PER_OBJECT, vhost="/", queue="old") == 0
    assert value(snapshot(), "amqpd_queue_oldest_ready_age_seconds") == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("messages_delivered_ack", 1),
        ("messages_delivered", 2),
        ("get_ack", 3),
        ("get", 4),
        ("get_empty", 5),
        ("messages_redelivered", 6),
        ("messages_acked", 7),
    ],
)
def test_handovers_are_those_of_the_queue_and_of_the_channel(name: str, expected: int) -> None:
    read = snapshot(
        broker(
            queues=(queue("orders", handovers=HANDOVERS),),
            sessions=(session("here -> there", 1, handovers=HANDOVERS),),
            gone=Tally({"classic": Handovers(10, 10, 10, 10, 10, 10, 10)}),
        )
    )
    assert value(read, f"amqpd_queue_{name}_total", PER_OBJECT, vhost="/", queue="orders") == expected
    assert value(read, f"amqpd_channel_{name}_total", PER_OBJECT, channel="here -> there (1)") == expected
    # All as one are those of all queues that there ever were.
    assert value(read, f"amqpd_queue_{name}_total") == expected + 10
    assert value(read, f"amqpd_channel_{name}_total") == expected + 10


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("delivered", 10),
        ("delivered_consume_manual_ack", 1),
        ("delivered_consume_auto_ack", 2),
        ("delivered_get_manual_ack", 3),
        ("delivered_get_auto_ack", 4),
        ("get_empty", 5),
        ("redelivered", 6),
        ("acknowledged", 7),
    ],
)
def test_handovers_are_shown_by_type_of_queue(name: str, expected: int) -> None:
    read = snapshot(broker(queues=(queue("orders", type="quorum", handovers=HANDOVERS),)))
    shown = {
        kind: value(read, f"amqpd_global_messages_{name}_total", **PROTOCOL, queue_type=f"rabbit_{kind}_queue")
        for kind in ("classic", "quorum", "stream")
    }
    assert shown == {"classic": 0, "quorum": expected, "stream": 0}


@pytest.mark.parametrize("reason", ["expired", "rejected", "maxlen", "delivery_limit"])
def test_messages_that_left_their_queues_are_shown_by_what_became_of_them(reason: str) -> None:
    dropped = {**broker().messages_dropped, ("classic", reason, False): 3, ("quorum", reason, True): 4}
    found = scrape(snapshot(broker(messages_dropped=dropped)))
    name = f"amqpd_global_messages_dead_lettered_{reason}_total"
    assert {
        (dict(labels)["queue_type"], dict(labels)["dead_letter_strategy"]): count
        for (its_name, labels), count in found.items()
        if its_name == name
    } == {
        ("rabbit_classic_queue", "disabled"): 3,
        ("rabbit_classic_queue", "at_most_once"): 0,
        ("rabbit_quorum_queue", "disabled"): 0,
        ("rabbit_quorum_queue", "at_most_once"): 4,
        ("rabbit_quorum_queue", "at_least_once"): 0,
    }


def test_times_are_measured_by_queue_and_of_all_that_there_ever_were() -> None:
    measured, unmeasured = queue("measured", waits=TIMES, acks=TIMES), queue("unmeasured", waits=None, acks=None)
    read = snapshot(broker(queues=(measured, unmeasured), gone=Tally({}, waits=TIMES, acks=TIMES)))
    for name in ("amqpd_queue_message_wait_seconds", "amqpd_queue_ack_seconds"):
        assert value(read, f"{name}_bucket", PER_OBJECT, vhost="/", queue="measured", le="0.001") == 0
        assert value(read, f"{name}_bucket", PER_OBJECT, vhost="/", queue="measured", le="0.005") == 1
        assert value(read, f"{name}_bucket", PER_OBJECT, vhost="/", queue="measured", le="+Inf") == 2
        assert value(read, f"{name}_count", PER_OBJECT, vhost="/", queue="measured") == 2
        assert value(read, f"{name}_sum", PER_OBJECT, vhost="/", queue="measured") == pytest.approx(3.002)
        assert value(read, f"{name}_count", PER_OBJECT, vhost="/", queue="unmeasured") is None
        assert value(read, f"{name}_bucket", le="0.005") == 2
        assert value(read, f"{name}_count") == 4


def test_what_came_into_queues_and_what_did_not_is_of_all_that_there_ever_were() -> None:
    full = queue("full", published=3, refused=2)
    read = snapshot(broker(queues=(full,), messages_routed=100, gone=Tally({}, published=10, refused=20)))
    where = {"vhost": "/", "queue": "full"}
    assert value(read, "amqpd_queue_messages_published_total", PER_OBJECT, **where) == 3
    assert value(read, "amqpd_queue_messages_published_total") == 13
    assert value(read, "amqpd_queue_messages_refused_total", PER_OBJECT, **where) == 2
    assert value(read, "amqpd_queue_messages_refused_total") == 22


def test_a_queue_says_what_it_is() -> None:
    orders = queue("orders", vhost="shop", type="quorum", exclusive=True)
    labels = {"vhost": "shop", "queue": "orders", "queue_type": "rabbit_quorum_queue"}
    read = snapshot(broker(queues=(orders,)))
    assert value(read, "amqpd_queue_info", PER_OBJECT, **labels, durable="true", exclusive="true") == 1
    assert "amqpd_queue_info" not in names(read)


def test_an_exchange_says_what_became_of_its_messages() -> None:
    read = snapshot(broker(exchanges=(exchange("", published=20, confirmed=10, unroutable=(1, 2, 3, 4)),)))
    where = {"vhost": "/", "exchange": "amq.default"}
    assert value(read, "amqpd_exchange_messages_published_total", PER_OBJECT, **where) == 20
    assert value(read, "amqpd_exchange_messages_confirmed_total", PER_OBJECT, **where) == 10
    assert value(read, "amqpd_exchange_messages_unroutable_returned_total", PER_OBJECT, **where) == 3
    assert value(read, "amqpd_exchange_messages_unroutable_dropped_total", PER_OBJECT, **where) == 7
    why = {
        (outcome, reason): value(
            read,
            "amqpd_exchange_messages_unroutable_total",
            PER_OBJECT,
            **where,
            outcome=outcome,
            reason=reason,
        )
        for outcome in ("returned", "dropped")
        for reason in ("no_bindings", "no_match")
    }
    assert why == {
        ("returned", "no_bindings"): 1,
        ("returned", "no_match"): 2,
        ("dropped", "no_bindings"): 3,
        ("dropped", "no_match"): 4,
    }


def test_a_channel_is_called_by_its_connection_and_number() -> None:
    tags = (consumer("first", "orders", prefetch_count=10), consumer("second", "orders"))
    read = snapshot(broker(sessions=(session("here -> there", 2, vhost="shop", consumers=tags, unconfirmed=5),)))
    channel = "here -> there (2)"
    assert value(read, "amqpd_channel_consumers", PER_OBJECT, channel=channel) == 2
    assert value(read, "amqpd_channel_messages_unconfirmed", PER_OBJECT, channel=channel) == 5
    whose = {"connection": "here -> there", "vhost": "shop", "user": "guest"}
    assert value(read, "amqpd_channel_info", PER_OBJECT, channel=channel, **whose) == 1
    where = {"channel": channel, "vhost": "/", "queue": "orders"}
    assert value(read, "amqpd_consumer_prefetch", PER_OBJECT, **where, consumer_tag="first") == 10
    assert value(read, "amqpd_channel_consumers") == 2


def test_consumers_of_a_channel_are_one_for_each_queue() -> None:
    tags = (
        consumer("first", "orders", handovers=HANDOVERS),
        consumer("second", "orders", handovers=HANDOVERS),
        consumer("third", "bills", handovers=HANDOVERS),
    )
    read = snapshot(broker(sessions=(session("here -> there", 1, consumers=tags, handovers=HANDOVERS),)))
    page = detailed([("family", "channel_metrics"), ("family", "channel_queue_metrics")])
    found = scrape(read, page)
    assert {
        tuple(sorted(labels)): acked
        for (name, labels), acked in found.items()
        if name == "amqpd_detailed_channel_messages_acked_total"
    } == {
        (("channel", "here -> there (1)"), ("queue", "bills"), ("vhost", "/")): 7,
        (("channel", "here -> there (1)"), ("queue", "orders"), ("vhost", "/")): 14,
    }
    assert value(read, "amqpd_detailed_channel_get_total", page, channel="here -> there (1)") == 4


def test_of_connections_all_as_one_are_those_that_there_ever_were() -> None:
    one, other = connection("one", octets_in=10, channels=2, pending=5), connection("other", octets_in=20, blocked=True)
    read = snapshot(server=server(connections=(one, other), octets_in=100, octets_out=200, reads=3, writes=4))
    assert value(read, "amqpd_connection_incoming_bytes_total", PER_OBJECT, connection="one") == 10
    assert value(read, "amqpd_connection_incoming_bytes_total", PER_OBJECT, connection="other") == 20
    assert value(read, "amqpd_connection_incoming_bytes_total") == 100
    assert value(read, "amqpd_connection_outgoing_bytes_total") == 200
    assert value(read, "amqpd_connection_incoming_packets_total") == 3
    assert value(read, "amqpd_connection_outgoing_packets_total") == 4
    assert value(read, "amqpd_connection_channels") == 2
    assert value(read, "amqpd_connection_pending_bytes") == 5
    assert value(read, "amqpd_connection_blocked") == 1
    whose = {"vhost": "/", "user": "guest", "client": "pika", "client_version": "1.3.2", "client_name": "billing"}
    assert value(read, "amqpd_connection_info", PER_OBJECT, connection="one", **whose) == 1


def test_the_store_is_shown_by_file_and_as_one() -> None:
    messages = journal("store.mdb", commits=TIMES, octets_written=10, reads=1, octets_in_file=4096)
    spilled = journal("spill.mdb", commits=TIMES, octets_written=20, reads=2, waiting=7, waiting_limit=8)
    read = snapshot(server=server(journals=(messages, spilled)))
    assert value(read, "amqpd_io_sync_ops_total") == 4
    assert value(read, "amqpd_io_sync_time_seconds_total") == pytest.approx(6.004)
    assert value(read, "amqpd_io_write_bytes_total") == 30
    assert value(read, "amqpd_io_read_ops_total") == 3
    assert value(read, "amqpd_store_commit_seconds_count", file="spill.mdb") == 2
    assert value(read, "amqpd_store_commit_seconds_bucket", file="spill.mdb", le="0.005") == 1
    assert value(read, "amqpd_store_file_bytes", file="store.mdb") == 4096
    assert value(read, "amqpd_store_waiting_bytes", file="spill.mdb") == 7
    assert value(read, "amqpd_store_waiting_limit_bytes", file="spill.mdb") == 8


def test_without_a_store_there_are_no_files_and_nothing_was_written() -> None:
    assert value(snapshot(), "amqpd_io_write_bytes_total") == 0
    assert "amqpd_store_commit_seconds" in names(snapshot())
    assert not [name for name, _ in scrape(snapshot()) if name.startswith("amqpd_store")]


def test_what_is_declared_is_shown_in_detail() -> None:
    read = snapshot(broker(vhosts=("/", "shop"), exchanges=(exchange("orders", type="topic", bindings=3),)))
    page = detailed(("family", name) for name in ("vhost_status", "exchange_bindings", "exchange_names"))
    assert value(read, "amqpd_cluster_vhost_status", page, vhost="shop") == 1
    where = {"vhost": "/", "exchange": "orders", "type": "topic"}
    assert value(read, "amqpd_cluster_exchange_bindings", page, **where) == 3
    assert value(read, "amqpd_cluster_exchange_name", page, **where) == 1
