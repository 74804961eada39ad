"""prometheus_client's own exposition is what ours is held against: the same octets, for anything that can be shown."""

import gzip
import math
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from amqpd.broker.statistics import Handovers
from amqpd.histogram import Distribution
from amqpd.metrics.collector import StatisticsCollector
from amqpd.metrics.columns import Column, Labels, label_value
from amqpd.metrics.exposition import OPENMETRICS, PIECE_SIZE, TEXT, Format, accepts, compressed, exposition, format_for
from amqpd.metrics.lines import ROWS
from amqpd.metrics.pages import AGGREGATED, NAMES, PER_OBJECT, Page, detailed
from amqpd.metrics.tables import Kind, Value
from tests.metrics.samples import (
    broker,
    connection,
    consumer,
    distribution,
    exchange,
    journal,
    queue,
    server,
    session,
    snapshot,
)

FORMATS = pytest.mark.parametrize("wanted", [TEXT, OPENMETRICS], ids=["text", "openmetrics"])

NAMES_OF_ALL_KINDS = (
    "orders",
    'quote " backslash \\ newline \n',
    "späte Bestellungen 💥",
    "",
    b"caf\xe9".decode("utf-8", "surrogateescape"),
    "} 1.0",
)


class Metrics(Collector):
    """Some metrics, which can be collected again and again."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def written(metrics: Iterable[Metric], wanted: Format) -> bytes:
    return b"".join(exposition(Metrics(metrics), wanted))


@FORMATS
@pytest.mark.parametrize("page", [AGGREGATED, PER_OBJECT, detailed(("family", name) for name in NAMES)])
@pytest.mark.parametrize("prefix", ["amqpd", "rabbitmq"])
def test_a_page_is_the_same_octets(page: Page, prefix: str, wanted: Format) -> None:
    read = snapshot(
        broker(
            vhosts=NAMES_OF_ALL_KINDS,
            queues=tuple(
                queue(
                    name,
                    vhost=vhost,
                    ready=len(name) * 1_000_000,
                    handovers=Handovers(1, 20, 300),
                    ready_age_s=0.1,
                    waits=distribution(0.001, 0.2, 7000.0) if name else None,
                )
                for vhost in NAMES_OF_ALL_KINDS
                for name in NAMES_OF_ALL_KINDS
            ),
            exchanges=tuple(exchange(name, unroutable=(1, 2, 3, 4)) for name in NAMES_OF_ALL_KINDS),
            sessions=tuple(session(name, 1, consumers=(consumer(name, name),)) for name in NAMES_OF_ALL_KINDS),
        ),
        server(
            connections=tuple(connection(name, client=name) for name in NAMES_OF_ALL_KINDS),
            journals=(journal("store.mdb"),),
        ),
    )
    metrics = list(StatisticsCollector(read, page, prefix).collect())
    assert written(metrics, wanted) == wanted.generate(Metrics(metrics))


NUMBERS = st.one_of(
    st.integers(0, 10**20),
    st.floats(0.0, 1e30),
    st.sampled_from([0, 0.0, 999_999, 1_000_000, 1e6, 1e16, math.inf, math.nan, True]),
)


@st.composite
def histograms(draw: st.DrawFn) -> Distribution:
    bounds = draw(st.lists(st.floats(0.0001, 1e8), min_size=1, max_size=4, unique=True).map(sorted))
    counts = draw(st.lists(st.integers(0, 10**7), min_size=len(bounds) + 1, max_size=len(bounds) + 1))
    return Distribution(tuple(bounds), tuple(counts), draw(st.floats(0.0, 1e9)))


VALUES: dict[Kind, st.SearchStrategy[Value]] = {
    "gauge": st.none() | NUMBERS,
    "counter": st.none() | NUMBERS,
    "histogram": st.none() | histograms(),
}
OCTETS = st.binary(max_size=8).map(lambda octets: octets.decode("utf-8", "surrogateescape"))
ROWS_OF_ANY_KIND = st.sampled_from(list(VALUES)).flatmap(
    lambda kind: st.tuples(
        st.just(kind),
        st.lists(
            st.tuples(OCTETS | st.text(st.characters(exclude_categories=["Cs"])), OCTETS, VALUES[kind]), max_size=5
        ),
    )
)


@FORMATS
@given(column=ROWS_OF_ANY_KIND)
def test_a_column_is_the_same_octets(column: tuple[Kind, Sequence[tuple[str, str, Value]]], wanted: Format) -> None:
    kind, rows = column
    labels = Labels(("vhost", "queue"), [(vhost, queue) for vhost, queue, _ in rows])
    metric = Column(kind, "amqpd_queue", 'What "it" \\ is\n', labels, [value for _, _, value in rows])
    assert written([metric], wanted) == wanted.generate(Metrics([metric]))


@pytest.mark.parametrize("name", NAMES_OF_ALL_KINDS)
def test_prometheus_reads_a_name_as_it_is_shown(name: str) -> None:
    page = written([Column("gauge", "size", "", Labels(("queue",), [(name,)]), [3])], TEXT).decode()
    (read,) = text_string_to_metric_families(page)
    assert read.samples[0].labels == {"queue": label_value(name)}


def many(rows: int) -> list[Metric]:
    labels = Labels(("vhost", "queue"), [("/", f"queue-{number}") for number in range(rows)])
    values = list(range(rows))
    times = [distribution(0.001 * number) for number in range(rows)]
    return [Column("gauge", "size", "", labels, values), Column("histogram", "time", "", labels, times)]


@FORMATS
@pytest.mark.parametrize("rows", [0, 1, ROWS - 1, ROWS, ROWS + 1, 3 * ROWS])
def test_nothing_is_lost_between_pieces(rows: int, wanted: Format) -> None:
    assert written(many(rows), wanted) == wanted.generate(Metrics(many(rows)))


def test_no_piece_is_so_large_that_the_event_loop_would_notice() -> None:
    pieces = list(exposition(Metrics(many(10 * ROWS)), TEXT))
    assert max(map(len, pieces)) < 1_000_000
    assert min(map(len, pieces[:-1])) >= PIECE_SIZE


@FORMATS
def test_what_is_compressed_is_the_same_page(wanted: Format) -> None:
    packed = b"".join(compressed(exposition(Metrics(many(1000)), wanted)))
    assert gzip.decompress(packed) == written(many(1000), wanted)
    assert len(packed) < len(written(many(1000), wanted)) / 5


def test_a_page_ends_as_openmetrics_wants_it() -> None:
    metrics = [GaugeMetricFamily("one", "", value=1), GaugeMetricFamily("two", "", value=2)]
    page = written(metrics, OPENMETRICS)
    assert page.endswith(b"two 2.0\n# EOF\n")
    assert page.count(b"# EOF") == 1


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", TEXT),
        ("text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5", TEXT),
        ("application/openmetrics-text", OPENMETRICS),
        # Prometheus 2.42 and 3
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,*/*;q=0.1", OPENMETRICS),
        # nobody, but anybody may
        ('application/openmetrics-text;version="1.0.0";q=banana', OPENMETRICS),
        ("application/openmetrics-text;version=one", OPENMETRICS),
        ("application/openmetrics-text;q=0", TEXT),
        ('text/plain;version="1.0.0"', TEXT),
        (",;=;,=", TEXT),
    ],
)
def test_the_format_is_the_one_that_is_asked_for(accept: str, wanted: Format) -> None:
    assert format_for(accept) == wanted


@given(
    accept=st.text(alphabet=[",", ";", "=", '"', " ", "*", "/"]) | st.from_regex(r"(text/plain|version|[;=,\d.\"])*")
)
def test_any_accept_header_gives_a_format(accept: str) -> None:
    assert format_for(accept) == TEXT


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5, br", True),
        ("gzip;q=0.001", True),
        ("", False),
        ("identity", False),
        ("gzipped", False),
        ("gzip;q=0", False),
        ("gzip ; Q=0.000, identity", False),
    ],
)
def test_what_must_not_be_sent_is_not(header: str, accepted: bool) -> None:
    assert accepts(header, "gzip") == accepted
