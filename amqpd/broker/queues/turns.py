"""Whose turn it is to get a message: the subscribers of a queue that can take one, by priority, then in turn.

Those of one priority stand in a ring. Whoever has no credit or no room when its turn comes leaves the ring (``idle``),
and comes back when it has; so a turn costs the same however many there are. While anybody stands in a higher ring, the
lower ones wait.
"""

from collections import deque

from amqpd.broker.queues.subscriber import Subscriber


class Turns:
    """``ring``: those of the highest priority. Its first is next; empty: nobody can take anything."""

    __slots__ = ("_rings", "ring")

    def __init__(self) -> None:
        self.ring: deque[Subscriber] = deque()
        self._rings = {0: self.ring}

    def add(self, subscriber: Subscriber) -> None:
        """It can take something, and is the last of its priority."""
        subscriber.idle = False
        self._rings.setdefault(subscriber.priority, deque()).append(subscriber)
        self._choose()

    def skip(self) -> None:
        """The next one can take nothing now."""
        subscriber = self.ring.popleft()
        subscriber.idle = True
        self._choose()

    def remove(self, subscriber: Subscriber) -> None:
        """It is not there any more, whether it could take something or not."""
        if subscriber.idle:
            subscriber.idle = False  # or credit that it is given back later would bring it into the ring
        elif subscriber.priority in self._rings:
            ring = self._rings[subscriber.priority]
            if subscriber in ring:
                ring.remove(subscriber)
            self._choose()

    def clear(self) -> None:
        self.ring = deque()
        self._rings = {0: self.ring}

    def _choose(self) -> None:
        if len(self._rings) > 1:
            self._rings = {priority: ring for priority, ring in self._rings.items() if ring} or {0: deque()}
            self.ring = self._rings[max(self._rings)]
