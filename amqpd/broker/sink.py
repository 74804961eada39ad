"""Where a route can end: a queue, or whatever else keeps messages for a while."""

from collections.abc import Sequence

from mypy_extensions import mypyc_attr

from amqpd.broker.agenda import Work
from amqpd.broker.message import Message


@mypyc_attr(allow_interpreted_subclasses=True)
class Sink(Work):
    """Takes messages from the router. ``exists`` is False when it was deleted."""

    __slots__ = ("exists",)

    def __init__(self) -> None:
        super().__init__()
        self.exists = True

    def enqueue(self, messages: Sequence[Message], octets: int) -> int:
        """Take new messages, which have one header in common, and bodies of ``octets`` in all.

        Returns how many of them, the last ones, were refused: their publisher gets a nack.
        """
        raise NotImplementedError
