"""The short cut for publishes that repeat themselves: method and header are the last one's, octet for octet.

Whatever happens between two of them, they must do what they would without it.
"""

from collections.abc import Sequence

import pytest

from amqpd.broker.message import Message
from amqpd.broker.records import ExchangeRecord, QueueRecord
from amqpd.broker.store import QueueLog
from amqpd.wire import methods as m
from amqpd.wire.constants import FRAME_BODY
from amqpd.wire.properties import Properties
from tests.amqp.acts import NO_EXCHANGE, TO_Q, confirming, consuming, declared, delivery, numbered
from tests.amqp.transcript import (
    END,
    NOTHING,
    Confirmed,
    Frame,
    Peer,
    Stage,
    body_frame,
    channel_close,
    connection_close,
    header_frame,
    octets,
)
from tests.broker.support import Disk, DiskLog


class Runs(Disk):
    """A disk that is interested in how many messages come at a time, and in nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.lengths: list[int] = []

    def open_log(self, record: QueueRecord | ExchangeRecord, lane: int = 0) -> QueueLog:
        return RunsLog(self, record.name)


class RunsLog(DiskLog):
    disk: Runs

    def append(self, position: int, messages: Sequence[Message], octets: int, paged: bool) -> None:
        self.disk.lengths.append(len(messages))


def runs_of(bodies: list[bytes]) -> list[int]:
    """How many messages reach the queue at a time, of those that are sent in one read."""
    disk = Runs()
    stage = Stage(store=disk)
    peer = stage.connect() >> (1, m.QueueDeclare(queue="q", durable=True))
    stage.sync()
    peer << (1, m.QueueDeclareOk("q")) >> (1, m.BasicConsume(queue="q", consumer_tag="c", no_ack=True))
    peer << (1, m.BasicConsumeOk("c"))
    for body in bodies:
        peer >> (1, TO_Q, body)
    assert peer.hear_all() == [delivery(tag, body) for tag, body in enumerate(bodies, 1)]
    return disk.lengths


def test_repeats_in_one_read_are_published_as_one_run() -> None:
    assert runs_of(list(numbered(100))) == [2, 98]


def test_unlike_messages_in_one_read_are_published_as_one_run_also_behind_a_repeat() -> None:
    assert runs_of([b"x" * size for size in range(100)]) == [100]
    assert runs_of([b"x" * size for size in (7, 7, *range(8, 50))]) == [44]


def test_repeats_come_through_in_order(peer: Peer, other: Peer) -> None:
    consuming(other)
    for body in numbered(100):
        peer >> (1, TO_Q, body)
    for tag, body in enumerate(numbered(100), 1):
        other << delivery(tag, body)


@pytest.mark.parametrize("sizes", [[8] * 5 + [9] * 5 + [8] * 5, [8, 9] * 8, [0, 0, 0, 8, 8, 8, 0, 0, 0], range(1, 20)])
def test_runs_may_change_their_size(peer: Peer, other: Peer, sizes: list[int]) -> None:
    consuming(other)
    bodies = [b"%c" % (65 + number) * size for number, size in enumerate(sizes)]
    for body in bodies:
        peer >> (1, TO_Q, body)
    assert other.hear_all() == [delivery(tag, body) for tag, body in enumerate(bodies, 1)]


def test_runs_may_change_their_properties(peer: Peer, other: Peer) -> None:
    consuming(other)
    sent = [Properties(message_id="ab"[number // 4 % 2]) for number in range(16)]
    for properties in sent:
        peer >> (1, TO_Q, b"same size", properties)
    for tag, properties in enumerate(sent, 1):
        other << delivery(tag, b"same size", properties)


def test_runs_of_several_channels_may_be_mixed(stage: Stage) -> None:
    peer, other = stage.connect(channels=3), consuming(stage.connect())
    order = [1] * 5 + [2] * 5 + [1, 2, 3] * 5 + [3] * 5 + [1] * 5
    for number in order:
        peer >> (number, TO_Q, b"from %d" % number)
    assert other.hear_all() == [delivery(tag, b"from %d" % number) for tag, number in enumerate(order, 1)]


def test_what_looks_like_a_repeat_inside_a_body_is_a_body(peer: Peer, other: Peer) -> None:
    consuming(other)
    inner = octets((1, TO_Q, b"inner"), 131072)
    for body in [b"inner"] * 3 + [inner] * 3 + [b"inner"] * 3:
        peer >> (1, TO_Q, body)
    assert [item[2] for item in other.hear_all()] == [b"inner"] * 3 + [inner] * 3 + [b"inner"] * 3


def test_a_body_that_comes_in_two_frames_is_no_repeat(peer: Peer, other: Peer) -> None:
    consuming(other)
    for _ in range(3):
        peer >> (1, TO_Q, b"abcd")
    peer >> (1, TO_Q) >> header_frame(1, 4) >> body_frame(1, b"AB") >> body_frame(1, b"CD") >> (1, TO_Q, b"abcd")
    assert [item[2] for item in other.hear_all()] == [b"abcd"] * 3 + [b"ABCD", b"abcd"]


def test_a_repeat_with_a_wrong_frame_end(peer: Peer, other: Peer) -> None:
    consuming(other)
    for body in numbered(10):
        peer >> (1, TO_Q, body)
    peer >> (1, TO_Q) >> header_frame(1, 8) >> Frame(FRAME_BODY, 1, b"12345678", end=0)
    peer << connection_close(
        501, 'FRAME_ERROR - type 3, all octets = <<"12345678">>: {invalid_frame_end_marker,0}', None
    )
    assert [item[2] for item in other.hear_all()] == list(numbered(10))


def test_repeats_in_the_middle_of_a_content_are_out_of_place(peer: Peer) -> None:
    for body in numbered(5):
        peer >> (1, TO_Q, body)
    peer >> (1, TO_Q) >> header_frame(1, 8) >> (1, TO_Q, b"12345678")
    peer << connection_close(
        505, "UNEXPECTED_FRAME - expected content body, got non content body frame instead", m.BasicPublish
    )


def test_repeats_are_confirmed_by_their_number(peer: Peer) -> None:
    for body in numbered(50):
        peer >> (1, TO_Q, body)
    confirming(peer)  # those before it are not numbered
    for body in numbered(50):
        peer >> (1, TO_Q, body)
    peer << Confirmed(1, 1, 50)


def test_repeats_follow_what_is_bound_in_between(peer: Peer, other: Peer) -> None:
    to_fanout = m.BasicPublish(exchange="amq.fanout")
    declared(declared(peer, "a"), "b") >> (1, m.QueueBind(queue="a", exchange="amq.fanout")) << (1, m.QueueBindOk())
    for body in numbered(10):
        peer >> (1, to_fanout, body)
    peer >> (1, m.QueueBind(queue="b", exchange="amq.fanout"))
    for body in numbered(10):
        peer >> (1, to_fanout, body)
    peer >> (1, m.QueueUnbind(queue="a", exchange="amq.fanout"))
    for body in numbered(10):
        peer >> (1, to_fanout, body)
    peer << (1, m.QueueBindOk()) << (1, m.QueueUnbindOk())
    for queue, count in (("a", 20), ("b", 20)):
        peer >> (1, m.QueueDeclare(queue=queue, passive=True)) << (1, m.QueueDeclareOk(queue, count))


def test_repeats_follow_what_another_connection_binds(peer: Peer, other: Peer) -> None:
    to_fanout = m.BasicPublish(exchange="amq.fanout")
    declared(other)
    for body in numbered(10):
        peer >> (1, to_fanout, body)
    peer << NOTHING
    other >> (1, m.QueueBind(queue="q", exchange="amq.fanout")) << (1, m.QueueBindOk())
    for body in numbered(10):
        peer >> (1, to_fanout, body)
    other >> (1, m.QueueDeclare(queue="q", passive=True)) << (1, m.QueueDeclareOk("q", 10))


def test_repeats_to_a_queue_that_is_deleted_in_between(peer: Peer) -> None:
    confirming(declared(peer))
    for body in numbered(10):
        peer >> (1, TO_Q, body)
    peer << Confirmed(1, 1, 10)
    peer >> (1, m.QueueDelete(queue="q")) << (1, m.QueueDeleteOk(10))
    for body in numbered(10):
        peer >> (1, TO_Q, body)
    peer << Confirmed(1, 11, 20)
    declared(peer) >> (1, m.BasicGet()) << (1, m.BasicGetEmpty())


def test_repeats_to_an_exchange_that_is_deleted_in_between(peer: Peer) -> None:
    peer >> (1, m.ExchangeDeclare(exchange="nowhere")) << (1, m.ExchangeDeclareOk())
    for body in numbered(10):
        peer >> (1, m.BasicPublish(exchange="nowhere"), body)
    peer >> (1, m.ExchangeDelete(exchange="nowhere")) << (1, m.ExchangeDeleteOk())
    for body in numbered(10):
        peer >> (1, m.BasicPublish(exchange="nowhere"), body)
    peer << NO_EXCHANGE >> (1, m.BasicPublish(exchange="nowhere"), b"late") << NOTHING
    peer >> (1, m.ChannelCloseOk()) >> (1, m.ChannelOpen()) << (1, m.ChannelOpenOk())


def test_repeats_to_an_exchange_that_is_made_anew_and_is_internal(peer: Peer) -> None:
    to_e = m.BasicPublish(exchange="e")
    peer >> (1, m.ExchangeDeclare(exchange="e")) << (1, m.ExchangeDeclareOk()) >> (1, to_e, b"a") >> (1, to_e, b"b")
    peer >> (1, m.ExchangeDelete(exchange="e")) << (1, m.ExchangeDeleteOk())
    peer >> (1, m.ExchangeDeclare(exchange="e", internal=True)) << (1, m.ExchangeDeclareOk()) >> (1, to_e, b"c")
    peer << channel_close(
        1, 403, "ACCESS_REFUSED - cannot publish to internal exchange 'e' in vhost '/'", m.BasicPublish
    )


def test_repeats_go_to_the_queue_that_is_made_anew(peer: Peer) -> None:
    declared(peer)
    for body in numbered(10):
        peer >> (1, TO_Q, body)
    peer >> (1, m.QueueDelete(queue="q")) << (1, m.QueueDeleteOk(10))
    declared(peer)
    for body in numbered(10):
        peer >> (1, TO_Q, body)
    peer >> (1, m.QueuePurge()) << (1, m.QueuePurgeOk(10))


def test_mandatory_repeats_are_returned_each(peer: Peer) -> None:
    for body in numbered(20):
        peer >> (1, m.BasicPublish(routing_key="nowhere", mandatory=True), body)
    for body in numbered(20):
        peer << (1, m.BasicReturn(312, "NO_ROUTE", routing_key="nowhere"), body)


def test_repeats_in_a_transaction(peer: Peer) -> None:
    declared(peer) >> (1, m.TxSelect()) << (1, m.TxSelectOk())
    for end, ok, count in ((m.TxRollback(), m.TxRollbackOk(), 0), (m.TxCommit(), m.TxCommitOk(), 10)):
        for body in numbered(10):
            peer >> (1, TO_Q, body)
        declared(peer, passive=True) >> (1, end) << (1, ok)
        peer >> (1, m.QueueDeclare(queue="q", passive=True)) << (1, m.QueueDeclareOk("q", count))


def test_repeats_on_a_channel_that_was_closed_and_opened_again(peer: Peer) -> None:
    confirming(declared(peer))
    for body in numbered(10):
        peer >> (1, TO_Q, body)
    peer << Confirmed(1, 1, 10)
    peer >> (1, m.ChannelClose()) >> (1, m.ChannelOpen()) << (1, m.ChannelCloseOk()) << (1, m.ChannelOpenOk())
    for body in numbered(10):
        peer >> (1, TO_Q, body)
    peer << NOTHING
    peer >> (1, m.QueuePurge(queue="q")) << (1, m.QueuePurgeOk(20))


def test_repeats_on_a_channel_that_is_closed_are_an_error(peer: Peer) -> None:
    for body in numbered(10):
        peer >> (1, TO_Q, body)
    peer >> (1, m.ChannelClose()) << (1, m.ChannelCloseOk()) >> (1, TO_Q, b"12345678")
    peer << connection_close(504, "CHANNEL_ERROR - expected 'channel.open'", m.BasicPublish)


def test_repeats_on_a_connection_that_is_closing_are_discarded(peer: Peer, other: Peer) -> None:
    declared(peer)
    for body in numbered(10):
        peer >> (1, TO_Q, body)
    peer >> (1, m.TxSelectOk())
    for body in numbered(10):
        peer >> (1, TO_Q, body)
    peer.hear(m.ConnectionClose)
    peer >> (0, m.ConnectionCloseOk()) << END
    other >> (1, m.QueuePurge(queue="q")) << (1, m.QueuePurgeOk(10))
