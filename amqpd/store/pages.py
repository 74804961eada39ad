"""Whether a file of LMDB has all its pages, found without LMDB, which a missing one would end the process for (SIGBUS).

Its size does not tell. LMDB counts pages that a transaction took at the end of the file and gave back, but does not
write them: a whole file may be shorter than its number of pages says. So we look at what its two trees refer to, that
of the entries and that of the free pages. Only their own pages are read, not the pages behind them: little of a store.

The layout is that of MDB_meta, MDB_page and MDB_node in LMDB's mdb.c, for 64 bits.
"""

from collections.abc import Iterator
from pathlib import Path
from struct import Struct

_META = Struct("=40xI36xQ40xQ8xQ")  # the size of a page, the roots of both trees, the number of the transaction
_PAGE = Struct("=10xHH2x")  # flags, and where the offsets of its nodes end, which begin behind this
_OFFSET = Struct("=H")
_NODE = Struct("=HHHH")  # a size in two halves, flags, the size of the key; in a branch, a page's number in three parts
_NUMBER = Struct("=Q")
_NO_ROOT = (1 << 64) - 1
_BRANCH = 0x01  # a page's flag
_ELSEWHERE = 0x01  # a node's: the value lies in pages of its own

Pages = tuple[int, int]
"""The number of the first, and how many."""


def is_whole(path: Path) -> bool:
    """Whether each page is there that another refers to. For a file that LMDB takes for one of its own."""
    with path.open("rb") as file:
        size = _META.unpack(file.read(_META.size))[0]
        file.seek(size)
        second = _META.unpack(file.read(_META.size))
        file.seek(0)
        first = _META.unpack(file.read(_META.size))
        _, *roots, _ = max(first, second, key=lambda meta: meta[-1])
        pages = path.stat().st_size // size
        pending = [root for root in roots if root != _NO_ROOT]
        for number in pending:  # grows while it is walked
            if number >= pages or len(pending) > pages:
                return False
            file.seek(number * size)
            page = file.read(size)
            if _PAGE.unpack_from(page)[0] & _BRANCH:
                pending += _children(page)
            elif any(start + count > pages for start, count in _values_elsewhere(page)):
                return False
    return True


def _children(page: bytes) -> Iterator[int]:
    """The pages that a branch refers to."""
    for node in _nodes(page):
        low, middle, high, _ = _NODE.unpack_from(page, node)
        yield low | middle << 16 | high << 32


def _values_elsewhere(page: bytes) -> Iterator[Pages]:
    """The pages of large values that a leaf refers to."""
    for node in _nodes(page):
        low, high, flags, key_size = _NODE.unpack_from(page, node)
        if flags & _ELSEWHERE:
            octets = _PAGE.size + (low | high << 16)
            yield _NUMBER.unpack_from(page, node + _NODE.size + key_size)[0], -(-octets // len(page))


def _nodes(page: bytes) -> Iterator[int]:
    """Where they begin in a page of a tree."""
    for (offset,) in _OFFSET.iter_unpack(page[_PAGE.size : _PAGE.unpack_from(page)[1]]):
        yield offset
