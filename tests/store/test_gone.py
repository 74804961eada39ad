"""What is gone, against a plain set of positions."""

from collections.abc import Iterable, Sequence

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from amqpd.store import gone as store_gone
from amqpd.store.gone import Gone, Interval, left_of

LAST = 40  # positions in the tests are from 1 to here

spans = st.tuples(st.integers(1, LAST), st.integers(1, LAST)).map(lambda pair: (min(pair), max(pair) + 1))


def covered(intervals: Iterable[Interval]) -> set[int]:
    return {position for start, stop in intervals for position in range(start, stop)}


def intervals_of(positions: Iterable[int]) -> list[Interval]:
    """The fewest intervals that have these positions."""
    found: list[Interval] = []
    for position in sorted(positions):
        if found and found[-1][1] == position:
            found[-1] = found[-1][0], position + 1
        else:
            found.append((position, position + 1))
    return found


class AgainstASet(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.gone = Gone()
        self.positions: set[int] = set()

    def left(self) -> list[int]:
        return [position for position in range(1, LAST + 1) if position not in self.positions]

    @precondition(lambda self: self.left())
    @rule(data=st.data())
    def add(self, data: st.DataObject) -> None:
        """A run of positions, none of which is gone yet."""
        first = data.draw(st.sampled_from(self.left()))
        last = first
        while last + 1 in self.left() and data.draw(st.booleans()):
            last += 1
        self.gone.add(first, last + 1)
        self.positions |= set(range(first, last + 1))

    @precondition(lambda self: self.left())
    @rule(data=st.data())
    def add_all(self, data: st.DataObject) -> None:
        """Some of those that are left, in any order."""
        positions = data.draw(st.lists(st.sampled_from(self.left()), unique=True, min_size=1))
        self.gone.add_all(positions)
        self.positions |= set(positions)

    @rule(span=spans)
    def add_all_below_the_floor(self, span: Interval) -> None:
        """What is said of positions that nobody kept."""
        self.gone.add_all(range(min(span[0], self.gone.floor), min(span[1], self.gone.floor)))

    @rule(span=spans)
    def cover(self, span: Interval) -> None:
        self.gone.cover(*span)
        self.positions |= covered([span])

    @rule(floor=st.integers(1, LAST + 1))
    def raise_to(self, floor: int) -> None:
        self.gone.raise_to(floor)
        self.positions |= set(range(1, floor))

    @rule(held=st.sets(st.integers(1, LAST + 5)))
    def without(self, held: set[int]) -> None:
        """Some of it, or none, is held back."""
        left = self.gone.without(store_gone.intervals_of(held))
        assert [(1, left.floor), *left.intervals] == [
            *([] if 1 in self.positions - held else [(1, 1)]),
            *intervals_of(self.positions - held),
        ]

    @rule()
    def written_and_read_back(self) -> None:
        self.gone = Gone(self.gone.floor, self.gone.intervals)

    @invariant()
    def it_is_that_set_in_the_fewest_intervals(self) -> None:
        assert [(1, self.gone.floor), *self.gone.intervals] == [
            *([] if 1 in self.positions else [(1, 1)]),
            *intervals_of(self.positions),
        ]


TestAgainstASet = AgainstASet.TestCase


def test_at_first_nothing_is_gone() -> None:
    assert (Gone().floor, Gone().intervals) == (1, [])


def test_what_is_settled_in_order_is_a_floor() -> None:
    gone = Gone()
    gone.add(1, 4)
    gone.add_all([4, 5])
    gone.add_all(range(6, 8))
    assert (gone.floor, gone.intervals) == (8, [])


def test_one_that_stays_out_costs_one_interval_however_many_pass_it_by() -> None:
    gone = Gone()
    for position in range(2, 1000):
        gone.add(position, position + 1)
    assert (gone.floor, gone.intervals) == (1, [(2, 1000)])
    gone.add(1, 2)
    assert (gone.floor, gone.intervals) == (1000, [])


def test_a_floor_does_not_go_down() -> None:
    gone = Gone(10, [(20, 30)])
    gone.raise_to(5)
    gone.cover(1, 3)
    gone.add(2, 4)
    assert (gone.floor, gone.intervals) == (10, [(20, 30)])


@given(st.lists(st.integers(1, LAST), unique=True))
def test_positions_as_intervals(positions: list[int]) -> None:
    assert store_gone.intervals_of(positions) == intervals_of(positions)


@given(spans, st.sets(st.integers(1, LAST)))
def test_what_is_left_of_a_span(span: Interval, gone: set[int]) -> None:
    left = list(left_of(*span, intervals_of(gone)))
    assert left == intervals_of(covered([span]) - gone)


@given(st.integers(1, LAST), st.sets(st.integers(1, LAST)))
def test_nothing_is_left_of_nothing(start: int, gone: Sequence[int]) -> None:
    assert list(left_of(start, start, intervals_of(gone))) == []
    assert list(left_of(start + 1, start, intervals_of(gone))) == []
