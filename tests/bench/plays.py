"""Roles to be led, each with something that can go wrong. They have a module of their own since processes import it."""

import os
import time

from amqpd.bench.errors import BenchError
from amqpd.bench.roles import Desk, Phase


def work(desk: Desk) -> None:
    """Counts to three and then waits for the end, working while it is measured."""
    desk.ready()
    desk.add(3)
    while desk.look() < Phase.OVER:
        if desk.measuring and not desk.latencies:
            end = time.process_time() + 0.1
            while time.process_time() < end:
                pass
            desk.latencies.append(7)
        time.sleep(0.001)


def stumble(desk: Desk) -> None:
    desk.ready()
    raise BenchError("it went wrong")


def vanish(desk: Desk) -> None:
    desk.ready()
    os._exit(3)


def dawdle(desk: Desk) -> None:
    desk.ready()
    time.sleep(60)
