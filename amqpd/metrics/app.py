"""The HTTP side of the metrics, as an ASGI application: the pages for Prometheus, and whether all is well.

Nobody logs in here. Health is told at once, whatever else is going on; pages are made by :mod:`amqpd.metrics.scraper`.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from amqpd.metrics.exposition import accepts, format_for
from amqpd.metrics.pages import AGGREGATED, PER_OBJECT, BadRequest, Page, detailed
from amqpd.metrics.scraper import Observe, Scraper, Survey

SCRAPES_MAX = 8
"""Two Prometheus servers that stand in for each other, each with three jobs that may come at the same moment, a person,
and one to spare. Each may hold a page in memory: 50 MB for 10,000 queues, where it is not compressed."""

SENDING_S = 60.0
"""Prometheus gives up after 10 s, unless told otherwise. Who has not taken a page by then does not want it."""

NOT_FOUND = """\
There is nothing here. There are:
/metrics             all objects as one
/metrics/per-object  each object
/metrics/detailed    ?family=NAME, which may be repeated, and for queues &vhost=NAME&queue=NAME
/health/live         that the server answers
/health/ready        whether clients may be sent here, and if not why
"""


PAGES: dict[str, Callable[[QueryParams], Page]] = {
    "/metrics": lambda _parameters: AGGREGATED,
    "/metrics/per-object": lambda _parameters: PER_OBJECT,
    "/metrics/detailed": lambda parameters: detailed(parameters.multi_items()),
}


def metrics_app(
    survey: Survey, observe: Observe, not_ready: Callable[[], tuple[str, ...]], prefix: str = "amqpd"
) -> Starlette:
    """The application. What it is given it calls on the event loop: ``survey`` and ``observe`` once for each scrape, to
    read them a little at a time; ``not_ready``, why no client should be sent here now, each time that is asked for.
    Names of families begin with ``prefix``, "amqpd" or "rabbitmq"."""

    async def live(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(_request: Request) -> Response:
        reasons = not_ready()
        status = {"status": "not ready" if reasons else "ready", "reasons": reasons}
        return JSONResponse(status, status_code=503 if reasons else 200)

    pages = _Pages(Scraper(survey, observe, prefix))
    endpoints: dict[str, Callable[..., Any]] = {
        **dict.fromkeys(PAGES, pages),
        "/health/live": live,
        "/health/ready": ready,
    }
    application = Starlette(
        routes=[  # also with a slash at the end, as in RabbitMQ
            Route(path + slash, endpoint, methods=["GET"])
            for path, endpoint in endpoints.items()
            for slash in ("", "/")
        ],
        exception_handlers={404: _not_found},
    )
    application.router.redirect_slashes = False  # to the host that the client named, whatever it was
    return application


class _Pages:
    """Answers all requests for pages. A class and not a function, since the page is sent before the next may come."""

    def __init__(self, scraper: Scraper) -> None:
        self._scraper = scraper
        self._going_on = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._going_on += 1
        try:
            async with self._answer(Request(scope)) as response:
                with anyio.move_on_after(SENDING_S):
                    await response(scope, receive, send)
        finally:
            self._going_on -= 1

    @asynccontextmanager
    async def _answer(self, request: Request) -> AsyncIterator[Response]:
        """The answer, which is let go at the end: a client that leaves ends this by an exception, whose traceback would
        keep the page until somebody looks for garbage."""
        pieces: list[bytes] = []
        try:
            yield await self._respond(request, pieces)
        finally:
            pieces.clear()

    async def _respond(self, request: Request, pieces: list[bytes]) -> Response:
        """The answer. A page comes into ``pieces``."""
        if self._going_on > SCRAPES_MAX:
            return PlainTextResponse(f"There are {SCRAPES_MAX} scrapes already.\n", status_code=503)
        try:
            page = PAGES[request.scope["path"].removesuffix("/")](request.query_params)
        except BadRequest as error:
            return PlainTextResponse(f"{error}\n", status_code=400)
        wanted = format_for(request.headers.get("accept", ""))
        headers = {"content-type": wanted.content_type, "vary": "Accept, Accept-Encoding"}
        if request.method == "HEAD":  # as RabbitMQ answers it
            return Response(status_code=204, headers=headers)
        gzip = accepts(request.headers.get("accept-encoding", ""), "gzip")
        if gzip:
            headers["content-encoding"] = "gzip"
        pieces += await self._scraper.scrape(page, wanted, gzip)
        headers["content-length"] = str(sum(map(len, pieces)))
        return StreamingResponse(_each(pieces), headers=headers)


async def _each(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    """The event loop goes on after each, also when the scraper is so quick that none of them has to wait."""
    for piece in pieces:
        yield piece
        await checkpoint()


async def _not_found(_request: Request, _error: Exception) -> Response:
    return PlainTextResponse(NOT_FOUND, status_code=404)
