"""Class queue: what is asked of the session, and the queue that an empty name stands for."""

from typing import Any

import pytest

from amqpd.wire import methods as m
from tests.amqp.transcript import NOTHING, Item, Peer, channel_close, connection_close


def test_a_queue_is_declared_with_what_is_in_it(peer: Peer, other: Peer) -> None:
    peer >> (1, m.QueueDeclare(queue="q")) << (1, m.QueueDeclareOk("q", 0, 0))
    for _ in range(3):
        peer >> (1, m.BasicPublish(routing_key="q"), b"a")
    peer >> (1, m.QueueDeclare(queue="q")) << (1, m.QueueDeclareOk("q", 3, 0))
    peer >> (1, m.BasicConsume(queue="q", consumer_tag="c", no_ack=True))
    assert len(peer.hear_all()) == 4
    other >> (1, m.QueueDeclare(queue="q", passive=True)) << (1, m.QueueDeclareOk("q", 0, 1))


@pytest.mark.parametrize("kind", ["durable", "exclusive", "auto_delete"])
def test_what_kind_of_queue_it_is_must_be_the_same(peer: Peer, kind: str) -> None:
    kinds: dict[str, Any] = {kind: True}
    peer >> (1, m.QueueDeclare(queue="q", **kinds)) << (1, m.QueueDeclareOk("q"))
    peer >> (1, m.QueueDeclare(queue="q", **kinds)) << (1, m.QueueDeclareOk("q"))
    peer >> (1, m.QueueDeclare(queue="q"))
    close = peer.hear(m.ChannelClose)
    assert close.reply_code == (405 if kind == "exclusive" else 406)


def test_arguments_must_be_the_same(peer: Peer) -> None:
    peer >> (1, m.QueueDeclare(queue="q", arguments={"x-max-length": 1})) << (1, m.QueueDeclareOk("q"))
    (
        peer
        >> (1, m.QueueDeclare(queue="q"))
        << channel_close(
            1,
            406,
            "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in vhost '/': "
            "received none but current is the value '1' of type 'signedint'",
            m.QueueDeclare,
        )
    )


def test_a_queue_without_a_name_gets_one(peer: Peer) -> None:
    peer >> (1, m.QueueDeclare()) >> (1, m.QueueDeclare())
    peer << (1, m.QueueDeclareOk("amq.gen-1")) << (1, m.QueueDeclareOk("amq.gen-2"))


def test_a_passive_declaration_makes_nothing(peer: Peer) -> None:
    peer >> (1, m.QueueDeclare(queue="q", passive=True))
    peer << channel_close(1, 404, "NOT_FOUND - no queue 'q' in vhost '/'", m.QueueDeclare)


def test_a_passive_declaration_looks_at_the_name_alone(peer: Peer) -> None:
    peer >> (1, m.QueueDeclare(queue="q", durable=True)) << (1, m.QueueDeclareOk("q"))
    peer >> (1, m.QueueDeclare(queue="q", passive=True, exclusive=True, auto_delete=True))
    peer << (1, m.QueueDeclareOk("q"))


def test_a_passive_declaration_of_no_name(peer: Peer) -> None:
    peer >> (1, m.QueueDeclare(queue="q")) << (1, m.QueueDeclareOk("q"))
    peer >> (1, m.QueueDeclare(queue="", passive=True))
    peer << channel_close(1, 404, "NOT_FOUND - no queue '' in vhost '/'", m.QueueDeclare)


EXCLUSIVE = (
    "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be originally "
    "declared on another connection or the exclusive property value does not match that of the original declaration."
)


@pytest.mark.parametrize(
    "method",
    [
        m.QueueDeclare(queue="q", exclusive=True),
        m.QueueDeclare(queue="q", passive=True),
        m.QueueBind(queue="q", exchange="amq.direct"),
        m.QueueUnbind(queue="q", exchange="amq.direct"),
        m.QueuePurge(queue="q"),
        m.QueueDelete(queue="q"),
        m.BasicConsume(queue="q"),
        m.BasicGet(queue="q"),
    ],
    ids=lambda method: method.name,
)
def test_an_exclusive_queue_is_for_one_connection(peer: Peer, other: Peer, method: m.Method) -> None:
    peer >> (1, m.QueueDeclare(queue="q", exclusive=True)) << (1, m.QueueDeclareOk("q"))
    other >> (1, method) << channel_close(1, 405, EXCLUSIVE, type(method))


def test_an_exclusive_queue_goes_with_its_connection(peer: Peer, other: Peer) -> None:
    peer >> (1, m.QueueDeclare(queue="q", exclusive=True)) << (1, m.QueueDeclareOk("q"))
    peer >> (0, m.ConnectionClose()) << (0, m.ConnectionCloseOk())
    other >> (1, m.QueueDeclare(queue="q", passive=True))
    other << channel_close(1, 404, "NOT_FOUND - no queue 'q' in vhost '/'", m.QueueDeclare)


def test_a_queue_is_deleted_with_what_is_in_it(peer: Peer) -> None:
    peer >> (1, m.QueueDeclare(queue="q")) << (1, m.QueueDeclareOk("q"))
    for _ in range(3):
        peer >> (1, m.BasicPublish(routing_key="q"), b"a")
    peer >> (1, m.QueueDelete(queue="q")) << (1, m.QueueDeleteOk(3))
    peer >> (1, m.QueueDelete(queue="q")) << (1, m.QueueDeleteOk(0))  # as in RabbitMQ: what is not there is deleted


def test_a_queue_is_not_deleted_while_it_is_used_or_full(peer: Peer) -> None:
    in_use = channel_close(1, 406, "PRECONDITION_FAILED - queue 'q' in vhost '/' in use", m.QueueDelete)
    not_empty = channel_close(1, 406, "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty", m.QueueDelete)
    again: list[Item] = [(1, m.ChannelCloseOk()), (1, m.ChannelOpen())]
    peer >> (1, m.QueueDeclare(queue="q")) >> (1, m.BasicConsume(queue="q", consumer_tag="c"))
    peer << (1, m.QueueDeclareOk("q")) << (1, m.BasicConsumeOk("c"))
    peer >> (1, m.QueueDelete(queue="q", if_unused=True)) << in_use
    peer >> again[0] >> again[1] << (1, m.ChannelOpenOk())
    peer >> (1, m.BasicPublish(routing_key="q"), b"a") >> (1, m.QueueDelete(queue="q", if_empty=True)) << not_empty
    peer >> again[0] >> again[1] << (1, m.ChannelOpenOk())
    peer >> (1, m.QueueDelete(queue="q", if_unused=True)) << (1, m.QueueDeleteOk(1))


def test_a_purge_says_how_much_it_dropped(peer: Peer) -> None:
    peer >> (1, m.QueueDeclare(queue="q")) << (1, m.QueueDeclareOk("q"))
    for _ in range(3):
        peer >> (1, m.BasicPublish(routing_key="q"), b"a")
    peer >> (1, m.QueuePurge(queue="q")) << (1, m.QueuePurgeOk(3))
    peer >> (1, m.QueuePurge(queue="q")) << (1, m.QueuePurgeOk(0))


def test_a_binding_is_made_and_undone(peer: Peer) -> None:
    to_k = m.BasicPublish(exchange="amq.direct", routing_key="k", mandatory=True)
    binding: dict[str, Any] = {"queue": "q", "exchange": "amq.direct", "routing_key": "k"}
    peer >> (1, m.QueueDeclare(queue="q")) << (1, m.QueueDeclareOk("q"))
    peer >> (1, m.QueueBind(**binding)) << (1, m.QueueBindOk()) >> (1, to_k, b"a") << NOTHING
    peer >> (1, m.QueueUnbind(**binding)) << (1, m.QueueUnbindOk()) >> (1, to_k, b"b")
    peer << (1, m.BasicReturn(312, "NO_ROUTE", "amq.direct", "k"), b"b")


# An empty name --------------------------------------------------------------------------------------------------------

NAMELESS = [
    m.QueueBind(exchange="amq.direct"),
    m.QueueUnbind(exchange="amq.direct"),
    m.QueuePurge(),
    m.QueueDelete(),
    m.BasicGet(),
    m.BasicConsume(),
]


@pytest.mark.parametrize("method", NAMELESS, ids=lambda method: method.name)
def test_an_empty_name_is_the_queue_declared_last(peer: Peer, method: m.Method) -> None:
    for queue in ("q", "other"):
        peer >> (1, m.QueueDeclare(queue=queue)) << (1, m.QueueDeclareOk(queue))
    peer >> (1, m.BasicPublish(routing_key="other"), b"to other") >> (1, method)
    answers = {
        m.QueueBind: (1, m.QueueBindOk()),
        m.QueueUnbind: (1, m.QueueUnbindOk()),
        m.QueuePurge: (1, m.QueuePurgeOk(1)),
        m.QueueDelete: (1, m.QueueDeleteOk(1)),
        m.BasicGet: (1, m.BasicGetOk(1, routing_key="other"), b"to other"),
        m.BasicConsume: (1, m.BasicConsumeOk("amq.ctag-1")),
    }
    peer << answers[type(method)]
    if type(method) is m.BasicConsume:
        peer << (1, m.BasicDeliver("amq.ctag-1", 1, routing_key="other"), b"to other")


def test_a_queue_that_got_its_name_from_the_server_counts_as_one(peer: Peer) -> None:
    peer >> (1, m.QueueDeclare()) >> (1, m.BasicConsume()) >> (1, m.BasicPublish(routing_key="amq.gen-1"), b"a")
    peer << (1, m.QueueDeclareOk("amq.gen-1")) << (1, m.BasicConsumeOk("amq.ctag-2"))
    peer << (1, m.BasicDeliver("amq.ctag-2", 1, routing_key="amq.gen-1"), b"a")


@pytest.mark.parametrize("method", NAMELESS, ids=lambda method: method.name)
def test_an_empty_name_where_none_was_declared(peer: Peer, method: m.Method) -> None:
    peer >> (1, method) << channel_close(1, 404, "NOT_FOUND - no previously declared queue", type(method))


def test_the_queue_declared_last_is_the_channel_s(peer: Peer) -> None:
    peer >> (2, m.ChannelOpen()) >> (2, m.QueueDeclare(queue="q"))
    peer << (2, m.ChannelOpenOk()) << (2, m.QueueDeclareOk("q"))
    peer >> (1, m.BasicGet()) << channel_close(1, 404, "NOT_FOUND - no previously declared queue", m.BasicGet)


def test_a_passive_declaration_counts_as_one(peer: Peer, other: Peer) -> None:
    other >> (1, m.QueueDeclare(queue="q")) << (1, m.QueueDeclareOk("q"))
    peer >> (1, m.QueueDeclare(queue="q", passive=True)) >> (1, m.QueuePurge())
    peer << (1, m.QueueDeclareOk("q")) << (1, m.QueuePurgeOk())


@pytest.mark.parametrize(("routing_key", "bound_by"), [("", "q"), ("k", "k")])
def test_without_a_name_and_a_routing_key_a_queue_is_bound_by_its_name(
    peer: Peer, routing_key: str, bound_by: str
) -> None:
    peer >> (1, m.QueueDeclare(queue="q")) >> (1, m.QueueBind(exchange="amq.direct", routing_key=routing_key))
    peer << (1, m.QueueDeclareOk("q")) << (1, m.QueueBindOk())
    peer >> (1, m.BasicPublish(exchange="amq.direct", routing_key=bound_by), b"a")
    peer >> (1, m.BasicGet()) << (1, m.BasicGetOk(1, False, "amq.direct", bound_by), b"a")


# Without an answer ----------------------------------------------------------------------------------------------------


def test_who_does_not_wait_is_not_answered(peer: Peer) -> None:
    peer >> (1, m.QueueDeclare(queue="q", no_wait=True)) >> (1, m.QueueBind(exchange="amq.direct", no_wait=True))
    peer >> (1, m.BasicPublish(exchange="amq.direct", routing_key="q"), b"a") >> (1, m.QueuePurge(no_wait=True))
    peer << NOTHING
    peer >> (1, m.QueueDeclare(queue="q", passive=True)) << (1, m.QueueDeclareOk("q", 0))
    peer >> (1, m.QueueDelete(queue="q", no_wait=True)) << NOTHING
    peer >> (1, m.QueueDelete(queue="q")) << (1, m.QueueDeleteOk())


def test_who_does_not_wait_is_told_of_errors(peer: Peer) -> None:
    peer >> (1, m.QueuePurge(queue="q", no_wait=True))
    peer << channel_close(1, 404, "NOT_FOUND - no queue 'q' in vhost '/'", m.QueuePurge)


def test_names_of_the_server_are_not_to_be_had(peer: Peer) -> None:
    (
        peer
        >> (1, m.QueueDeclare(queue="amq.mine"))
        << channel_close(
            1, 403, "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'", m.QueueDeclare
        )
    )


def test_a_reply_text_is_cut_where_a_short_string_ends(peer: Peer) -> None:
    peer >> (1, m.QueueDeclare(queue="é" * 127, passive=True))
    text = peer.hear(m.ChannelClose).reply_text
    assert text == "NOT_FOUND - no queue '" + "é" * 115 + "..."
    assert len(text.encode()) <= 255


def test_connection_errors_name_the_method(peer: Peer) -> None:
    peer >> (1, m.QueueDeclareOk("q"))
    peer << connection_close(503, "COMMAND_INVALID - unimplemented method", m.QueueDeclareOk)
