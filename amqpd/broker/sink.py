"""Where a route can end: a queue, or whatever else keeps messages for a while."""

from collections.abc import Sequence

from mypy_extensions import mypyc_attr

from amqpd.broker.agenda import Work
from amqpd.broker.message import Message


@mypyc_attr(allow_interpreted_subclasses=True)
class Sink(Work):
    """Takes messages from the router. ``exists`` is False when it was deleted.

    ``watches``: each message that arrives is looked at, so those that come together must have one header.
    """

    __slots__ = ("exists", "watches")

    def __init__(self) -> None:
        super().__init__()
        self.exists = True
        self.watches = False

    def enqueue(self, messages: Sequence[Message], octets: int) -> int:
        """Take new messages, whose bodies have ``octets`` in all. They have one header in common, or none of them has
        anything to say to the broker itself.

        Returns how many of them, the last ones, were refused: their publisher gets a nack.
        """
        raise NotImplementedError
