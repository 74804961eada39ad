"""Queues: names, counts, flags, and when they go."""

from collections.abc import Callable
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker

from interop.blocking import Inbox, drain, publish, ready

OpenChannel = Callable[..., BlockingChannel]
Unique = Callable[[str], str]


def exists(open_channel: OpenChannel, queue: str) -> bool:
    """Asked on a connection of its own, because the answer may close the channel."""
    try:
        open_channel().queue_declare(queue, passive=True)
    except ChannelClosedByBroker as closed:
        if closed.reply_code == 404:
            return False
        raise
    return True


def test_the_broker_names_a_queue_declared_without_a_name(channel: BlockingChannel) -> None:
    names = [channel.queue_declare("", exclusive=True).method.queue for _ in range(3)]
    assert len(set(names)) == 3
    for name in names:
        prefix, unguessable = name[:8], name[8:]
        assert prefix == "amq.gen-"
        assert len(unguessable) == 22  # 16 bytes in URL-safe base64
        assert unguessable.replace("-", "").replace("_", "").isalnum()


def test_an_empty_name_means_the_queue_last_declared_on_the_channel(channel: BlockingChannel) -> None:
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind("", "amq.fanout")
    channel.basic_publish("amq.fanout", "", b"by binding")
    publish(channel, queue, [b"by name"])

    assert channel.basic_get("")[2] == b"by binding"
    assert channel.queue_purge("").method.message_count == 1


def test_declare_tells_ready_messages_and_consumers(channel: BlockingChannel, unique: Unique) -> None:
    queue = unique("counts")
    first = channel.queue_declare(queue).method
    assert (first.queue, first.message_count, first.consumer_count) == (queue, 0, 0)

    publish(channel, queue, [b"1", b"2", b"3"])
    channel.basic_get(queue)  # unacknowledged from now on: no longer ready
    channel.basic_qos(prefetch_count=1)
    Inbox(channel, queue).wait(1)
    again = channel.queue_declare(queue).method
    assert (again.message_count, again.consumer_count) == (1, 1)


def test_purge_and_delete_tell_how_many_ready_messages_they_dropped(channel: BlockingChannel, unique: Unique) -> None:
    queue = unique("purged")
    channel.queue_declare(queue)
    publish(channel, queue, [b"1", b"2", b"3"])
    tag = channel.basic_get(queue)[0].delivery_tag

    assert channel.queue_purge(queue).method.message_count == 2
    channel.basic_nack(tag, requeue=True)  # the one that was out is not purged
    assert channel.queue_delete(queue).method.message_count == 1


def test_deleting_what_does_not_exist_is_no_error(channel: BlockingChannel, unique: Unique) -> None:
    assert channel.queue_delete(unique("nothing")).method.message_count == 0
    channel.exchange_delete(unique("nothing"))
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_unbind(queue, "amq.direct", "never bound")


def test_if_empty_and_if_unused_protect_a_queue(
    open_channel: OpenChannel, channel: BlockingChannel, unique: Unique
) -> None:
    queue = unique("guarded")
    channel.queue_declare(queue)
    publish(channel, queue, [b"1"])

    with pytest.raises(ChannelClosedByBroker) as refused:
        open_channel().queue_delete(queue, if_empty=True)
    assert refused.value.args == (406, f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' not empty")

    Inbox(channel, queue, auto_ack=True).wait(1)
    with pytest.raises(ChannelClosedByBroker) as refused:
        open_channel().queue_delete(queue, if_unused=True)
    assert refused.value.args == (406, f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' in use")

    assert channel.queue_delete(queue, if_empty=True).method.message_count == 0


def test_an_exclusive_queue_serves_one_connection_and_goes_with_it(
    open_channel: OpenChannel, channel: BlockingChannel, unique: Unique
) -> None:
    queue = unique("mine")
    channel.queue_declare(queue, exclusive=True)
    publish(channel, queue, [b"1"])
    assert drain(channel.connection.channel(), queue) == [b"1"]  # another channel of the connection may

    channel.connection.close()
    assert not exists(open_channel, queue)


def test_others_may_publish_to_an_exclusive_queue(open_channel: OpenChannel, channel: BlockingChannel) -> None:
    queue = channel.queue_declare("", exclusive=True).method.queue
    publish(open_channel(), queue, [b"from outside"])
    assert drain(channel, queue) == [b"from outside"]


@pytest.mark.parametrize(
    "use",
    [
        lambda channel, queue: channel.queue_declare(queue),
        lambda channel, queue: channel.queue_declare(queue, passive=True),
        lambda channel, queue: channel.queue_bind(queue, "amq.direct", "key"),
        lambda channel, queue: channel.queue_purge(queue),
        lambda channel, queue: channel.queue_delete(queue),
        lambda channel, queue: channel.basic_get(queue),
        lambda channel, queue: channel.basic_consume(queue, lambda *_: None),
    ],
    ids=["declare", "passive declare", "bind", "purge", "delete", "get", "consume"],
)
def test_any_other_use_of_an_exclusive_queue_is_405(
    open_channel: OpenChannel, channel: BlockingChannel, unique: Unique, use: Callable[..., Any]
) -> None:
    queue = unique("locked")
    channel.queue_declare(queue, exclusive=True)
    with pytest.raises(ChannelClosedByBroker) as refused:
        use(open_channel(), queue)
    assert refused.value.reply_code == 405
    assert refused.value.reply_text == (
        f"RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}' in vhost '/'. It could be "
        "originally declared on another connection or the exclusive property value does not match that of the "
        "original declaration."
    )


def test_an_auto_delete_queue_goes_with_its_last_consumer_not_before_its_first(
    open_channel: OpenChannel, channel: BlockingChannel, unique: Unique
) -> None:
    queue = unique("auto")
    channel.queue_declare(queue, auto_delete=True)
    open_channel().queue_declare(queue, auto_delete=True)
    assert exists(open_channel, queue)

    first, second = Inbox(channel, queue), Inbox(channel, queue)
    channel.basic_cancel(first.tag)
    assert exists(open_channel, queue)
    channel.basic_cancel(second.tag)
    assert not exists(open_channel, queue)


def test_an_auto_delete_queue_goes_when_its_consumers_connection_goes(
    open_channel: OpenChannel, channel: BlockingChannel, unique: Unique
) -> None:
    queue = unique("auto")
    channel.queue_declare(queue, auto_delete=True)
    Inbox(channel, queue)
    channel.connection.close()
    assert not exists(open_channel, queue)


def test_a_passive_declaration_looks_and_changes_nothing(channel: BlockingChannel, unique: Unique) -> None:
    queue = unique("seen")
    channel.queue_declare(queue, durable=True, arguments={"x-max-length": 10})
    publish(channel, queue, [b"1"])
    assert ready(channel, queue) == 1  # whatever its flags and arguments


def test_redeclaring_with_the_same_flags_is_no_error_and_keeps_messages(
    channel: BlockingChannel, unique: Unique
) -> None:
    queue = unique("again")
    for _ in range(2):
        channel.queue_declare(queue, durable=True, arguments={"x-max-length": 10})
        publish(channel, queue, [b"1"])
    assert ready(channel, queue) == 2


def test_a_durable_queue_outlives_its_connection(
    open_channel: OpenChannel, channel: BlockingChannel, unique: Unique
) -> None:
    queue = unique("durable")
    channel.queue_declare(queue, durable=True)
    channel.basic_publish("", queue, b"kept", pika.BasicProperties(delivery_mode=2))
    channel.connection.close()
    assert drain(open_channel(), queue) == [b"kept"]
