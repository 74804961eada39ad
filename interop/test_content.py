"""Messages of every size that is special, by get and by consume: the content at arrival is the content sent.

The sizes around ``frame_max`` - 8 are those at which a body needs one frame, exactly one, and two.
"""

import hashlib
from collections.abc import Callable

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from interop.blocking import Inbox, get
from interop.clients import Client

MIB = 1 << 20


def body_of(size: int) -> bytes:
    """Bytes without a period that a lost, doubled or swapped frame could hide in."""
    return hashlib.shake_128(b"%d" % size).digest(size)


@pytest.mark.parametrize("size", [0, 1, 131072 - 9, 131072 - 8, 131072 - 7, MIB, 64 * MIB])
def test_sizes_at_the_default_frame_max(client: Callable[[], Client], size: int) -> None:
    body = body_of(size)
    each = client()
    queue = each.declare_queue(exclusive=True)
    each.publish("", queue, body)
    each.publish("", queue, body)

    got = each.get(queue)
    assert got is not None
    assert got.body == body
    each.consume(queue, auto_ack=True)
    assert each.receive().body == body


@pytest.mark.parametrize("size", [0, 1, 4096 - 9, 4096 - 8, 4096 - 7, MIB])
def test_sizes_at_frame_max_4096(open_channel: Callable[..., BlockingChannel], size: int) -> None:
    """The smallest frame_max there may be; pika cuts what it sends, and closes the connection on a larger frame."""
    body = body_of(size)
    channel = open_channel(frame_max=4096)
    queue = channel.queue_declare("", exclusive=True).method.queue
    for _ in range(2):
        channel.basic_publish("", queue, body)
    assert get(channel, queue).body == body
    (consumed,) = Inbox(channel, queue, auto_ack=True).wait(1)
    assert consumed.body == body


@pytest.mark.parametrize(("sends", "receives"), [(4096, 131072), (131072, 4096)])
def test_sender_and_receiver_with_different_frame_max(
    open_channel: Callable[..., BlockingChannel], sends: int, receives: int
) -> None:
    body = body_of(MIB)
    receiver, sender = open_channel(frame_max=receives), open_channel(frame_max=sends)
    queue = receiver.queue_declare("", exclusive=True).method.queue
    sender.basic_publish("", queue, body)
    assert get(receiver, queue).body == body
