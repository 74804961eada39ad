"""Octets on their way to one peer.

Everything a connection has to say goes through its outbox, in order. The server takes it when the broker has dealt with
a read, so that there is one write for all of it. ``room`` closes the way for deliveries when the peer does not take
what it has; replies are always accepted, since a peer gets no more of those than it asks for.
"""

from collections.abc import Callable

from amqpd.wire.fast import Chunk

COPIED_BELOW = 4096
"""Octets of a piece, on average, up to which many are copied into one.

The body of a large message is not: it is sent to all its consumers from where it lies.
"""


class Outbox:
    """What waits to be sent. ``wake`` is called when there is something, once until it is taken."""

    __slots__ = ("_chunks", "_high_water", "size", "stalled", "wake")

    def __init__(self, high_water: int, wake: Callable[[], None]) -> None:
        self.size = 0
        self.stalled = False
        """The peer takes no more: what was taken from here before has not left yet."""
        self._chunks: list[Chunk] = []
        self._high_water = high_water
        self.wake = wake

    def room(self) -> int:
        """Octets of deliveries that may be added now; 0 or less is none."""
        return 0 if self.stalled else self._high_water - self.size

    def write(self, chunk: bytes) -> None:
        if not self._chunks:
            self.wake()
        self._chunks.append(chunk)
        self.size += len(chunk)

    def write_all(self, chunks: list[Chunk]) -> None:
        if not self._chunks:
            self.wake()
        self._chunks += chunks
        self.size += sum(map(len, chunks))

    def take(self) -> list[Chunk]:
        """All that waits: in one piece, or in the pieces it is made of where a copy would cost more than they do."""
        chunks, self._chunks = self._chunks, []
        size, self.size = self.size, 0
        if len(chunks) > 1 and size < COPIED_BELOW * len(chunks):
            return [b"".join(chunks)]
        return chunks
