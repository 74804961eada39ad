"""The number types that a field table tells apart and Python does not: a small subclass of int or float for each.

Not compiled (see ARCHITECTURE.md): mypyc makes no native classes of built-in ones.
"""


class Byte(int):
    """``b``, signed 8 bits."""

    __slots__ = ()


class UnsignedByte(int):
    """``B``, unsigned 8 bits."""

    __slots__ = ()


class Short(int):
    """``s``, signed 16 bits."""

    __slots__ = ()


class UnsignedShort(int):
    """``u``, unsigned 16 bits."""

    __slots__ = ()


class UnsignedInt(int):
    """``i``, unsigned 32 bits."""

    __slots__ = ()


class Long(int):
    """``l``, signed 64 bits, where a plain int that fits 32 bits would be written as ``I``."""

    __slots__ = ()


class LongLong(int):
    """``L``, signed 64 bits as well: the specification's letter for it, which some clients write."""

    __slots__ = ()


class Timestamp(int):
    """``T``, unsigned 64 bits: seconds since 1970 (4.2.5.4)."""

    __slots__ = ()


class Float(float):
    """``f``, 32 bits."""

    __slots__ = ()
