"""The arguments of a method, read and written by hand in the order in which its declaration has them.

Must not know any method: what comes is told by *kinds*, one for each argument and one for each run of bits, which
``methods`` derives from the declaration just as it derives the grammar. construct takes 10 to 80 us for a method, and
opening a connection takes a dozen of them.

Strategy: only what is right is dealt with here. For anything else the answer is None, and construct is asked, which
knows what to say about it.
"""

from collections.abc import Sequence
from typing import Any, Final

from amqpd.errors import MalformedArguments
from amqpd.wire.tables import decode_table, encode_table

# 1, 2, 4 and 8 are unsigned numbers of so many octets.
SHORT_STRING: Final = 0
ANY_SHORT_STRING: Final = -1  # that need not be UTF-8
LONG_STRING: Final = -2
TABLE: Final = -3
BITS: Final = 16  # and the number of bits added to it, at most eight (4.2.5.2)


def decode_arguments(kinds: Sequence[int], data: bytes, offset: int) -> list[Any] | None:
    """The values that fill ``data`` from ``offset`` to its end. None: they don't, or one of them is not right."""
    values: list[Any] = []
    try:
        for kind in kinds:
            if kind == SHORT_STRING or kind == ANY_SHORT_STRING:
                stop = offset + 1 + data[offset]
                errors = "strict" if kind == SHORT_STRING else "surrogateescape"
                values.append(data[offset + 1 : stop].decode("utf-8", errors))
                offset = stop
            elif kind > BITS:
                octet = data[offset]
                for position in range(kind - BITS):
                    values.append(octet >> position & 1 == 1)
                offset += 1
            elif kind > 0:
                values.append(int.from_bytes(data[offset : offset + kind], "big"))
                offset += kind
            elif kind == LONG_STRING:
                start = offset + 4
                offset = start + int.from_bytes(data[offset:start], "big")
                values.append(data[start:offset])
            else:
                table, offset = decode_table(data, offset)
                values.append(table)
    except (IndexError, UnicodeDecodeError, MalformedArguments):
        return None
    return values if offset == len(data) else None


def encode_arguments(kinds: Sequence[int], values: Sequence[Any]) -> bytes | None:
    """Their octets. None: one of the values is not right."""
    parts: list[bytes] = []
    following = iter(values)
    try:
        for kind in kinds:
            if kind > BITS:
                octet = 0
                for position in range(kind - BITS):
                    octet |= bool(next(following)) << position
                parts.append(octet.to_bytes(1, "big"))
                continue
            value = next(following)
            if kind == SHORT_STRING or kind == ANY_SHORT_STRING:
                octets = value.encode("utf-8", "surrogateescape")
                parts += (len(octets).to_bytes(1, "big"), octets)
            elif kind > 0:
                parts.append(value.to_bytes(kind, "big"))
            elif kind == LONG_STRING:
                parts += (len(value).to_bytes(4, "big"), value)
            else:
                parts.append(encode_table(value))
    except (AttributeError, OverflowError, TypeError, ValueError):
        return None
    return b"".join(parts)
