from collections.abc import Callable

import pytest

from amqpd.broker.agenda import Agenda, Work


class Errand(Work):
    def __init__(self, name: str, diary: list[str], then: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.name = name
        self.diary = diary
        self.then = then

    def perform(self) -> None:
        self.diary.append(self.name)
        self.then()


def test_work_is_done_when_the_call_that_scheduled_it_ends() -> None:
    agenda, diary = Agenda(), list[str]()
    agenda.schedule(Errand("a", diary))
    agenda.schedule(Errand("b", diary))
    assert diary == []
    agenda.settle()
    assert diary == ["a", "b"]


def test_a_holder_puts_it_off_to_the_end_of_the_batch() -> None:
    agenda, diary = Agenda(), list[str]()
    agenda.hold()
    agenda.schedule(Errand("a", diary))
    agenda.settle()
    assert diary == []
    agenda.release()
    assert diary == ["a"]
    agenda.schedule(Errand("b", diary))
    agenda.settle()  # nobody holds it any more
    assert diary == ["a", "b"]


def test_a_batch_within_a_batch_ends_with_the_outer_one() -> None:
    agenda, diary = Agenda(), list[str]()
    agenda.hold()
    agenda.hold()
    agenda.schedule(Errand("a", diary))
    agenda.release()
    assert diary == []
    agenda.release()
    assert diary == ["a"]


def test_work_is_on_the_agenda_once_and_again_after_it_was_done() -> None:
    agenda, diary = Agenda(), list[str]()
    errand = Errand("a", diary)
    agenda.schedule(errand)
    agenda.schedule(errand)
    agenda.settle()
    assert diary == ["a"]
    agenda.schedule(errand)
    agenda.settle()
    assert diary == ["a", "a"]


def test_work_that_work_schedules_is_done_as_well() -> None:
    agenda, diary = Agenda(), list[str]()
    last = Errand("c", diary)
    middle = Errand("b", diary, lambda: agenda.schedule(last))
    agenda.schedule(Errand("a", diary, lambda: agenda.schedule(middle)))
    agenda.settle()
    assert diary == ["a", "b", "c"]


def test_work_can_schedule_itself_while_it_is_done() -> None:
    agenda, diary = Agenda(), list[str]()
    errand = Errand("a", diary, lambda: agenda.schedule(errand) if len(diary) < 3 else None)
    agenda.schedule(errand)
    agenda.settle()
    assert diary == ["a", "a", "a"]


def test_what_one_raises_does_not_keep_the_others_from_being_done() -> None:
    agenda, diary = Agenda(), list[str]()
    first = Errand("a", diary)

    def fail() -> None:
        agenda.schedule(first)  # done already, and due again
        raise ZeroDivisionError

    def fail_too() -> None:
        raise KeyError

    agenda.hold()
    for errand in (first, Errand("b", diary, fail), Errand("c", diary, fail_too), Errand("d", diary)):
        agenda.schedule(errand)
    with pytest.raises(ZeroDivisionError):
        agenda.release()
    assert diary == ["a", "b", "c", "d", "a"]
    agenda.settle()  # what failed is not tried again
    agenda.schedule(first)
    agenda.settle()
    assert diary == ["a", "b", "c", "d", "a", "a"]


def test_work_that_asks_for_the_work_to_be_done_leaves_it_to_who_does_it() -> None:
    agenda, diary = Agenda(), list[str]()

    def hurry() -> None:
        agenda.schedule(Errand("c", diary))
        agenda.flush()
        diary.append("after")

    agenda.hold()
    agenda.schedule(Errand("a", diary, hurry))
    agenda.schedule(Errand("b", diary))
    agenda.release()
    assert diary == ["a", "after", "b", "c"]
