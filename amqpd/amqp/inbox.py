"""Octets that have come from one peer and are not taken yet: a frame that is cut by the end of a read, or all that is
behind what has to wait.

What waits is put together when it can be taken. A large frame is put together alone: the frames of a large body take a
read each, and would otherwise be copied with all that came behind them.
"""

from typing import Final

LARGE_REST: Final = 16_384
"""Octets that are missing of a frame, or left at the end of a read, from which on they are copied but once."""


class Inbox:
    """``size``: the octets in it. ``wanted``: how many it takes until there is something to be taken."""

    __slots__ = ("_parts", "size", "wanted")

    def __init__(self, wanted: int) -> None:
        self.size = 0
        self.wanted = wanted
        self._parts: list[bytes | memoryview] = []

    def add(self, data: bytes, offset: int) -> None:
        """What was read, from ``offset`` on, waits."""
        self._parts.append(data[offset:])
        self.size += len(data) - offset

    def keep(self, data: bytes, offset: int) -> None:
        """All was looked at, and from ``offset`` on there is no whole frame."""
        self.size = len(data) - offset
        if self.size >= LARGE_REST:
            self._parts.append(memoryview(data)[offset:])
        elif self.size:
            self._parts.append(data[offset:])

    def rest_of_large_frame(self, data: bytes) -> int:
        """How much of ``data`` belongs to the frame that is cut, if that is a large one, and more comes behind it; or
        0."""
        missing = self.wanted - self.size
        return missing if LARGE_REST <= missing < len(data) else 0

    def take_with(self, data: bytes, rest: int) -> bytes:
        """All that waits, and the first octets of ``data``."""
        self._parts.append(memoryview(data)[:rest])
        return self.take()

    def take(self) -> bytes:
        """All that waits."""
        data = b"".join(self._parts)
        self.clear()
        return data

    def clear(self) -> None:
        self._parts.clear()
        self.size = 0
