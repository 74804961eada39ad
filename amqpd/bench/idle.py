"""The role that holds connections at rest: open, with a channel, and silent.

As the load of kind idle, to see what one costs; or beside another load, to see what that costs.
"""

import time

from amqpd.bench.client import LOOK_S, Connection
from amqpd.bench.roles import Desk, Phase, raise_file_limit


def rest(desk: Desk) -> None:
    count = desk.workload.connections
    raise_file_limit(count)
    connections: list[Connection] = []
    if desk.workload.kind == "idle":
        desk.ready()
    while len(connections) < count:
        connections.append(desk.connect())
        desk.add(1)
    if desk.workload.kind != "idle":
        desk.ready()
    while desk.look() < Phase.OVER:
        time.sleep(LOOK_S)
    for connection in connections:
        connection.socket.close()
