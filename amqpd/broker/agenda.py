"""What is still to do before the broker has dealt with its present input: dispatch queues, send confirms.

A read from a socket brings many publishes and acks. Dispatching a queue once after all of them is what lets deliveries
and confirms go out in batches, so whoever feeds the broker a batch *holds* the agenda and *releases* it at the end.
Without a holder, in-process, every call to a session does its work at once.
"""


class Work:
    """Something that can be on the agenda, at most once at a time."""

    __slots__ = ("scheduled",)

    def __init__(self) -> None:
        self.scheduled = False

    def perform(self) -> None:
        """Do it. May schedule more work."""
        raise NotImplementedError


class Agenda:
    """The work scheduled so far, in order."""

    __slots__ = ("_held", "_pending")

    def __init__(self) -> None:
        self._pending: list[Work] = []
        self._held = False

    def schedule(self, work: Work) -> None:
        if not work.scheduled:
            work.scheduled = True
            self._pending.append(work)

    def hold(self) -> None:
        """A batch of calls begins: leave the work until :meth:`release`."""
        self._held = True

    def release(self) -> None:
        """The batch is over: do all the work."""
        self._held = False
        self.flush()

    def settle(self) -> None:
        """A call has come to its end: do the work, unless someone holds it for a whole batch."""
        if self._pending and not self._held:
            self.flush()

    def flush(self) -> None:
        """Do all the work now, also what it schedules itself.

        What one piece of work raises does not undo the others.
        """
        pending = self._pending
        done = 0
        try:
            for work in pending:  # grows while it is walked
                done += 1
                work.scheduled = False
                work.perform()
        finally:
            del pending[:done]
