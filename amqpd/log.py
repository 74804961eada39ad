"""The log: structured events on standard error, for people (console) or for machines (JSON lines).

Every event looks the same, whoever says it: structlog's own, and those that uvicorn, asyncio and ``warnings`` give to
the standard library's logging, pass the same processors and end in one stream: a log of JSON lines holds nothing else.
Our own are written without the standard library's logging in between, which takes half as long again. This module only
sets that up; whoever has something to say calls ``structlog.get_logger()``.

Peers choose some of the values (names, products, reply texts), so a value must never break a line, colour a terminal or
fail to be encoded. JSON escapes whatever is not ASCII, lone surrogates too (how a name that is no UTF-8 arrives), and
the console shows each value's ``repr``. Tracebacks show no local variables: they may hold passwords and messages.
"""

import logging
import os
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LEVELS = logging.getLevelNamesMapping()


def configure(log_format: str, level: str, stream: TextIO | None = None) -> None:
    """Set up the whole process's log.

    ``log_format`` is "console" or "json"; ``level`` is the least that is logged: "debug", "info", "warning" or "error".
    ``stream`` is standard error unless given. May be called again, and then replaces what was set up.
    """
    stream = stream or sys.stderr
    least = LEVELS[level.upper()]
    before: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers = _renderers(log_format, stream)
    structlog.configure(
        processors=[*before, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *before],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    logging.basicConfig(handlers=[handler], level=least, force=True)
    logging.captureWarnings(True)


def _renderers(log_format: str, stream: TextIO) -> list[Processor]:
    if log_format == "json":
        return [
            structlog.processors.format_exc_info,
            _head_first,
            structlog.processors.JSONRenderer(default=repr),
        ]
    return [
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty() and "NO_COLOR" not in os.environ,
            exception_formatter=structlog.dev.plain_traceback,
            repr_native_str=True,
        )
    ]


def _head_first(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """When, how bad and what, before the rest: a JSON line is read by people too."""
    head = ("timestamp", "level", "event")
    return {key: event.pop(key) for key in head} | dict(event)
