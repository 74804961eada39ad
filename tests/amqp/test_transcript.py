"""The transcripts' own tests: each notices what it is there to notice."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from amqpd.wire import methods as m
from amqpd.wire.constants import FRAME_BODY, PROTOCOL_HEADER
from tests.amqp.transcript import (
    END,
    HEARTBEAT,
    NOTHING,
    SPLITS,
    Confirmed,
    Frame,
    Peer,
    Stage,
    header_frame,
    method_frame,
    octets,
)


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def peer(stage: Stage) -> Peer:
    return stage.connect()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda peer: peer << (1, m.BasicQosOk()),
        lambda peer: peer >> (1, m.BasicQos()) << NOTHING,
        lambda peer: peer >> (1, m.BasicQos()) << (2, m.BasicQosOk()),
        lambda peer: peer >> (1, m.BasicQos()) << (1, m.TxSelectOk()),
        lambda peer: peer >> (1, m.BasicQos()) << END,
        lambda peer: peer << END,
        lambda peer: peer >> (0, m.ConnectionClose()) << (0, m.ConnectionCloseOk()) << NOTHING,
        lambda peer: peer << Confirmed(1, 1, 1),
    ],
)
def test_what_is_not_so_is_noticed(peer: Peer, wrong: Callable[[Peer], Peer]) -> None:
    with pytest.raises(AssertionError):
        wrong(peer)


def test_what_nobody_looked_at_is_noticed(stage: Stage, peer: Peer) -> None:
    peer >> (1, m.BasicQos())
    with pytest.raises(AssertionError, match="not looked at"):
        stage.end()


def test_a_bug_that_nobody_looked_at_is_noticed(stage: Stage, peer: Peer) -> None:
    peer.connection._report("internal_error", error=ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        stage.end()


CLOSE = octets((0, m.ConnectionClose()))
DELIVER = octets((1, m.BasicDeliver()))


@pytest.mark.parametrize(
    "sent",
    [
        b"\x01\x00\x01\x00",
        octets(HEARTBEAT)[:-1],
        bytes(Frame(FRAME_BODY, 1, end=0)),
        bytes(Frame(FRAME_BODY, 1, b"a body alone")),
        bytes(header_frame(1, 0)),
        bytes(Frame(8, 1)),
        bytes(Frame(9, 0)),
        bytes(Frame(8, 0, bytes(131072))),
        DELIVER + DELIVER,
        DELIVER + bytes(header_frame(2, 0)),
        DELIVER + bytes(header_frame(1, 1)) + bytes(Frame(FRAME_BODY, 1, b"ab")),
        CLOSE + CLOSE,
        CLOSE + bytes(method_frame(1, m.BasicQosOk())),
    ],
)
def test_what_a_broker_must_not_send_is_noticed(stage: Stage, peer: Peer, sent: bytes) -> None:
    peer.connection.outbox.write(sent)
    with pytest.raises(AssertionError):
        stage.write()


def test_a_server_that_is_not_woken_is_noticed(stage: Stage, peer: Peer) -> None:
    peer.connection.outbox.wake = lambda: None
    peer >> (1, m.BasicQos())
    with pytest.raises(AssertionError, match="not told"):
        stage.deliver()


@pytest.mark.parametrize("split", SPLITS)
def test_every_split_gives_all_octets_in_order(split: str) -> None:
    data = bytes(range(256)) * 100
    parts = list(SPLITS[split]()(data))
    assert b"".join(parts) == data
    assert (len(parts) > 1) == (split != "in one read")


def test_what_is_said_between_two_looks_comes_in_one_read(stage: Stage) -> None:
    peer, reads = stage.stranger(), []
    outbox = peer.connection.outbox
    peer.connection = SimpleNamespace(  # type: ignore[assignment]
        receive_data=reads.append, readable=True, left_off=False, finished=False, outbox=outbox
    )
    peer >> PROTOCOL_HEADER >> HEARTBEAT >> HEARTBEAT << NOTHING >> HEARTBEAT << NOTHING
    assert reads == [PROTOCOL_HEADER + 2 * octets(HEARTBEAT), octets(HEARTBEAT)]
