"""What the store holds when the broker starts, found without reading messages: by the heads of their chunks.

Whatever may have been handed out before is a redelivery now. After an orderly stop that is known for each queue; after
any other end it is all of it, so that nothing has to be written when messages are handed out.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from amqpd.broker.records import QueueRecord, Record
from amqpd.broker.store import Kept
from amqpd.store.codec import ChunkHead, decode_chunk, decode_record
from amqpd.store.environment import CLEAN, END, Environment
from amqpd.store.gone import Gone, left_of


class KeptQueue(NamedTuple):
    """A queue that lived before: the id of its messages, what is kept of them, and what of that is gone."""

    id: int
    kept: Kept
    gone: Gone


@dataclass(slots=True)
class Recovered:
    """``was_closed``: the states tell what was handed out. ``dead``: queue ids and positions of chunks that hold
    nothing any more, and were not deleted in time; those that follow on each other as one.
    """

    records: list[Record] = field(default_factory=list)
    queues: dict[tuple[str, str], KeptQueue] = field(default_factory=dict)
    dead: list[tuple[int, int, int]] = field(default_factory=list)
    last_id: int = 0
    was_closed: bool = False


@dataclass(slots=True)
class _Count:
    """What was found of one queue so far."""

    gone: Gone
    delivered: int
    intervals: list[tuple[int, int]]
    messages: int = 0
    octets: int = 0
    next: int = 1


def recover(environment: Environment) -> Recovered:
    """Look at all there is. Damaged: something is not what was written."""
    found = Recovered(was_closed=environment.get(CLEAN) is not None)
    ids: dict[int, tuple[str, str]] = {}
    for value in environment.topology():
        record, queue = decode_record(value)
        found.records.append(record)
        if isinstance(record, QueueRecord):
            ids[queue] = record.vhost, record.name
    states = environment.states()
    counts: dict[int, _Count] = {}
    for queue in ids:
        gone, delivered = states.get(queue, (Gone(), END))
        counts[queue] = _Count(gone, delivered if found.was_closed else END, gone.intervals)
    _count_chunks(environment, counts, found)
    for queue, name in ids.items():
        count = counts[queue]
        following = max([count.next, count.gone.floor, *(stop for _, stop in count.intervals[-1:])])
        if not count.messages:  # what there may be was transient, and nobody will settle it
            count.gone.raise_to(following)
        kept = Kept(count.messages, count.octets, following, min(count.delivered, following))
        found.queues[name] = KeptQueue(queue, kept, count.gone)
    found.last_id = max([0, *ids, *states, *(queue for queue, _, _ in found.dead)])
    return found


def _count_chunks(environment: Environment, counts: dict[int, _Count], found: Recovered) -> None:
    dead_before = 0  # the queue of the chunk before, if that is dead
    for queue, first, head in environment.heads():
        end = head.last + 1
        messages = octets = 0  # all that is left of a chunk whose queue was deleted
        count = counts.get(queue)
        if count is not None:
            messages, octets = _left_in(environment, queue, first, head, count)
            count.messages += messages
            count.octets += octets
            count.next = end
        if not messages and dead_before == queue:
            found.dead[-1] = queue, found.dead[-1][1], end
        elif not messages:
            found.dead.append((queue, first, end))
        dead_before = 0 if messages else queue


def _left_in(environment: Environment, queue: int, first: int, head: ChunkHead, count: _Count) -> tuple[int, int]:
    """Messages of a chunk that are not gone, and the octets of their bodies."""
    if first >= count.gone.floor and not count.intervals:  # mostly; and there may be millions
        return head.messages, head.octets
    end = head.last + 1
    left = list(left_of(max(first, count.gone.floor), end, count.intervals))
    if not left:
        return 0, 0
    if left == [(first, end)]:
        return head.messages, head.octets
    messages = octets = 0
    for position, message in decode_chunk(environment.read_chunk(queue, first)):
        if message.persistent and any(start <= position < stop for start, stop in left):
            messages += 1
            octets += len(message.body)
    return messages, octets
