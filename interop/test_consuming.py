"""Consumers: who gets which message, in which order, how many at once, and what comes back."""

from collections.abc import Callable

import pytest
from pika import spec
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker

from interop.blocking import Inbox, Message, drain, get, publish, ready
from interop.clients import Client
from interop.raw import Peer

OpenChannel = Callable[..., BlockingChannel]
Unique = Callable[[str], str]


@pytest.fixture
def queue(channel: BlockingChannel, unique: Unique) -> str:
    name = unique("queue")
    channel.queue_declare(name)
    return name


def digits(count: int) -> list[bytes]:
    return [b"%d" % n for n in range(count)]


def bodies(messages: list[Message]) -> list[bytes]:
    return [message.body for message in messages]


def test_fair_dispatch(client: Callable[[], Client], unique: Unique) -> None:
    """With a prefetch of 1 the work goes to whoever is free: nine tenths of it to a worker nine times as fast.

    Fast and slow are counted, not timed: the slow worker finishes a task whenever the fast one has finished nine. A
    task goes out only on an acknowledgement, to the worker that gave it, so the share is exactly 27 to 3 every time.
    """
    tasks = unique("tasks")
    boss, slow, fast = client(), client(), client()
    boss.declare_queue(tasks)
    for n in range(30):
        boss.publish("", tasks, b"%d" % n)

    done: dict[str, list[int]] = {"slow": [], "fast": []}
    for worker in slow, fast:
        worker.qos(prefetch_count=1)
        worker.consume(tasks)
    for _ in range(3):
        at_work = slow.receive()
        for _ in range(9):
            task = fast.receive()
            done["fast"].append(int(task.body))
            task.ack()
        done["slow"].append(int(at_work.body))
        at_work.ack()

    assert (len(done["slow"]), len(done["fast"])) == (3, 27)
    assert sorted(done["slow"] + done["fast"]) == list(range(30))


def test_equal_consumers_take_turns(channel: BlockingChannel, queue: str) -> None:
    inboxes = [Inbox(channel, queue, auto_ack=True) for _ in range(3)]
    publish(channel, queue, digits(9))
    assert sorted(bodies(inbox.wait(3)) for inbox in inboxes) == [
        [b"0", b"3", b"6"],
        [b"1", b"4", b"7"],
        [b"2", b"5", b"8"],
    ]


def test_prefetch_bounds_what_is_unacknowledged(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, digits(10))
    channel.basic_qos(prefetch_count=3)
    inbox = Inbox(channel, queue)
    inbox.wait(3)
    assert ready(channel, queue) == 7
    assert inbox.bodies == digits(3)

    channel.basic_ack(inbox.messages[1].tag, multiple=True)  # two free again
    assert bodies(inbox.wait(5)) == digits(5)
    assert ready(channel, queue) == 5
    assert inbox.bodies == digits(5)


def test_prefetch_does_not_bound_auto_ack(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, digits(10))
    channel.basic_qos(prefetch_count=1)
    assert bodies(Inbox(channel, queue, auto_ack=True).wait(10)) == digits(10)


def test_qos_is_per_consumer_unless_global(channel: BlockingChannel, queue: str) -> None:
    """RabbitMQ's meaning of global, not the specification's: false for each consumer, true for the channel."""
    publish(channel, queue, digits(10))
    channel.basic_qos(prefetch_count=2)
    first, second = Inbox(channel, queue), Inbox(channel, queue)
    first.wait(2)
    second.wait(2)
    assert ready(channel, queue) == 6

    shared = channel.connection.channel()
    shared.basic_qos(prefetch_count=3, global_qos=True)
    inboxes = [Inbox(shared, queue), Inbox(shared, queue)]
    assert ready(shared, queue) == 3
    assert sum(len(inbox.bodies) for inbox in inboxes) == 3

    shared.basic_qos(prefetch_count=4, global_qos=True)  # takes effect at once
    while sum(len(inbox.bodies) for inbox in inboxes) < 4:
        channel.connection.process_data_events(time_limit=None)
    assert ready(shared, queue) == 2


def test_get_tells_how_many_are_left(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, digits(2))
    assert [get(channel, queue).method.message_count for _ in range(2)] == [1, 0]
    assert channel.basic_get(queue) == (None, None, None)


def test_delivery_tags_count_up_per_channel_for_get_and_consume_alike(channel: BlockingChannel, queue: str) -> None:
    other = channel.connection.channel()
    publish(channel, queue, digits(4))
    assert [get(channel, queue).tag, get(channel, queue).tag, get(other, queue).tag] == [1, 2, 1]
    inbox = Inbox(channel, queue)
    assert inbox.wait(1)[0].tag == 3
    channel.basic_nack(3)
    assert inbox.wait(2)[1].tag == 4  # the same message, a new tag


def test_requeued_messages_return_to_their_places_and_say_so(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, digits(6))
    taken = [get(channel, queue) for _ in range(4)]
    assert not any(message.method.redelivered for message in taken)
    channel.basic_nack(taken[2].tag)
    channel.basic_reject(taken[0].tag)

    again = [get(channel, queue) for _ in range(4)]
    assert [(message.body, message.method.redelivered) for message in again] == [
        (b"0", True),
        (b"2", True),
        (b"4", False),
        (b"5", False),
    ]


def test_nack_multiple_takes_all_up_to_the_tag(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, digits(5))
    taken = [get(channel, queue) for _ in range(5)]
    channel.basic_nack(taken[2].tag, multiple=True)
    assert drain(channel, queue) == digits(3)
    channel.basic_nack(0, multiple=True)  # tag 0: all that are left
    assert drain(channel, queue) == [b"3", b"4"]


def test_a_discarded_message_is_gone(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, digits(3))
    taken = [get(channel, queue) for _ in range(3)]
    channel.basic_reject(taken[0].tag, requeue=False)
    channel.basic_nack(taken[1].tag, requeue=False)
    channel.basic_nack(taken[2].tag, requeue=True)
    assert drain(channel, queue) == [b"2"]


@pytest.mark.parametrize("what", ["channel", "connection"])
def test_unacknowledged_messages_return_when_their_channel_closes(
    open_channel: OpenChannel, channel: BlockingChannel, queue: str, what: str
) -> None:
    publish(channel, queue, digits(5))
    worker = open_channel()
    taken = Inbox(worker, queue).wait(5)
    worker.basic_ack(taken[1].tag)
    (worker if what == "channel" else worker.connection).close()

    back = [get(channel, queue) for _ in range(4)]
    assert bodies(back) == [b"0", b"2", b"3", b"4"]
    assert all(message.method.redelivered for message in back)


def test_recover_delivers_the_channels_own_again(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, digits(3))
    inbox = Inbox(channel, queue)
    inbox.wait(3)
    channel.basic_recover(requeue=True)
    again = inbox.wait(6)[3:]
    assert [(message.body, message.tag, message.method.redelivered) for message in again] == [
        (b"0", 4, True),
        (b"1", 5, True),
        (b"2", 6, True),
    ]


def test_a_cancelled_consumer_keeps_what_it_has_and_gets_no_more(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, digits(1))
    inbox = Inbox(channel, queue)
    (message,) = inbox.wait(1)
    channel.basic_cancel(inbox.tag)
    publish(channel, queue, [b"1"])
    assert ready(channel, queue) == 1
    channel.basic_ack(message.tag)  # still allowed
    assert drain(channel, queue) == [b"1"]


def test_consumers_hear_that_their_queue_was_deleted(
    open_channel: OpenChannel, channel: BlockingChannel, queue: str
) -> None:
    cancelled: list[str] = []
    consumer = open_channel()
    inbox = Inbox(consumer, queue)
    consumer.add_on_cancel_callback(lambda frame: cancelled.append(frame.method.consumer_tag))
    channel.queue_delete(queue)
    while not cancelled:
        consumer.connection.process_data_events(time_limit=None)
    assert cancelled == [inbox.tag]
    assert consumer.is_open


def test_a_consumers_tag_is_the_clients_or_the_brokers_choice(peer: Callable[..., Peer]) -> None:
    """Raw, because the libraries always choose a tag themselves."""
    consumer = peer().open()
    consumer.open_channel()
    queue = consumer.declare_queue(exclusive=True)
    chosen = consumer.call(1, spec.Basic.Consume(queue=queue, consumer_tag="mine"), spec.Basic.ConsumeOk)
    given = consumer.call(1, spec.Basic.Consume(queue=queue), spec.Basic.ConsumeOk)
    assert chosen.consumer_tag == "mine"
    assert given.consumer_tag.startswith("amq.ctag-")

    consumer.call(1, spec.Basic.Cancel(given.consumer_tag), spec.Basic.CancelOk)
    consumer.publish(queue, b"for mine")
    delivery, body = consumer.expect_message(spec.Basic.Deliver)
    assert (delivery.consumer_tag, body) == ("mine", b"for mine")


def test_an_exclusive_consumer_is_alone(open_channel: OpenChannel, channel: BlockingChannel, queue: str) -> None:
    alone = Inbox(channel, queue, exclusive=True)
    refusal = (403, f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use")
    with pytest.raises(ChannelClosedByBroker) as refused:
        Inbox(open_channel(), queue)
    assert refused.value.args == refusal

    channel.basic_cancel(alone.tag)
    Inbox(channel, queue)
    with pytest.raises(ChannelClosedByBroker) as refused:
        Inbox(open_channel(), queue, exclusive=True)
    assert refused.value.args == refusal
