"""Families as text, in either of Prometheus' formats, and compressed.

prometheus_client writes all but the lines of the columns, which are too many for it (:mod:`amqpd.metrics.lines`).

This runs in a worker thread while messages go on, and the event loop waits for the interpreter's lock as long as one
call holds it: to join 20 MB takes 10 ms. So pages are made of pieces from the beginning to the end.
"""

import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from amqpd.metrics.columns import Column
from amqpd.metrics.lines import lines

PIECE_SIZE = 1 << 16
"""Smaller pieces are put together, to be compressed and sent."""

GZIP_LEVEL = 1  # text this repetitive shrinks tenfold even so, at a fraction of the time
GZIP_FORMAT = zlib.MAX_WBITS | 16

NOT_ACCEPTABLE = re.compile(r"q=0(\.0{0,3})?")


@dataclass(frozen=True, slots=True)
class Format:
    """``generate`` is prometheus_client's; it puts ``end`` after what it gives."""

    content_type: str
    generate: Callable[[Collector], bytes]
    end: bytes


TEXT = Format("text/plain; version=0.0.4; charset=utf-8", generate_latest, b"")
OPENMETRICS = Format("application/openmetrics-text; version=1.0.0; charset=utf-8", generate_openmetrics, b"# EOF\n")


def format_for(accept: str) -> Format:
    """The one that a scraper with this Accept header wants. What it says of versions is of no consequence, for the
    answer says which it is in; and of names that need escaping neither: there are none."""
    return OPENMETRICS if accepts(accept, "application/openmetrics-text") else TEXT


def accepts(header: str, name: str) -> bool:
    """Whether a header, Accept or Accept-Encoding, names this, and not as what must not be sent (RFC 9110, 12.4.2: "a
    value of 0 means 'not acceptable'"). Anything may stand there: what cannot be understood says nothing."""
    for each in header.lower().split(","):
        named, *parameters = (part.strip() for part in each.split(";"))
        if named == name and not any(map(NOT_ACCEPTABLE.fullmatch, parameters)):
            return True
    return False


def exposition(collector: Collector, wanted: Format) -> Iterator[bytes]:
    """The page with all that ``collector`` has, in pieces."""
    return _gathered(_exposition(collector, wanted))


def compressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """``pieces`` as gzip. While one is compressed, zlib lets go of the interpreter's lock."""
    stream = zlib.compressobj(GZIP_LEVEL, wbits=GZIP_FORMAT)
    yield from _gathered(map(stream.compress, pieces))
    yield stream.flush()


def _exposition(collector: Collector, wanted: Format) -> Iterator[bytes]:
    for metric in collector.collect():
        if isinstance(metric, Column):
            yield _generate(Metric(metric.name, metric.documentation, metric.type), wanted)  # its head only
            yield from lines(metric)
        else:
            yield _generate(metric, wanted)
    yield wanted.end


def _generate(metric: Metric, wanted: Format) -> bytes:
    return wanted.generate(_One(metric)).removesuffix(wanted.end)


class _One(Collector):
    """A collector of one metric, for one is what is to be written."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    gathered: list[bytes] = []
    size = 0
    for piece in pieces:
        gathered.append(piece)
        size += len(piece)
        if size >= PIECE_SIZE:
            yield b"".join(gathered)
            gathered.clear()
            size = 0
    yield b"".join(gathered)
