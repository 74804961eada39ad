"""The fuzz target of a connection.

    python -m tests.fuzz.connection --seconds 60 --seed 1

Its law: whatever octets arrive, their sender hears replies or a close, and nobody else hears anything. A conversation
is drawn from a random number generator, so its seed is all it takes to have it again: ``--seed`` plays from there on,
and what fails is printed with its own.

Noise alone comes no further than the first octets. So a conversation begins as a sensible one: a client that logs in,
uses a few names, acknowledges what it gets, and opens again the channels that it loses. Its octets are then played
again, cut into other reads: the replies must be the same. At last some of them are changed, and the law must hold.
"""

import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import click

from amqpd.amqp.limits import Limits
from amqpd.wire import grammar, methods
from amqpd.wire import methods as m
from amqpd.wire.constants import FRAME_BODY, FRAME_HEADER, FRAME_METHOD, PROTOCOL_HEADER
from amqpd.wire.methods import METHODS, Method
from amqpd.wire.properties import Properties
from tests.amqp.transcript import (
    END,
    HEARTBEAT,
    Frame,
    Item,
    Peer,
    Split,
    Stage,
    in_one_read,
    octet_by_octet,
    octets,
    start_ok,
)

LIMITS = Limits(frame_max=8192, message_size_max=20_000, outbound_high_water=5_000, outbound_limit=20_000)
"""Small ones: conversations are short, and shall reach them."""

STRANGE_NAMES = ["", "amq.", "amq.gen-1", "amq.rabbitmq.reply-to", "é", "x" * 255]
NAMES = ["a", "b", "c"] * 8 + STRANGE_NAMES
EXCHANGES = ["", "a", "b", "amq.direct", "amq.fanout", "amq.topic", "amq.headers"] * 8 + ["nope", "amq.rabbitmq.trace"]
TABLES: list[dict[str, Any]] = [
    *([{}] * 8),
    {"x-match": "any", "a": 1},
    {"x-match": "nonsense"},
    {"alternate-exchange": "b"},
    {"alternate-exchange": 7},
    {"x-max-length": 1, "x-message-ttl": "soon"},
    {"a": 1, "nested": {"b": [None, True, {"c": b"d"}]}},
]
PLAUSIBLE: dict[str, list[Any]] = {
    "queue": NAMES,
    "exchange": EXCHANGES,
    "source": EXCHANGES,
    "routing_key": [*NAMES, "#", "a.*", "amq.rabbitmq.reply-to.1"],
    "type": ["direct", "fanout", "topic", "headers"] * 8 + ["nonsense"],
    "consumer_tag": [*NAMES, ""],
    "delivery_tag": [0, 1, 2, 3, 2**64 - 1],
    "prefetch_size": [0] * 50 + [1],
    "prefetch_count": [0, 1, 2, 100],
    "immediate": [False] * 100 + [True],
    "exclusive": [False] * 5 + [True],
    "passive": [False] * 5 + [True],
    "requeue": [True] * 20 + [False],
    "virtual_host": ["/", "/", "nope"],
    "arguments": TABLES,
}
"""What an argument of this name may be."""

ANY: dict[Any, Callable[[Random], Any]] = {
    grammar.OCTET: lambda random: random.randrange(256),
    grammar.SHORT: lambda random: random.choice((0, 1, 2, 100, 65535)),
    grammar.LONG: lambda random: random.choice((0, 1, 4096, 8192, 2**32 - 1)),
    grammar.LONGLONG: lambda random: random.getrandbits(64),
    grammar.SHORT_STRING: lambda random: random.choice(NAMES),
    grammar.ANY_SHORT_STRING: lambda random: random.choice(["\udcff", *NAMES]),
    grammar.LONG_STRING: lambda random: random.randbytes(random.randrange(20)),
    grammar.bits: lambda random: random.random() < 0.3,
    methods.FieldTable.__metadata__[0]: lambda random: random.choice(TABLES),
}
"""What an argument of this domain may be, if its name says nothing."""

FROM_CLIENTS: list[type[Method]] = [
    *([m.BasicConsume, m.BasicGet, m.QueueBind, m.QueueDeclare] * 4),
    *([m.BasicCancel, m.BasicQos, m.BasicRecover, m.ConfirmSelect, m.ExchangeBind, m.ExchangeDeclare, m.TxSelect] * 2),
    m.ChannelClose,
    m.ExchangeDelete,
    m.ExchangeUnbind,
    m.QueueDelete,
    m.QueuePurge,
    m.QueueUnbind,
    m.TxCommit,
    m.TxRollback,
]


# What is said ---------------------------------------------------------------------------------------------------------


def any_method(random: Random, declared: type[Method]) -> Method:
    """This method with arguments that may meet those of others."""
    arguments = {}
    for name, domain in declared.__annotations__.items():
        plausible = PLAUSIBLE.get(name)
        arguments[name] = random.choice(plausible) if plausible else ANY[domain.__metadata__[0]](random)
    return declared(**arguments)


def any_properties(random: Random) -> Properties:
    return Properties(
        headers=random.choice((None, *TABLES)),
        delivery_mode=random.choice((None, 1, 2, 3)),
        reply_to="amq.rabbitmq.reply-to" if random.random() < 0.02 else None,
        message_id=random.choice((None, "\udcff")),
    )


def any_publishes(random: Random, channel: int) -> Iterator[Item]:
    """A publish, or many that are the same but for the body."""
    method, properties = any_method(random, m.BasicPublish), any_properties(random)
    size = random.choice((0, 1, 10, 10, 10, 5000, 9000))
    for _ in range(random.choice((1, 1, 2, 3, 10))):
        yield channel, method, random.randbytes(size), properties


def any_frame(random: Random, channel: int) -> Frame:
    kind = random.choice((FRAME_METHOD, FRAME_HEADER, FRAME_BODY, random.randrange(256)))
    size = random.choice((None, None, None, 0, 1, 8192, 8193, random.getrandbits(32)))
    return Frame(kind, channel, random.randbytes(random.randrange(30)), size, random.choice((0xCE, 0xCE, 0xCE, 0)))


def mutated(random: Random, data: bytes) -> bytes:
    """The same with a few octets changed, taken out, put in, or copied to elsewhere."""
    changed = bytearray(data)
    for _ in range(random.randrange(1, 4)):
        start = random.randrange(len(changed) + 1)
        stop = min(len(changed), start + random.choice((1, 2, 4, 50)))
        match random.randrange(5):
            case 0:
                changed[start:stop] = bytes(octet ^ 1 << random.randrange(8) for octet in changed[start:stop])
            case 1:
                del changed[start:stop]
            case 2:
                changed[start:start] = random.randbytes(stop - start)
            case 3:
                other = random.randrange(len(changed) + 1)
                changed[start:start] = changed[other : other + 100]
            case _:
                changed[start:stop] = random.choice((b"\0", b"\xff", b"\xce")) * (stop - start)
    return bytes(changed)


class Talker:
    """A client that says sensible things, mostly, and answers what it hears."""

    def __init__(self, random: Random, stage: Stage) -> None:
        self.said = b""
        self.heard: list[Item] = []
        self._random = random
        self._stage = stage
        self._peer = stage.stranger()
        self._peer.reads = random.random() < 0.8
        self._unsettled: list[tuple[int, int]] = []  # channel and delivery tag

    def talk(self) -> None:
        """The whole conversation, to where one side closes it or the talker has no more to say."""
        random = self._random
        self._say(PROTOCOL_HEADER, 0)
        self._say((0, start_ok(consumer_cancel_notify=random.random() < 0.5)), 0)
        frame_max, heartbeat = random.choice((4096, 5000, 8192)), random.choice((0, 1))
        self._say((0, m.ConnectionTuneOk(random.choice((2, 2047)), frame_max, heartbeat)), 0)
        self._peer.frame_max = frame_max
        self._say((0, m.ConnectionOpen()), 0)
        for channel in (1, 2):
            self._say((channel, m.ChannelOpen()))
        for name, kind in (("a", "fanout"), ("b", "topic"), ("c", "headers")):
            self._say((1, m.QueueDeclare(queue=name)))
            self._say((1, m.ExchangeDeclare(exchange=name, type=kind)))
            self._say((1, m.QueueBind(queue=name, exchange=name, routing_key="#")))
        for _ in range(random.randrange(60)):
            for item in self._anything():
                self._say(item)
            if self._peer.connection.state != "running":
                break
        for item in (0, m.ConnectionCloseOk()), (0, m.ConnectionClose()), (0, m.ConnectionCloseOk()):
            self._say(item, 0.5)

    def _anything(self) -> Iterator[Item]:
        """One thing to say, or a row of things that belong together."""
        random = self._random
        channel = random.choice((1, 1, 1, 2))
        dice = random.random()
        if dice < 0.40:
            yield channel, any_method(random, random.choice(FROM_CLIENTS))
        elif dice < 0.65:
            yield from any_publishes(random, channel)
        elif dice < 0.90 and self._unsettled:
            channel, tag = self._unsettled.pop(random.randrange(len(self._unsettled)))
            settlement = random.choice((m.BasicAck, m.BasicAck, m.BasicNack, m.BasicReject))
            yield channel, settlement(tag, *([random.random() < 0.3] if settlement is not m.BasicReject else []))
        elif dice < 0.98:
            yield HEARTBEAT
        elif dice < 0.99:
            yield random.choice((0, 1, 2, 3, 65535)), any_method(random, random.choice(list(METHODS.values())))
        else:
            yield any_frame(random, channel)

    def _say(self, item: Item, unless: float = 0.01) -> None:
        """Say it, or with some probability don't, and answer what comes."""
        if self._random.random() < unless:
            return
        peer = self._peer
        said = octets(item, peer.frame_max)
        self.said += said
        self._stage.say(peer, said)
        if self._random.random() < 0.7:
            answers = peer.hear_all()
            self.heard += answers
            for heard in answers:
                self._answer(heard)

    def _answer(self, heard: Item) -> None:
        if not isinstance(heard, tuple):
            return
        channel, method = heard[:2]
        if isinstance(method, m.BasicDeliver | m.BasicGetOk):
            self._unsettled.append((channel, method.delivery_tag))
        elif isinstance(method, m.ChannelClose):
            self._unsettled = [(number, tag) for number, tag in self._unsettled if number != channel]
            self._say((channel, m.ChannelCloseOk()))
            self._say((channel, m.ChannelOpen()))

    def leave(self) -> None:
        """Hear the last, and go."""
        self.heard += said_to_the_end(self._stage, self._peer)


# The law --------------------------------------------------------------------------------------------------------------


class Reads:
    """Splits at places that come from the conversation's own random numbers."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def __call__(self, data: bytes) -> Iterator[bytes]:
        start = 0
        while start < len(data):
            stop = start + self._random.choice((1, 7, 8, 20, 100, 1000, 5000))
            yield data[start:stop]
            start = stop


def answers_to(said: bytes, split: Split, reads: bool = True, seconds: float = 0) -> list[Item]:
    """Play a conversation to its end, hold it to the law, and return what the peer heard."""
    stage = Stage(split, LIMITS)
    peer = stage.stranger()
    peer.frame_max = LIMITS.frame_max
    peer.reads = reads
    stage.say(peer, said)
    stage.wait(seconds)
    return said_to_the_end(stage, peer)


def said_to_the_end(stage: Stage, peer: Peer) -> list[Item]:
    """The peer hears the last, and goes. Who is left must find everything in order."""
    peer.read_again()
    heard = peer.hear_all()
    check_that_others_are_served(stage)
    peer.connection.lost("the conversation is over")
    stage.write()
    peer << END
    check_that_nothing_is_left(stage)
    stage.end()
    return heard


def check_that_others_are_served(stage: Stage) -> None:
    """Someone else connects, and a message goes through a queue of their own."""
    stage.split = in_one_read
    other = stage.connect(frame_max=4096)
    other >> (1, m.QueueDeclare(exclusive=True))
    queue = other.hear(m.QueueDeclareOk).queue
    other >> (1, m.BasicPublish(routing_key=queue), b"hello") >> (1, m.BasicGet(no_ack=True))
    other << (1, m.BasicGetOk(1, routing_key=queue), b"hello")
    other >> (0, m.ConnectionClose()) << (0, m.ConnectionCloseOk()) << END


def check_that_nothing_is_left(stage: Stage) -> None:
    """No client, consumer or unsettled delivery outlives its connection, and the counts are right."""
    statistics = stage.broker.statistics()
    assert statistics.connections == statistics.channels == statistics.consumers == 0
    assert statistics.connections_opened == statistics.connections_closed
    assert statistics.channels_opened == statistics.channels_closed
    for queue in statistics.queues:
        assert queue.unacked == 0, queue
        assert queue.ready or not queue.ready_bytes, queue
        assert queue.acked <= queue.delivered, queue


def replies(heard: list[Item]) -> list[Item] | None:
    """What does not depend on how the octets came: all but confirms and heartbeats.

    None where there was a consumer: when deliveries come does depend on it, and so does what can be acknowledged.
    """
    spoken = [item for item in heard if isinstance(item, tuple)]
    if any(isinstance(item[1], m.BasicDeliver | m.BasicConsumeOk) for item in spoken):
        return None
    return [item for item in spoken if not isinstance(item[1], m.BasicAck)]


def play(random: Random) -> list[Item]:
    """One conversation, again in other reads, and changed. AssertionError, or what else is raised, breaks the law.

    Returns what was heard in it.
    """
    stage = Stage(in_one_read, LIMITS)
    talker = Talker(random, stage)
    talker.talk()
    talker.leave()
    said, expected = talker.said, replies(talker.heard)
    for split in (in_one_read, Reads(random), *((octet_by_octet,) if len(said) < 5000 else ())):
        answered = replies(answers_to(said, split))
        assert expected is None or answered is None or expected == answered, (expected, answered)
    for _ in range(5):
        changed = mutated(random, said)
        answers_to(changed, Reads(random), reads=random.random() < 0.8, seconds=random.choice((0, 0, 3, 15)))
    answers_to(random.randbytes(random.randrange(100)), Reads(random))
    return talker.heard


@click.command(help="Play conversations with the broker until the time is over or the law is broken.")
@click.option("--seconds", default=60.0, show_default=True, help="How long to play.")
@click.option("--seed", default=0, show_default=True, help="The first conversation's; each further one has the next.")
def main(seconds: float, seed: int) -> None:
    end, first = time.monotonic() + seconds, seed
    while time.monotonic() < end:
        try:
            play(Random(seed))
        except BaseException:
            click.echo(f"seed {seed}", err=True)
            raise
        seed += 1
    click.echo(f"{seed - first} conversations, seeds {first} to {seed - 1}: the law holds")


if __name__ == "__main__":
    main()
