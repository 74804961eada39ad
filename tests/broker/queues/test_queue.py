"""A queue alone: order, turns, credit and room, and the log of a durable one."""

from amqpd.broker.queues.ready import MESSAGE_OVERHEAD
from amqpd.broker.records import QueueRecord
from amqpd.broker.store import Kept
from amqpd.errors import AccessRefused
from tests.broker.support import BareQueue, Crew, Disk, DiskLog, message, refused, told

ONE_OCTET = MESSAGE_OVERHEAD + 1  # what a body of one octet takes of a receiver's room


def test_messages_come_out_as_they_went_in() -> None:
    bare = BareQueue()
    bare.put("a", "b")
    bare.put("c")
    assert bare.queue.ready == 3
    assert bare.join(Crew()).took() == ["a", "b", "c"]
    assert bare.queue.ready == 0


def test_the_only_consumer_gets_all_it_takes_in_one_go() -> None:
    bare = BareQueue()
    bare.put("a", "b", "c", "d")
    crew = bare.join(Crew(credit=3))
    assert crew.runs == [["a", "b", "c"]]
    crew.credits = 5
    bare.wake(crew)
    assert crew.runs == [["a", "b", "c"], ["d"]]


def test_consumers_take_turns() -> None:
    bare = BareQueue()
    one, two, three = (bare.join(Crew()) for _ in range(3))
    bare.put("a", "b", "c", "d")
    assert [one.took(), two.took(), three.took()] == [["a", "d"], ["b"], ["c"]]
    bare.put("e", "f")  # the round goes on where it was
    assert [one.took(), two.took(), three.took()] == [[], ["e"], ["f"]]


def test_who_has_no_credit_is_passed_over_and_comes_back_when_it_has() -> None:
    bare = BareQueue()
    slow, fast = bare.join(Crew(credit=1)), bare.join(Crew())
    bare.put("a", "b", "c", "d")
    assert [slow.took(), fast.took()] == [["a"], ["b", "c", "d"]]
    slow.credits = 1
    bare.wake(slow)
    bare.put("e", "f", "g")
    assert sorted([len(slow.took()), len(fast.took())]) == [1, 2]


def test_whom_nobody_wakes_gets_nothing_and_waking_twice_gives_no_second_turn() -> None:
    bare = BareQueue()
    crew = bare.join(Crew(credit=0))
    bare.put("a", "b")
    crew.credits = 1
    bare.put("c")
    assert crew.took() == []
    bare.queue.activate(crew)
    bare.wake(crew)
    assert crew.took() == ["a"]
    other = bare.join(Crew())
    assert other.took() == ["b", "c"]


def test_deliveries_stop_where_the_room_ends() -> None:
    bare = BareQueue()
    bare.put("a", "b", "c", "d", "e")
    crew = bare.join(Crew(room=2 * ONE_OCTET))
    assert crew.runs[0] == ["a", "b"]  # and on it goes, for this crew's room does not shrink
    assert crew.took() == ["a", "b", "c", "d", "e"]


def test_a_message_larger_than_the_room_is_handed_over_all_the_same() -> None:
    bare = BareQueue()
    bare.put("x" * 1000, "y")
    crew = bare.join(Crew(room=1))
    assert crew.runs == [["x" * 1000], ["y"]]


def test_without_room_nothing_is_handed_over() -> None:
    bare = BareQueue()
    crew = bare.join(Crew(room=0))
    bare.put("a", "b")
    assert crew.took() == []
    crew.octets = 1000
    bare.wake(crew)
    assert crew.took() == ["a", "b"]


def test_empty_messages_fill_the_room_too() -> None:
    bare = BareQueue()
    bare.put(*[""] * 10)
    crew = bare.join(Crew(room=3 * MESSAGE_OVERHEAD))
    assert [len(run) for run in crew.runs] == [3, 3, 3, 1]


def test_ready_bytes_are_those_of_the_bodies_that_are_ready() -> None:
    bare = BareQueue()
    bare.put("aaaa", "bb", "c")
    assert bare.queue.ready_bytes == 7
    position, message, _ = bare.queue.get(no_ack=False) or (0, None, False)
    assert bare.queue.ready_bytes == 3
    assert message is not None
    bare.queue.requeue(position, message)
    assert bare.queue.ready_bytes == 7
    bare.join(Crew(credit=2))
    assert bare.queue.ready_bytes == 1
    bare.queue.purge()
    assert bare.queue.ready_bytes == 0


def test_what_comes_back_takes_its_old_place_and_is_a_redelivery() -> None:
    bare = BareQueue()
    bare.put("0", "1", "2", "3", "4", "5")
    got = [bare.queue.get(no_ack=False) for _ in range(4)]
    for number in (2, 0):
        taken = got[number]
        assert taken is not None
        bare.queue.requeue(taken[0], taken[1])
    crew = bare.join(Crew())
    assert crew.runs == [["0*", "2*"], ["4", "5"]]  # redeliveries and others come apart
    assert crew.positions == [1, 3, 5, 6]


def test_a_message_may_come_back_again_and_again() -> None:
    bare = BareQueue()
    bare.put("a", "b")
    for _ in range(3):
        position, message, _ = bare.queue.get(no_ack=False) or (0, None, False)
        assert message is not None
        bare.queue.requeue(position, message)
    assert bare.join(Crew()).took() == ["a*", "b"]
    assert bare.queue.statistics().redelivered == 3


def test_what_comes_back_goes_to_a_consumer_that_waits() -> None:
    bare = BareQueue()
    bare.put("a")
    position, message, _ = bare.queue.get(no_ack=False) or (0, None, False)
    crew = bare.join(Crew())
    assert message is not None
    bare.queue.requeue(position, message)
    bare.agenda.settle()
    assert crew.took() == ["a*"]


def test_get_takes_one_and_an_empty_queue_has_none() -> None:
    bare = BareQueue()
    assert bare.queue.get(no_ack=True) is None
    bare.put("a")
    position, message, redelivered = bare.queue.get(no_ack=True) or (0, None, False)
    assert message is not None
    assert (position, told(message, redelivered)) == (1, "a")
    assert bare.queue.get(no_ack=True) is None


def test_purge_drops_what_is_ready_and_leaves_what_is_out() -> None:
    bare = BareQueue()
    bare.put("a", "b", "c", "d")
    first, second = bare.queue.get(no_ack=False), bare.queue.get(no_ack=False)
    assert first is not None
    assert second is not None
    bare.queue.requeue(*second[:2])
    assert bare.queue.purge() == 3
    assert (bare.queue.ready, bare.queue.unacked) == (0, 1)
    bare.queue.requeue(*first[:2])
    bare.put("e")
    crew = bare.join(Crew())
    assert crew.took() == ["a*", "e"]
    assert crew.positions == [1, 5]  # positions are never used twice


def test_a_cancelled_consumer_gets_nothing_even_when_it_is_given_credit_back() -> None:
    bare = BareQueue()
    crew = bare.join(Crew(credit=1))
    bare.put("a", "b")
    assert crew.took() == ["a"]
    bare.queue.unsubscribe(crew)
    crew.credits = 10
    bare.wake(crew)
    bare.put("c")
    assert crew.took() == []
    assert bare.queue.ready == 2


def test_a_cancelled_consumer_leaves_the_round_to_the_others() -> None:
    bare = BareQueue()
    one, two, three = (bare.join(Crew()) for _ in range(3))
    bare.queue.unsubscribe(two)
    bare.put("a", "b", "c")
    assert [one.took(), two.took(), three.took()] == [["a", "c"], [], ["b"]]


def test_an_exclusive_consumer_is_alone() -> None:
    bare = BareQueue()
    crew = bare.join(Crew(exclusive=True))
    for another in (Crew(), Crew(exclusive=True)):
        with refused(AccessRefused, "queue 'q' in vhost '/' in exclusive use"):
            bare.queue.subscribe(another)
    bare.queue.unsubscribe(crew)
    bare.join(Crew())
    with refused(AccessRefused, "queue 'q' in vhost '/' in exclusive use"):
        bare.queue.subscribe(Crew(exclusive=True))
    assert len(bare.queue.subscribers) == 1


def test_statistics_count_each_way_of_a_message() -> None:
    bare = BareQueue()
    bare.put("aa", "b", "c", "d")
    bare.queue.get(no_ack=True)
    crew = bare.join(Crew(credit=2))
    bare.queue.complete(crew.positions[:1])
    bare.queue.discard(crew.positions[1:], [message()] * len(crew.positions[1:]))
    statistics = bare.queue.statistics()
    assert (statistics.vhost, statistics.name, statistics.durable, statistics.consumers) == ("/", "q", False, 1)
    assert (statistics.ready, statistics.ready_bytes, statistics.unacked) == (1, 1, 0)
    assert (statistics.published, statistics.delivered, statistics.acked, statistics.redelivered) == (4, 3, 1, 0)


def test_a_deleted_queue_hands_out_nothing_and_takes_nothing_back() -> None:
    bare = BareQueue()
    bare.put("a", "b", "c")
    crew = bare.join(Crew(credit=1))
    taken = bare.queue.get(no_ack=False)
    assert taken is not None
    assert bare.queue.dissolve() == [crew]
    bare.queue.requeue(*taken[:2])
    crew.credits = 10
    bare.wake(crew)
    assert crew.took() == ["a"]
    assert (bare.queue.ready, bare.queue.ready_bytes, bare.queue.subscribers) == (0, 0, [])


# The log of a durable queue


def test_persistent_messages_are_logged_at_their_position() -> None:
    log = DiskLog(Disk(), "q")
    bare = BareQueue(log)
    bare.put("a")
    bare.put("b", "c", persistent=True)
    assert log.kept_bodies == {2: "b", 3: "c"}
    assert log.disk.written == 2


def test_what_is_settled_leaves_the_log_and_what_comes_back_stays() -> None:
    log = DiskLog(Disk(), "q")
    bare = BareQueue(log)
    bare.put("a", "b", "c", "d", persistent=True)
    crew = bare.join(Crew(credit=3))
    assert log.kept_bodies == {1: "a", 2: "b", 3: "c", 4: "d"}
    bare.queue.complete([1])
    bare.queue.discard([2], [message()])
    bare.queue.requeue(3, log.messages[3])
    assert log.kept_bodies == {3: "c", 4: "d"}
    crew.credits = 0
    assert bare.queue.purge() == 2
    assert log.kept_bodies == {}


def test_a_message_that_needs_no_acknowledgement_leaves_the_log_when_it_is_handed_out() -> None:
    log = DiskLog(Disk(), "q")
    bare = BareQueue(log)
    bare.put("a", "b", persistent=True)
    bare.queue.get(no_ack=True)
    assert log.kept_bodies == {2: "b"}
    bare.join(Crew(no_ack=True))
    assert log.kept_bodies == {}


def test_a_purge_leaves_in_the_log_what_is_out() -> None:
    log = DiskLog(Disk(), "q")
    bare = BareQueue(log)
    bare.put("a", "b", "c", "d", persistent=True)
    first, second = bare.queue.get(no_ack=False), bare.queue.get(no_ack=False)
    assert first is not None
    assert second is not None
    bare.queue.requeue(*second[:2])
    assert bare.queue.purge() == 3
    assert log.kept_bodies == {1: "a"}


def test_when_the_broker_stops_the_log_learns_what_was_never_handed_out() -> None:
    log = DiskLog(Disk(), "q")
    bare = BareQueue(log)
    bare.put("a", "b", "c", persistent=True)
    for closed_at in (1, 2):
        bare.queue.close()
        assert log.closed_at == closed_at
        taken = bare.queue.get(no_ack=False)
        assert taken is not None
        bare.queue.requeue(*taken[:2])
        bare.queue.get(no_ack=True)
        bare.put("d", persistent=True)


def test_a_queue_begins_with_what_its_log_has_kept() -> None:
    log = DiskLog(Disk(), "q")
    log.messages = {
        3: message("a", persistent=True),
        5: message("b", persistent=True),
        6: message("c", persistent=True),
    }
    log.kept = Kept(count=3, octets=3, next=7, delivered=6)
    bare = BareQueue(log)
    assert (bare.queue.ready, bare.queue.ready_bytes, bare.queue.published) == (3, 3, 0)
    bare.put("d")
    crew = bare.join(Crew())
    assert crew.took() == []
    log.disk.read()
    bare.agenda.settle()
    log.disk.read()
    bare.agenda.settle()
    assert (crew.runs, crew.positions) == ([["a*"], ["b*"], ["c"], ["d"]], [3, 5, 6, 7])


def test_a_deleted_queue_drops_its_log_and_says_nothing_of_it_any_more() -> None:
    disk = Disk()
    bare = BareQueue(disk.open_log(QueueRecord("/", "q", durable=True)))
    bare.put("a", "b", persistent=True)
    bare.queue.get(no_ack=False)
    bare.queue.dissolve()
    bare.queue.discard([1], [message()])
    assert disk.logs == {}
