"""``x-expires``: a queue that nobody has used for a while goes.

It is used as long as it has consumers, and when it is declared again or basic.get asks it for a message; publishing to
it is no use of it (RabbitMQ's reading).
"""

from typing import TYPE_CHECKING

from amqpd.broker.agenda import Work
from amqpd.broker.host import Host
from amqpd.broker.timers import Timer

if TYPE_CHECKING:
    from amqpd.broker.queues.queue import Queue


class Unused(Work):
    """Looks whether a queue was left unused for too long. Without a limit it costs a comparison."""

    __slots__ = ("_expires", "_host", "_queue", "_timer")

    def __init__(self, queue: "Queue", host: Host) -> None:
        super().__init__()
        self._queue = queue
        self._host = host
        self._expires: int | None = None
        self._timer = Timer(host.timers, self)

    def limit(self, expires: int | None) -> None:
        """From now on it may be unused for so many milliseconds; None: for ever."""
        if expires != self._expires:
            self._expires = expires
            self._timer.cancel()
            self.touch()

    def drop(self) -> None:
        """The queue is deleted."""
        self._expires = None
        self._timer.drop()

    def touch(self) -> None:
        """The queue was used just now."""
        if self._expires is not None:
            self._timer.set(self._host.timers.now() + self._expires)

    def perform(self) -> None:
        if self._expires is None:
            return
        if self._queue.subscribers:
            self.touch()
        else:
            self._host.expire(self._queue)
