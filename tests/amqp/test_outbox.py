"""The outbox: order, size, who is woken and when, and the room that is left."""

from amqpd.amqp.outbox import Outbox


class Woken:
    """Counts how often the server was told to look."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


def test_everything_leaves_in_order_and_in_one_piece() -> None:
    outbox = Outbox(1000, Woken())
    outbox.write(b"one")
    outbox.write_all([b"two", memoryview(b"three")])
    outbox.write(b"four")
    assert outbox.size == 15
    assert outbox.take() == [b"onetwothreefour"]
    assert outbox.size == 0
    assert outbox.take() == []


def test_a_single_frame_is_not_copied() -> None:
    outbox, frame = Outbox(1000, Woken()), b"frame"
    outbox.write(frame)
    [taken] = outbox.take()
    assert taken is frame


def test_a_large_body_is_not_copied() -> None:
    outbox, body = Outbox(1000, Woken()), memoryview(bytes(100_000))
    outbox.write_all([b"head", body, b"end"])
    assert outbox.take() == [b"head", body, b"end"]
    assert outbox.size == 0


def test_the_server_is_woken_once_until_it_has_taken() -> None:
    woken = Woken()
    outbox = Outbox(1000, woken)
    assert woken.times == 0
    outbox.write(b"a")
    outbox.write_all([b"b", b"c"])
    outbox.write(b"d")
    assert woken.times == 1
    outbox.take()
    outbox.write_all([b"e"])
    assert woken.times == 2


def test_room_is_what_is_left_below_the_high_water_mark() -> None:
    outbox = Outbox(10, Woken())
    assert outbox.room() == 10
    outbox.write(b"1234")
    assert outbox.room() == 6
    outbox.write_all([b"56789", b"0123"])
    assert outbox.room() == -3  # replies are always accepted
    outbox.take()
    assert outbox.room() == 10


def test_while_the_peer_takes_nothing_there_is_no_room() -> None:
    outbox = Outbox(10, Woken())
    outbox.stalled = True
    assert outbox.room() == 0
    outbox.stalled = False
    assert outbox.room() == 10
