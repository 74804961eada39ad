"""Dead lettering, as it happens: what is dropped from where comes where."""

from collections.abc import Callable

import pytest

from amqpd.broker.message import Message
from tests.broker.support import Peer

Tick = Callable[[int], None]


@pytest.fixture
def dead(peer: Peer) -> Peer:
    """The queue "dead" is bound to the exchange "dlx" with all routing keys."""
    peer.session.declare_exchange("dlx", "topic")
    peer.declare("dead")
    peer.session.bind("dead", "dlx", "#")
    return peer


def dead_letter(peer: Peer, queue: str = "dead") -> Message:
    got = peer.session.get(queue, no_ack=True)
    assert got is not None
    return got[2]


def deaths(message: Message) -> list[tuple[object, object, object]]:
    entries = message.headers["x-death"]
    assert isinstance(entries, list)
    return [(entry["queue"], entry["reason"], entry["count"]) for entry in entries if isinstance(entry, dict)]


def test_rejected(dead: Peer) -> None:
    dead.declare("q", x_dead_letter_exchange="dlx")
    dead.send("q", "a", "b")
    dead.session.consume("q")
    dead.session.discard(2, multiple=True)
    letter = dead_letter(dead)
    assert (letter.body, letter.exchange, letter.routing_key) == (b"a", "dlx", "q")
    assert deaths(letter) == [("q", "rejected", 1)]
    assert dead_letter(dead).body == b"b"


def test_expired(dead: Peer, tick: Tick) -> None:
    dead.declare("q", x_dead_letter_exchange="dlx", x_message_ttl=10)
    dead.send("q", "a")
    tick(10)
    assert deaths(dead_letter(dead)) == [("q", "expired", 1)]


def test_one_that_would_be_delivered_too_late(dead: Peer, tick: Tick) -> None:
    dead.declare("q", x_dead_letter_exchange="dlx")
    dead.send("q", "live")
    dead.send("q", "late", expiration="10")
    tick(20)
    assert dead.ready("dead") == 0
    assert dead.empty("q") == ["live"]
    letter = dead_letter(dead)
    assert (letter.body, letter.properties.expiration) == (b"late", None)


def test_too_many(dead: Peer) -> None:
    dead.declare("q", x_dead_letter_exchange="dlx", x_max_length=1)
    dead.send("q", "a", "b", "c")
    assert dead.empty("dead") == ["a", "b"]
    assert dead.empty("q") == ["c"]


def test_with_a_routing_key_of_its_own(dead: Peer) -> None:
    dead.declare("q", x_dead_letter_exchange="dlx", x_dead_letter_routing_key="other.key", x_max_length=0)
    dead.send("q", "a")
    assert dead_letter(dead).routing_key == "other.key"


def test_through_the_default_exchange(dead: Peer) -> None:
    dead.declare("q", x_dead_letter_exchange="", x_dead_letter_routing_key="dead", x_max_length=0)
    dead.send("q", "a")
    assert dead.empty("dead") == ["a"]


def test_an_exchange_that_is_not_there_drops_them(peer: Peer) -> None:
    peer.declare("q", x_dead_letter_exchange="nowhere", x_max_length=0)
    peer.send("q", "a")
    assert peer.ready("q") == 0


def test_acknowledged_purged_and_deleted_messages_are_no_dead_letters(dead: Peer, tick: Tick) -> None:
    dead.declare("q", x_dead_letter_exchange="dlx", x_expires=100)
    dead.send("q", "a", "b", "c")
    dead.get("q", no_ack=True)
    dead.get("q")
    dead.session.complete(2)
    dead.session.purge_queue("q")
    dead.send("q", "d")
    tick(1000)
    assert not dead.exists("q")
    assert dead.ready("dead") == 0


def test_a_message_goes_round_no_further_than_it_must(peer: Peer, tick: Tick) -> None:
    """A cycle in which nobody has a hand is cut where it would close."""
    peer.declare("one", x_dead_letter_exchange="", x_dead_letter_routing_key="two", x_message_ttl=10)
    peer.declare("two", x_dead_letter_exchange="", x_dead_letter_routing_key="one", x_message_ttl=10)
    peer.send("one", "a")
    tick(10)
    assert [peer.ready("one"), peer.ready("two")] == [0, 1]
    tick(10)
    assert [peer.ready("one"), peer.ready("two")] == [0, 0]


def test_a_consumer_that_rejects_may_do_so_for_ever(peer: Peer, tick: Tick) -> None:
    """The retry queue that everybody builds."""
    peer.declare("work", x_dead_letter_exchange="", x_dead_letter_routing_key="wait")
    peer.declare("wait", x_dead_letter_exchange="", x_dead_letter_routing_key="work", x_message_ttl=10)
    peer.session.consume("work")
    peer.send("work", "a")
    for attempt in range(1, 5):
        peer.session.discard(attempt)
        tick(10)
    message = peer.deliveries[-1][3]
    assert deaths(message) == [("wait", "expired", 4), ("work", "rejected", 4)]


def test_a_long_chain_is_no_deep_one(peer: Peer) -> None:
    for number in range(300):
        peer.declare(
            f"q{number}", x_max_length=0, x_dead_letter_exchange="", x_dead_letter_routing_key=f"q{number + 1}"
        )
    peer.declare("q300")
    peer.send("q0", "a")
    assert peer.empty("q300") == ["a"]


def test_dead_letters_push_others_out_in_order(dead: Peer) -> None:
    dead.declare("q", x_max_length=1, x_dead_letter_exchange="amq.direct", x_dead_letter_routing_key="second")
    dead.declare("second", x_max_length=1, x_dead_letter_exchange="dlx")
    dead.session.bind("second", "amq.direct", "second")
    dead.send("q", "a", "b", "c", "d")
    assert [dead.empty("dead"), dead.empty("second"), dead.empty("q")] == [["a", "b"], ["c"], ["d"]]


def test_what_multiplies_does_so_a_part_at_a_time(peer: Peer, tick: Tick) -> None:
    """Queues that dead-letter into the fanout they are bound to: n! messages, and the broker goes on."""
    for number in range(8):
        peer.declare(f"q{number}", x_max_length=0, x_dead_letter_exchange="amq.fanout")
        peer.session.bind(f"q{number}", "amq.fanout")
    peer.session.publish("amq.fanout", "", b"a")
    dropped = peer.session.vhost.totals.messages_dropped["classic", "maxlen", True]
    assert 8 < dropped < 10_000
    tick(0)
    assert peer.session.vhost.totals.messages_dropped["classic", "maxlen", True] > dropped
