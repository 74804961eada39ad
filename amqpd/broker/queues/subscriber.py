"""Who a queue hands its messages to, seen from the queue."""

from collections.abc import Sequence

from mypy_extensions import mypyc_attr

from amqpd.broker.message import Message


@mypyc_attr(allow_interpreted_subclasses=True)
class Subscriber:
    """Someone who takes messages from a queue.

    Those of a higher ``priority`` come first. ``idle`` is the queue's note that the subscriber had no credit or no room
    when its turn came and is out of the round until ``Queue.activate``. ``delivered`` counts what it has taken.
    """

    __slots__ = ("delivered", "exclusive", "idle", "no_ack", "priority", "tag")

    def __init__(self, tag: str, no_ack: bool, exclusive: bool, priority: int = 0) -> None:
        self.tag = tag
        self.no_ack = no_ack
        self.exclusive = exclusive
        self.priority = priority
        self.idle = False
        self.delivered = 0

    def credit(self) -> int:
        """How many messages it would take now, by its prefetch."""
        raise NotImplementedError

    def room(self) -> int:
        """How many octets of content its peer would take now."""
        raise NotImplementedError

    def deliver(self, positions: Sequence[int], messages: Sequence[Message], redelivered: bool) -> None:
        """Take these, and count them; where acknowledgements are wanted, they come back to the queue by position."""
        raise NotImplementedError

    def cancelled(self) -> None:
        """The queue is gone."""
        raise NotImplementedError
