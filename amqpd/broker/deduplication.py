"""Message deduplication, as LavinMQ has it: of messages with one key, an exchange or a queue takes the first.

The key is the value of a header that the publisher sets; a message without it is never a duplicate. Keys are remembered
for a while (``x-cache-ttl``), and no more than ``x-cache-size`` of them: the oldest makes room. They lie in memory
only, so after a restart all messages are new. A duplicate does not renew what it is a duplicate of.
"""

from collections import OrderedDict
from hashlib import blake2b
from typing import NoReturn, TypeGuard

from amqpd.broker.message import Message
from amqpd.broker.timers import NEVER, Clock
from amqpd.errors import PreconditionFailed
from amqpd.wire.numbers import Timestamp
from amqpd.wire.tables import FieldValue, Table, encode_table, type_name

DEFAULT_HEADER = "x-deduplication-header"
DEFAULT_SIZE = 128

CACHE_SIZE_MAX = 1_000_000
"""Keys in one cache. One takes 140 octets, however long it is, so that this is 140 MB."""

CACHE_TTL_MAX = 315_360_000_000
"""Ten years in milliseconds: RabbitMQ's limit for any time to live."""

_KEY_SIZE = 16  # octets of a digest: two of 2**64 keys are alike by chance


class Deduplicator:
    """What has been seen by one exchange or queue."""

    __slots__ = ("_header", "_now", "_seen", "_size", "_ttl")

    def __init__(self, arguments: Table, now: Clock) -> None:
        """``arguments`` were checked by :func:`check_deduplication`."""
        size, ttl, header = (arguments.get(name) for name in ("x-cache-size", "x-cache-ttl", "x-deduplication-header"))
        self._size = size if isinstance(size, int) else DEFAULT_SIZE
        self._ttl = ttl if isinstance(ttl, int) else None
        self._header = header if isinstance(header, str) else DEFAULT_HEADER
        self._now = now
        self._seen: OrderedDict[bytes, int] = OrderedDict()  # by key, in order of arrival: until when it is remembered

    def is_duplicate(self, message: Message) -> bool:
        """Whether a message with its key is remembered; if not, this one is from now on."""
        headers = message.headers
        value = headers.get(self._header)
        if value is None:
            return False
        key = _digest(value)
        now = self._now()
        if self._seen.get(key, 0) > now:
            return True
        self._seen.pop(key, None)  # what was forgotten and comes again is the newest
        if len(self._seen) >= self._size:
            self._seen.popitem(last=False)
        own = headers.get("x-cache-ttl")
        ttl = own if _is_number(own) and 0 <= own <= CACHE_TTL_MAX else self._ttl
        self._seen[key] = NEVER if ttl is None else now + ttl
        return False

    def forget(self, message: Message) -> None:
        """It was remembered and has come to nothing: the next one with its key is the first."""
        value = message.headers.get(self._header)
        if value is not None:
            self._seen.pop(_digest(value), None)


def deduplicator_of(arguments: Table, now: Clock) -> Deduplicator | None:
    """The deduplicator that checked arguments of an exchange or a queue ask for, if they do."""
    return Deduplicator(arguments, now) if arguments.get("x-message-deduplication") is True else None


def _digest(value: FieldValue) -> bytes:
    return blake2b(encode_table({"": value}), digest_size=_KEY_SIZE).digest()


def check_deduplication(subject: str, arguments: Table) -> None:
    """PreconditionFailed: an argument about deduplication is wrong. ``subject``: ``queue 'q' in vhost '/'``."""
    _check_type(subject, "x-message-deduplication", arguments, bool, "boolean")
    _check_type(subject, "x-deduplication-header", arguments, str, "string")
    _check_number(subject, "x-cache-size", arguments, 1, CACHE_SIZE_MAX)
    _check_number(subject, "x-cache-ttl", arguments, 0, CACHE_TTL_MAX)


def _check_type(subject: str, name: str, arguments: Table, kind: type, word: str) -> None:
    if name in arguments and not isinstance(arguments[name], kind):
        _refuse(subject, name, f'"expected {word}, got {type_name(arguments[name])}"')


def _check_number(subject: str, name: str, arguments: Table, least: int, most: int) -> None:
    if name not in arguments:
        return
    value = arguments[name]
    if not _is_number(value):
        _refuse(subject, name, f'"expected integer, got {type_name(value)}"')
    elif value < 0:
        _refuse(subject, name, f"{{value_negative,{value}}}")
    elif value < least:
        _refuse(subject, name, f"{{value_zero,{value}}}")
    elif value > most:
        _refuse(subject, name, f"{{max_value_exceeded,{value}}}")


def _refuse(subject: str, name: str, reason: str) -> NoReturn:
    raise PreconditionFailed(f"invalid arg '{name}' for {subject}: {reason}")


def _is_number(value: FieldValue) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, (bool, Timestamp))
