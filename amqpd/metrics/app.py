"""The HTTP side of the metrics: one page, ``/metrics``, as an ASGI application.

The snapshot is taken on the event loop, where the broker lives, and is short. Rendering thousands of queues and
compressing the text are not, so they are left to a worker thread, and messages go on meanwhile.
"""

import gzip
from collections.abc import Callable

import anyio.to_thread
from prometheus_client.exposition import choose_encoder, gzip_accepted
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from amqpd.broker.statistics import BrokerStatistics
from amqpd.metrics.collector import StatisticsCollector

GZIP_LEVEL = 1  # text this repetitive shrinks tenfold even so, at a fraction of the time


def metrics_app(read_statistics: Callable[[], BrokerStatistics]) -> Starlette:
    """The application. It calls ``read_statistics`` on the event loop, once for each scrape."""

    async def metrics(request: Request) -> Response:
        statistics = read_statistics()
        headers = request.headers
        return await anyio.to_thread.run_sync(
            _render, statistics, headers.get("accept", ""), headers.get("accept-encoding", "")
        )

    return Starlette(
        routes=[Route("/metrics", metrics)],
        exception_handlers={404: _not_found},
    )


def _render(statistics: BrokerStatistics, accept: str, accept_encoding: str) -> Response:
    """The page in the format (text or OpenMetrics) and the encoding that the scraper asks for."""
    encode, content_type = choose_encoder(accept)
    body = encode(StatisticsCollector(statistics))
    headers = {"content-type": content_type, "vary": "Accept, Accept-Encoding"}
    if gzip_accepted(accept_encoding):
        body = gzip.compress(body, GZIP_LEVEL)
        headers["content-encoding"] = "gzip"
    return Response(body, headers=headers)


async def _not_found(_request: Request, _error: Exception) -> Response:
    return PlainTextResponse("There is nothing here: amqpd's metrics are at /metrics.\n", status_code=404)
