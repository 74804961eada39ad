import pytest

from amqpd.metrics.pages import NAMES, BadRequest, Page, detailed

RABBITMQ = {
    "connection_churn_metrics",
    "node_coarse_metrics",
    "node_metrics",
    "node_persister_metrics",
    "auth_attempt_metrics",
    "queue_coarse_metrics",
    "queue_consumer_count",
    "queue_metrics",
    "queue_delivery_metrics",
    "exchange_metrics",
    "channel_metrics",
    "channel_queue_metrics",
    "connection_coarse_metrics",
    "connection_metrics",
    "vhost_status",
    "exchange_bindings",
    "exchange_names",
}


def test_there_are_rabbitmqs_names_and_some_of_ours() -> None:
    assert {"queue_time_metrics", "queue_rate_metrics", "store_metrics", "process_metrics"} == NAMES - RABBITMQ
    assert RABBITMQ <= NAMES


def test_each_parameter_may_be_repeated() -> None:
    assert detailed(
        [
            ("family", "queue_metrics"),
            ("family", "channel_metrics"),
            ("vhost", "/"),
            ("queue", "orders"),
            ("queue", "bills"),
        ]
    ) == Page(
        "detailed",
        frozenset({"queue_metrics", "channel_metrics"}),
        frozenset({"/"}),
        frozenset({"orders", "bills"}),
    )


@pytest.mark.parametrize("name", ["ra_metrics", "channel_process_metrics", "stream_consumer_metrics"])
def test_what_only_rabbitmq_has_may_be_asked_for(name: str) -> None:
    assert detailed([("family", name)]).families == {name}
    assert name not in NAMES


def test_what_nobody_has_may_not() -> None:
    with pytest.raises(BadRequest, match=r"^There is no family 'queue_matrix': there are auth_attempt_metrics, .*\.$"):
        detailed([("family", "queue_metrics"), ("family", "queue_matrix")])
    with pytest.raises(BadRequest, match=r"^There is no parameter 'families': there are family, vhost, queue\.$"):
        detailed([("families", "queue_metrics")])
    with pytest.raises(BadRequest):
        detailed([("family", "")])
