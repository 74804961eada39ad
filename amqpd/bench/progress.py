"""The line that shows where a run is: on a terminal, rewritten each second; elsewhere, nothing."""

import time
from typing import TextIO

from amqpd.bench.roles import Crew

EVERY_S = 1.0


class Progress:
    """Called with the crew now and then. ``title`` says which of several runs this is."""

    def __init__(self, stream: TextIO) -> None:
        self.title = ""
        self._stream = stream if stream.isatty() else None
        self._shown_at = 0.0
        self._counts: dict[str, int] = {}
        self._crew: Crew | None = None

    def __call__(self, crew: Crew) -> None:
        now = time.monotonic()
        if self._stream is None or now - self._shown_at < EVERY_S:
            return
        counts = crew.counts()
        before = self._counts if crew is self._crew else {}
        rates = [
            f"{name} {(count - before[name]) / (now - self._shown_at):,.0f}/s"
            for name, count in counts.items()
            if count > before.get(name, count)
        ]
        left = [f"{crew.seconds_left:.0f} s left"] if crew.seconds_left else []
        self._stream.write("\r" + ", ".join([f"{self.title}: {crew.label}", *left, *rates]) + "\x1b[K")
        self._stream.flush()
        self._shown_at, self._counts, self._crew = now, counts, crew

    def clear(self) -> None:
        """Make room for what is written next."""
        if self._stream is not None:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
