"""What the store holds when the broker starts, found without reading messages: by the heads of their chunks.

Whatever may have been handed out before is a redelivery now. After an orderly stop that is known for each log; after
any other end it is all of it, so that nothing has to be written when messages are handed out.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from amqpd.broker.records import Record
from amqpd.broker.store import Kept
from amqpd.store.codec import (
    ChunkHead,
    decode_chunk,
    decode_record,
    encode_returns,
    record_key,
    split_log_id,
    split_returns_key,
)
from amqpd.store.environment import CLEAN, END, Environment
from amqpd.store.gone import Gone, Interval, left_of


class KeptLog(NamedTuple):
    """A log that was there before: what is kept in it, and what is gone of that."""

    kept: Kept
    gone: Gone


@dataclass(slots=True)
class Recovered:
    """``ids``: of queues and exchanges, by the keys of their records. ``logs``: by their ids, those of which there is
    something. ``was_closed``: the states tell what was handed out.

    ``dead``: log ids and positions of chunks that hold nothing any more, and were not deleted in time; those that
    follow on each other as one. ``changes``: values without what they say of messages that are not there; None: of
    nothing else.
    """

    records: list[Record] = field(default_factory=list)
    ids: dict[bytes, int] = field(default_factory=dict)
    logs: dict[int, KeptLog] = field(default_factory=dict)
    dead: list[tuple[int, int, int]] = field(default_factory=list)
    changes: dict[bytes, bytes | None] = field(default_factory=dict)
    last_id: int = 0
    was_closed: bool = False


@dataclass(slots=True)
class _Count:
    """What was found of one log so far."""

    gone: Gone = field(default_factory=Gone)
    delivered: int = END
    intervals: list[Interval] = field(default_factory=list)
    messages: int = 0
    octets: int = 0
    next: int = 1
    timed: bool = False
    returns: dict[int, int] = field(default_factory=dict)


def recover(environment: Environment) -> Recovered:
    """Look at all there is. Damaged: something is not what was written."""
    found = Recovered(was_closed=environment.get(CLEAN) is not None)
    for value in environment.topology():
        record, owner = decode_record(value)
        found.records.append(record)
        if owner:
            found.ids[record_key(record)] = owner
    owners = set(found.ids.values())
    counts: dict[int, _Count] = {}
    states = environment.states()
    for log, (gone, delivered) in states.items():
        if split_log_id(log)[0] in owners:
            counts[log] = _Count(gone, delivered if found.was_closed else END, gone.intervals)
    _count_chunks(environment, owners, counts, found)
    for count in counts.values():
        count.next = max([count.next, count.gone.floor, *(stop for _, stop in count.intervals[-1:])])
        if not count.messages:  # what there may be was transient, and nobody will settle it
            count.gone.raise_to(count.next)
    _collect_returns(environment, counts, found)
    for log, count in counts.items():
        delivered = min(count.delivered, count.next)
        kept = Kept(count.messages, count.octets, count.next, delivered, count.timed, count.returns)
        found.logs[log] = KeptLog(kept, count.gone)
    logs = (*states, *(log for log, _, _ in found.dead))
    found.last_id = max([0, *owners, *(split_log_id(log)[0] for log in logs)])
    return found


def _count_chunks(environment: Environment, owners: set[int], counts: dict[int, _Count], found: Recovered) -> None:
    dead_before = 0  # the log of the chunk before, if that is dead
    for log, first, head in environment.heads():
        end = head.last + 1
        messages = octets = 0  # all that is left of a chunk whose queue was deleted
        count = counts.get(log)
        if count is None and split_log_id(log)[0] in owners:
            count = counts[log] = _Count()
        if count is not None:
            messages, octets = _left_in(environment, log, first, head, count)
            count.messages += messages
            count.octets += octets
            count.next = end
            count.timed |= head.timed and messages > 0
        if not messages and dead_before == log:
            found.dead[-1] = log, found.dead[-1][1], end
        elif not messages:
            found.dead.append((log, first, end))
        dead_before = 0 if messages else log


def _left_in(environment: Environment, log: int, first: int, head: ChunkHead, count: _Count) -> tuple[int, int]:
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
    for position, message in decode_chunk(environment.read_chunk(log, first)):
        if message.persistent and any(start <= position < stop for start, stop in left):
            messages += 1
            octets += len(message.body)
    return messages, octets


def _collect_returns(environment: Environment, counts: dict[int, _Count], found: Recovered) -> None:
    """Of a transient message that was given back there may be more than there is of the message itself."""
    nothing = _Count()
    for key, returns in environment.returns():
        count = counts.get(split_returns_key(key)[0], nothing)
        there = {
            position: times
            for position, times in returns.items()
            if any(left_of(position, position + 1, count.intervals)) and count.gone.floor <= position < count.next
        }
        count.returns |= there
        if there != returns:
            found.changes[key] = encode_returns(there) if there else None
