"""The six RabbitMQ tutorials, each with pika's three connections and with aio-pika.

The words of the tutorials are kept: task queue, logs, severities, quick.orange.rabbit, fibonacci. A tutorial's two
programs become two connections, and ``unique`` turns its names into names of the test's own.
"""

from collections.abc import Callable

from interop.clients import Client

OpenClient = Callable[[], Client]
Unique = Callable[[str], str]


def test_1_hello_world(client: OpenClient, unique: Unique) -> None:
    hello = unique("hello")
    receiver, sender = client(), client()

    receiver.declare_queue(hello)
    receiver.consume(hello, auto_ack=True)
    sender.declare_queue(hello)  # either program may be started first
    sender.publish("", hello, b"Hello World!")

    message = receiver.receive()
    assert message.body == b"Hello World!"
    assert (message.exchange, message.routing_key, message.redelivered) == ("", hello, False)


def test_2_work_queues(client: OpenClient, unique: Unique) -> None:
    """A durable queue, persistent tasks, one task at a time, and no task lost with the worker that had it."""
    task_queue = unique("task_queue")
    boss, first, second = client(), client(), client()
    for each in boss, first, second:
        each.declare_queue(task_queue, durable=True)
        each.qos(prefetch_count=1)
    first.consume(task_queue)

    for task in b"first task.", b"second task..", b"third task...":
        boss.publish("", task_queue, task, delivery_mode=2)
    unfinished = first.receive()
    assert (unfinished.body, unfinished.delivery_mode) == (b"first task.", 2)

    second.consume(task_queue)
    done = second.receive()
    assert (done.body, done.redelivered) == (b"second task..", False)
    first.close()  # dies over its task
    done.ack()

    again = second.receive()
    assert (again.body, again.redelivered) == (b"first task.", True)  # back at its place, before the third
    again.ack()
    assert second.receive().body == b"third task..."


def test_3_publish_subscribe(client: OpenClient, unique: Unique) -> None:
    logs = unique("logs")
    to_screen, to_disk, emitter = client(), client(), client()
    emitter.declare_exchange(logs, "fanout")
    emitter.publish(logs, "", b"lost: nobody listens yet")

    for subscriber in to_screen, to_disk:
        queue = subscriber.declare_queue(exclusive=True)
        assert queue.startswith("amq.gen-")
        subscriber.bind(queue, logs)
        subscriber.consume(queue, auto_ack=True)
    emitter.publish(logs, "", b"info: Hello World!")

    assert to_screen.receive().body == b"info: Hello World!"
    assert to_disk.receive().body == b"info: Hello World!"


def test_4_routing(client: OpenClient, unique: Unique) -> None:
    direct_logs = unique("direct_logs")
    subscribers = {("error",): client(), ("info", "warning", "error"): client()}
    emitter = client()
    emitter.declare_exchange(direct_logs, "direct")
    for severities, subscriber in subscribers.items():
        queue = subscriber.declare_queue(exclusive=True)
        for severity in severities:
            subscriber.bind(queue, direct_logs, severity)
        subscriber.consume(queue, auto_ack=True)

    for severity in "info", "error", "warning", "error":
        emitter.publish(direct_logs, severity, severity.encode())

    to_disk, to_screen = subscribers.values()
    assert [to_disk.receive().body for _ in range(2)] == [b"error", b"error"]
    assert [to_screen.receive().routing_key for _ in range(4)] == ["info", "error", "warning", "error"]


def test_5_topics(client: OpenClient, unique: Unique) -> None:
    """The animals of the tutorial: Q1 likes all orange ones, Q2 rabbits and everything lazy."""
    topics, q1, q2 = unique("topics"), unique("Q1"), unique("Q2")
    zoo = client()
    zoo.declare_exchange(topics, "topic")
    for queue, binding_key in (q1, "*.orange.*"), (q2, "*.*.rabbit"), (q2, "lazy.#"):
        zoo.declare_queue(queue, exclusive=True)
        zoo.bind(queue, topics, binding_key)

    animals = [
        ("quick.orange.rabbit", [q1, q2]),
        ("lazy.orange.elephant", [q1, q2]),
        ("quick.orange.fox", [q1]),
        ("lazy.brown.fox", [q2]),
        ("lazy.pink.rabbit", [q2]),  # matches two bindings of Q2, arrives once
        ("quick.brown.fox", []),
        ("orange", []),
        ("quick.orange.new.rabbit", []),
        ("lazy.orange.new.rabbit", [q2]),
    ]
    for routing_key, expected in animals:
        zoo.publish(topics, routing_key, routing_key.encode())
        arrived = [queue for queue in (q1, q2) if zoo.get(queue) is not None]
        assert arrived == expected, routing_key
    assert zoo.get(q1) is zoo.get(q2) is None


def test_6_rpc(client: OpenClient, unique: Unique) -> None:
    """Requests with reply_to and correlation_id, answered into the asker's exclusive queue."""
    rpc_queue = unique("rpc_queue")
    server, asker = client(), client()
    server.declare_queue(rpc_queue)
    server.qos(prefetch_count=1)
    server.consume(rpc_queue)
    callback_queue = asker.declare_queue(exclusive=True)
    asker.consume(callback_queue, auto_ack=True)

    for n, fibonacci in (30, b"832040"), (31, b"1346269"):
        asker.publish("", rpc_queue, b"%d" % n, reply_to=callback_queue, correlation_id=f"fib({n})")
        answer_one(server)
        reply = asker.receive()
        assert (reply.body, reply.correlation_id) == (fibonacci, f"fib({n})")


def test_rpc_with_direct_reply_to(client: OpenClient, unique: Unique) -> None:
    """The same without a reply queue: the broker rewrites reply_to into an address of this very consumer."""
    rpc_queue = unique("rpc_queue")
    server, asker = client(), client()
    server.declare_queue(rpc_queue)
    server.consume(rpc_queue)
    asker.consume("amq.rabbitmq.reply-to", auto_ack=True)

    for n, fibonacci in (1, b"1"), (30, b"832040"):
        asker.publish("", rpc_queue, b"%d" % n, reply_to="amq.rabbitmq.reply-to", correlation_id=f"fib({n})")
        reply_address = answer_one(server)
        assert reply_address.startswith("amq.rabbitmq.reply-to.")
        reply = asker.receive()
        assert (reply.body, reply.correlation_id) == (fibonacci, f"fib({n})")
        assert reply.exchange == ""


def answer_one(server: Client) -> str:
    """Serve one request as the tutorial's server does; where the reply went."""
    request = server.receive()
    assert request.reply_to is not None
    result = fib(int(request.body))
    server.publish("", request.reply_to, b"%d" % result, correlation_id=request.correlation_id)
    request.ack()
    return request.reply_to


def fib(n: int) -> int:
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a
