import pytest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from amqpd.metrics.columns import Column, Labels, buckets, family, label_value
from amqpd.metrics.pages import PER_OBJECT
from tests.metrics.samples import broker, distribution, exchange, queue, scrape, snapshot, value

LABELS = Labels(("vhost", "queue"), [("/", "orders"), ("shop", "bills")])


def test_labels_are_written_in_the_order_of_their_names() -> None:
    assert LABELS.texts == ['queue="orders",vhost="/"} ', 'queue="bills",vhost="shop"} ']


def test_labels_are_escaped() -> None:
    assert Labels(("queue",), [('quote " backslash \\ newline \n',)]).texts == [
        r'queue="quote \" backslash \\ newline \n"} '
    ]


def gauge() -> Metric:
    metric = GaugeMetricFamily("size", "How large", labels=("vhost", "queue"))
    metric.add_metric(("/", "orders"), 3)
    metric.add_metric(("shop", "bills"), 4)
    return metric


def counter() -> Metric:
    metric = CounterMetricFamily("size", "How large", labels=("vhost", "queue"))
    metric.add_metric(("/", "orders"), 3)
    metric.add_metric(("shop", "bills"), 4)
    return metric


@pytest.mark.parametrize(("kind", "expected"), [("gauge", gauge()), ("counter", counter())])
def test_a_column_is_a_metric_like_others(kind: str, expected: Metric) -> None:
    assert Column(kind, "size", "How large", LABELS, [3, 4]) == expected  # type: ignore[arg-type]
    assert family(kind, "size", "How large", LABELS, [3, 4]) == expected


def test_a_column_of_histograms_is_too() -> None:
    expected = HistogramMetricFamily("time", "How long", labels=("vhost", "queue"))
    expected.add_metric(("/", "orders"), [("0.5", 1), ("1.0", 1), ("+Inf", 2)], 3.25)
    column = Column("histogram", "time", "How long", LABELS, [distribution(0.25, 3.0, bounds=(0.5, 1.0)), None])
    assert column == expected


def test_where_there_is_no_value_there_is_no_sample() -> None:
    assert [sample.labels["queue"] for sample in Column("gauge", "size", "", LABELS, [None, 4]).samples] == ["bills"]


def test_buckets_count_all_that_is_smaller() -> None:
    assert buckets(distribution(0.5, 0.5, 2.0, 9.0, bounds=(1.0, 2.0))) == [("1.0", 2), ("2.0", 3), ("+Inf", 4)]


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
    read = snapshot(broker(queues=(queue(name, ready=3),)))
    assert value(read, "amqpd_queue_messages_ready", PER_OBJECT, vhost="/", queue=shown) == 3


def test_the_default_exchange_has_a_name() -> None:
    found = scrape(snapshot(broker(exchanges=(exchange("", published=3),))), PER_OBJECT)
    labels = frozenset({("vhost", "/"), ("exchange", "amq.default")})
    assert found["amqpd_exchange_messages_published_total", labels] == 3
