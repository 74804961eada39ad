"""Header patterns: which message headers a binding's arguments ask for.

``x-match`` says whether all of them or any of them must be there; keys that start with ``x-`` are passed over unless it
is ``all-with-x`` or ``any-with-x``. A void argument asks only that the header is there. Types count: the number 1, true
and "1" are three values, while integers of different widths are one (RabbitMQ's reading; the specification's section
3.1.3.4 leaves it open).
"""

from amqpd.errors import PreconditionFailed
from amqpd.wire.tables import FieldValue, Table, Timestamp, type_name

MODES = ("all", "any", "all-with-x", "any-with-x")


class HeadersPattern:
    """The arguments of a binding to a headers exchange, made ready to match.

    PreconditionFailed: ``x-match`` is wrong.
    """

    __slots__ = ("_every", "_wanted")

    def __init__(self, arguments: Table) -> None:
        mode = arguments.get("x-match", "all")
        if not isinstance(mode, str):
            raise PreconditionFailed(f"Invalid x-match field type {type_name(mode)} (value {mode!r}); expected longstr")
        if mode not in MODES:
            raise PreconditionFailed(
                f'Invalid x-match field value <<"{mode}">>; expected all, any, all-with-x, or any-with-x'
            )
        self._every = mode.startswith("all")
        self._wanted = [
            (key, value)
            for key, value in arguments.items()
            if key != "x-match" and (mode.endswith("-with-x") or not key.startswith("x-"))
        ]

    def matches(self, headers: Table) -> bool:
        """All: every argument is met, also when there is none. Any: one is met, so never when there is none."""
        met = (key in headers and (value is None or same_value(value, headers[key])) for key, value in self._wanted)
        return all(met) if self._every else any(met)


def same_value(one: FieldValue, other: FieldValue) -> bool:
    """Whether two field values are the same value of the same kind, and so are those within them."""
    if _kind(one) is not _kind(other):
        return False
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_value, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_value(one[key], other[key]) for key in one)
    return one == other


def _kind(value: FieldValue) -> type:
    """The Python type at the root of a field value: all widths of integer are ``int``, but a bool or a time is none."""
    for kind in (bool, Timestamp, int, float, str, bytes, list, dict):
        if isinstance(value, kind):
            return kind
    return type(value)
