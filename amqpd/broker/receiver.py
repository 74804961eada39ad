"""The seam above the broker: where a session hands over what its peer shall get.

A receiver only appends to a buffer or sets a flag. It never calls back into the broker: it is called in the middle of
the broker's work.
"""

from collections.abc import Sequence

from mypy_extensions import mypyc_attr

from amqpd.broker.message import Message


@mypyc_attr(allow_interpreted_subclasses=True)
class Receiver:
    """What a session tells its peer. A protocol's channel is one; so is a list in a test."""

    def room(self) -> int:
        """Octets of content that may be handed over now. At 0 or below deliveries wait for ``Session.resume``."""
        raise NotImplementedError

    def deliver(self, consumer_tag: str, delivery_tag: int, redelivered: bool, messages: Sequence[Message]) -> None:
        """Messages for one consumer; the first has ``delivery_tag``, each further one the next."""
        raise NotImplementedError

    def returned(self, message: Message, code: int, text: str) -> None:
        """A mandatory message that reached no queue. Comes before its confirm."""
        raise NotImplementedError

    def confirmed(self, sequence: int, multiple: bool) -> None:
        """The broker has taken responsibility for publish number ``sequence``, and all before it if ``multiple``."""
        raise NotImplementedError

    def rejected(self, sequence: int, multiple: bool) -> None:
        """The broker has refused publish number ``sequence``, and all unconfirmed ones before it if ``multiple``: a
        queue is full."""
        raise NotImplementedError

    def cancelled(self, consumer_tag: str) -> None:
        """The broker ended a consumer, because its queue is gone."""
        raise NotImplementedError

    def timed_out(self, consumer_tag: str, delivery_tags: Sequence[int], timeout: int, fatal: bool) -> None:
        """These deliveries were not acknowledged within so many milliseconds. They go back to their queue; or the
        session has to end, if ``fatal``, which is left to its protocol: the one call in which it may be closed."""
        raise NotImplementedError

    def acknowledged_late(self, delivery_tag: int) -> None:
        """One of those was settled after all, which changes nothing."""
        raise NotImplementedError


NOBODY = Receiver()
"""The receiver of a session that has ended: a session and its receiver know each other, and one must let go. Whoever
calls it has a bug."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Mailbox(Receiver):
    """A receiver for use in-process and in tests: keeps everything in lists, for whoever looks.

    ``room_octets`` is what :meth:`room` answers: lower it to play a peer that does not read.
    """

    def __init__(self, room_octets: int = 1 << 62) -> None:
        self.room_octets = room_octets
        self.deliveries: list[tuple[str, int, bool, Message]] = []
        self.returns: list[tuple[Message, int, str]] = []
        self.confirms: list[tuple[int, bool]] = []
        self.rejections: list[tuple[int, bool]] = []
        self.cancels: list[str] = []
        self.timeouts: list[tuple[str, list[int], bool]] = []
        self.late: list[int] = []

    def room(self) -> int:
        return self.room_octets

    def deliver(self, consumer_tag: str, delivery_tag: int, redelivered: bool, messages: Sequence[Message]) -> None:
        self.deliveries += [(consumer_tag, delivery_tag + i, redelivered, m) for i, m in enumerate(messages)]

    def returned(self, message: Message, code: int, text: str) -> None:
        self.returns.append((message, code, text))

    def confirmed(self, sequence: int, multiple: bool) -> None:
        self.confirms.append((sequence, multiple))

    def cancelled(self, consumer_tag: str) -> None:
        self.cancels.append(consumer_tag)

    def rejected(self, sequence: int, multiple: bool) -> None:
        self.rejections.append((sequence, multiple))

    def timed_out(self, consumer_tag: str, delivery_tags: Sequence[int], timeout: int, fatal: bool) -> None:
        self.timeouts.append((consumer_tag, list(delivery_tags), fatal))

    def acknowledged_late(self, delivery_tag: int) -> None:
        self.late.append(delivery_tag)
