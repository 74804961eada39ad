"""What is still to do before the broker has dealt with its present input: dispatch queues, send confirms.

A read from a socket brings many publishes and acks. Dispatching a queue once after all of them is what lets deliveries
and confirms go out in batches, so whoever feeds the broker a batch *holds* the agenda and *releases* it at the end.
Without a holder, in-process, every call to a session does its work at once.
"""

from mypy_extensions import mypyc_attr


@mypyc_attr(allow_interpreted_subclasses=True)
class Work:
    """Something that can be on the agenda, at most once at a time."""

    __slots__ = ("scheduled",)

    def __init__(self) -> None:
        self.scheduled = False

    def perform(self) -> None:
        """Do it. May schedule more work."""
        raise NotImplementedError


class Agenda:
    """The work scheduled so far, in order.

    ``moment`` is when the present input came, in seconds by any clock that does not jump: whoever feeds the broker sets
    it, for what is measured. Deadlines go by another clock, see timers.py.
    """

    __slots__ = ("_flushing", "_holders", "_pending", "moment")

    def __init__(self, moment: float = 0.0) -> None:
        self.moment = moment
        self._pending: list[Work] = []
        self._holders = 0
        self._flushing = False

    def schedule(self, work: Work) -> None:
        if not work.scheduled:
            work.scheduled = True
            self._pending.append(work)

    def hold(self) -> None:
        """A batch of calls begins, maybe within another: leave the work until the last :meth:`release`."""
        self._holders += 1

    def release(self) -> None:
        """The batch is over: do all the work."""
        self._holders -= 1
        self.settle()

    def settle(self) -> None:
        """A call has come to its end: do the work, unless someone holds it for a whole batch."""
        if self._pending and not self._holders:
            self.flush()

    def flush(self) -> None:
        """Do all the work now, also what it schedules itself.

        What one piece of work raises does not keep the others from being done; the first such exception is raised at
        the end. Work that asks for this itself leaves it to whoever does it already.
        """
        if self._flushing:
            return
        self._flushing = True
        pending = self._pending
        failure: Exception | None = None
        for work in pending:  # grows while it is walked
            work.scheduled = False
            try:
                work.perform()
            except Exception as error:  # noqa: BLE001 - it is raised again, after the others' work
                failure = failure or error
        pending.clear()
        self._flushing = False
        if failure is not None:
            raise failure
