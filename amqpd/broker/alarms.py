"""What is low: memory, disk, or the store's power to keep up with what is handed to it.

While something is low, whoever publishes is not served until that is over, and whoever consumes is: consuming is what
makes room again. "memory" and "disk" are alarms, which clients and operators are told of. "store" is flow control: more
waits for the disk than may lie in memory. It comes and goes many times a second under load, so nobody is told.

A resource can be found low from several sides: the server looks at the free space, and the store meets it. Each side
has a name, its *source*, and takes back only what it has said itself.

Nothing is measured here. Whoever does leaves here what was measured last, for the statistics.
"""

from collections.abc import Callable
from typing import Literal

from mypy_extensions import mypyc_attr

Resource = Literal["memory", "disk", "store"]

TOLD: tuple[Resource, ...] = ("disk", "memory")
"""The alarms, in the order in which RabbitMQ names them."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Alarms:
    """Which resources are low, in whose view. To be used where the broker is: in the thread of the event loop."""

    def __init__(self) -> None:
        self.blocking = False
        """Something is low: publishers are not to be served. Cheap to test."""
        self.reason = ""
        """Why, in RabbitMQ's words for connection.blocked; empty where nobody is to be told."""
        self.changed: Callable[[], None] = lambda: None
        """Called when one of the two above has changed; the server's."""
        self.blocked = 0
        """Connections that are not served now, since they have published."""
        self.memory_used = 0
        self.memory_limit = 0
        self.disk_free: int | None = None
        self.disk_free_limit: int | None = None
        self._low: set[tuple[Resource, str]] = set()

    def set(self, resource: Resource, source: str) -> None:
        """``source`` finds it low."""
        self._low.add((resource, source))
        self._update()

    def clear(self, resource: Resource, source: str) -> None:
        """``source`` finds it low no longer, or never did."""
        self._low.discard((resource, source))
        self._update()

    def is_low(self, resource: Resource) -> bool:
        """In anybody's view."""
        return any(resource == low for low, _ in self._low)

    def _update(self) -> None:
        told = " & ".join(resource for resource in TOLD if self.is_low(resource))
        blocking, reason = bool(self._low), f"low on {told}" if told else ""
        if (blocking, reason) != (self.blocking, self.reason):
            self.blocking, self.reason = blocking, reason
            self.changed()
