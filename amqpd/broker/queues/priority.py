"""The backlog of a queue with ``x-max-priority``: the highest priority first, and each in order.

Strategy: each priority is a *lane*, a backlog of its own with a log of its own. The lane that is next lends its parts
to the whole, so that a queue looks at a backlog in the same way whatever it is. A position of the queue is the position
in the lane and, in its lowest octet, the priority.

As in RabbitMQ, a priority above the highest counts as the highest, no priority as 0; what has to leave a queue that is
full, or has expired, leaves from the front: the highest priority first.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from amqpd.broker.message import Message
from amqpd.broker.queues.backlog import Backlog
from amqpd.broker.queues.ready import Windows
from amqpd.broker.store import QueueLog
from amqpd.histogram import Histogram
from amqpd.wire.properties import priority

LANE_BITS = 8
LANE_MASK = (1 << LANE_BITS) - 1


class PriorityBacklog(Backlog):
    """Lanes from 0 to ``highest``, at most 255. ``open_log`` opens the log of a lane."""

    __slots__ = ("_busy", "_lane", "_lanes")

    def __init__(
        self,
        highest: int,
        open_log: Callable[[int], QueueLog | None],
        durable: bool,
        windows: Windows,
        arrived: Callable[[], None],
        moment: float,
    ) -> None:
        def lane_arrived(number: int) -> None:
            self._changed(number)
            arrived()

        # The base's own ready and returned are the lane's that is next: there is no other.
        self._lanes = [
            Backlog(open_log(lane), durable, windows, partial(lane_arrived, lane), moment)
            for lane in range(highest + 1)
        ]
        self._busy = 0  # bit n: lane n has something
        for number in range(highest + 1):
            self._changed(number)

    def __len__(self) -> int:
        return sum(len(lane) for lane in self._busy_lanes())

    def _busy_lanes(self) -> Iterator[Backlog]:
        busy = self._busy
        while busy:
            number = busy.bit_length() - 1
            yield self._lanes[number]
            busy ^= 1 << number

    @property
    def octets(self) -> int:
        return sum(lane.octets for lane in self._busy_lanes())

    @property
    def has_log(self) -> bool:
        return self._lanes[0].has_log

    @property
    def kept_timed(self) -> bool:
        return any(lane.kept_timed for lane in self._lanes)

    @property
    def kept_returns(self) -> Mapping[int, int]:
        return {
            position << LANE_BITS | number: returns
            for number, lane in enumerate(self._lanes)
            for position, returns in lane.kept_returns.items()
        }

    def extend(self, messages: Sequence[Message], octets: int) -> None:
        number = min(priority(messages[0].header), len(self._lanes) - 1)
        self._lanes[number].extend(messages, octets)
        self._changed(number)

    def mark(self, moment: float) -> None:
        for lane in self._busy_lanes():
            lane.mark(moment)

    def measure_each(self, positions: Sequence[int], moment: float, histogram: Histogram) -> None:
        lane = self._lanes[positions[0] & LANE_MASK]  # whoever takes messages gets them from one
        lane.measure_each([position >> LANE_BITS for position in positions], moment, histogram)

    def since(self, moment: float) -> float | None:
        return min((since for lane in self._busy_lanes() if (since := lane.since(moment)) is not None), default=None)

    @property
    def in_memory(self) -> tuple[int, int]:
        lanes = [lane.in_memory for lane in self._busy_lanes()]
        return sum(messages for messages, _ in lanes), sum(octets for _, octets in lanes)

    def give_back(self, position: int, message: Message, moment: float) -> None:
        number = position & LANE_MASK
        self._lanes[number].give_back(position >> LANE_BITS, message, moment)
        self._changed(number)

    def first(self) -> Message | None:
        return self._lanes[self._lane].first()

    def take(self, limit: int, room: int) -> tuple[Sequence[int], list[Message], bool]:
        number = self._lane
        positions, messages, redelivered = self._lanes[number].take(limit, room)
        self._changed(number)
        return [position << LANE_BITS | number for position in positions], messages, redelivered

    def settle(self, positions: Sequence[int], moved: bool = False) -> None:
        for number, of_lane in _by_lane(positions).items():
            self._lanes[number].settle(of_lane, moved)

    def note_returns(self, position: int, returns: int) -> None:
        self._lanes[position & LANE_MASK].note_returns(position >> LANE_BITS, returns)

    def read_now(self) -> None:
        number = self._lane
        self._lanes[number].read_now()
        self._changed(number)

    def among(self, positions: Iterable[int]) -> set[int]:
        return {
            position << LANE_BITS | number
            for number, of_lane in _by_lane(positions).items()
            for position in self._lanes[number].among(of_lane)
        }

    def clear(self) -> None:
        for number, lane in enumerate(self._lanes):
            lane.clear()
            self._changed(number)

    def drop(self) -> None:
        for lane in self._lanes:
            lane.drop()

    def close(self) -> None:
        for lane in self._lanes:
            lane.close()

    def _changed(self, number: int) -> None:
        """A lane has got or lost messages. The highest one that has any is next, if what it has must be read first,
        too."""
        bit = 1 << number
        self._busy = self._busy | bit if self._lanes[number] else self._busy & ~bit
        self._lane = max(self._busy.bit_length() - 1, 0)
        lane = self._lanes[self._lane]
        self.ready, self.returned = lane.ready, lane.returned
        if not self.ready.in_memory and not self.returned:
            self.ready.read_ahead()


def _by_lane(positions: Iterable[int]) -> dict[int, list[int]]:
    """Positions in lanes, by the number of the lane."""
    lanes: dict[int, list[int]] = defaultdict(list)
    for position in positions:
        lanes[position & LANE_MASK].append(position >> LANE_BITS)
    return lanes
