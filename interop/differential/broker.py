"""A broker as a scenario meets it: names of its own, clients, and waiting for what the broker does by itself.

``take``, ``gone`` and ``let_pass`` need connections of their own, which leave no trace in the transcript but what they
have seen. No scenario sleeps: what is to happen is waited for, and where time must pass, it is the time of a message
that expires at the same broker.
"""

import time

import pika

from interop.differential.client import DEADLINE_S, Client, Message, Silence
from interop.differential.transcript import Transcript

GONE_INTERVAL_S = 0.02  # between looks whether a queue is still there


class Broker:
    """One of the two brokers, for one scenario."""

    def __init__(self, url: str, prefix: str, transcript: Transcript) -> None:
        parameters = pika.URLParameters(url)
        self._address: tuple[str, int] = (parameters.host, parameters.port)
        self._prefix = prefix
        self._transcript = transcript
        self._names: list[str] = []
        self._clients: list[Client] = []
        self._seen = Transcript(prefix)  # what the observer has seen
        self._observer = Client(self._address, self._seen)

    def close(self) -> None:
        """Delete what the scenario has made, and let go of all connections."""
        for client in self._clients:
            client.end()
        for name in self._names:
            self.forget(name)
        self._observer.end()

    @property
    def product(self) -> str:
        return str(self._observer.server["product"])

    def names(self, *stems: str) -> list[str]:
        """Names for queues or exchanges, by which no other run calls anything; the transcript has the stems."""
        names = [self._prefix + stem for stem in stems]
        self._names += names
        return names

    def note(self, text: str) -> None:
        """Write down what the scenario has found out itself, where answers may differ from run to run."""
        self._transcript.write(text)

    def ready(self, queue: str) -> int:
        """How many messages wait in a queue; for what is noted, not compared."""
        return self._observer.count(queue)

    def forget(self, name: str) -> None:
        """Delete the queue and the exchange of this name, if there are; for tables of declarations."""
        self._observer.delete(name)
        self._observer.delete_exchange(name)

    def connect(self, label: str = "", unseen: bool = False) -> Client:
        """A client of its own connection; the label stands before its lines. One that does very much may be unseen."""
        transcript = Transcript(self._prefix) if unseen else self._transcript
        self._clients.append(Client(self._address, transcript, label))
        return self._clients[-1]

    def take(self, queue: str, count: int = 1) -> list[Message]:
        """Wait until this queue has had so many messages, and take them off it, as a consumer that acknowledges."""
        seen = len(self._seen.lines)
        try:
            self._observer.qos(count)
            self._observer.consume(queue, "observer")
            messages = self._observer.receive(count)
            self._observer.cancel("observer")  # before its credit comes back
            self._observer.ack(messages[-1], multiple=True)
        finally:
            for line in self._seen.lines[seen:]:
                if line.startswith(("receive: ", "    ")):
                    self._transcript.write(line.replace("receive: ", f"at {queue}: ").replace(" for 'observer'", ""))
        return messages

    def gone(self, queue: str) -> None:
        """Wait until there is no such queue. A mandatory publish looks for it, which is no use of the queue."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            self._observer.publish("", queue, "are you there?", mandatory=True)
            if "returned" in self._seen.lines[-1]:
                self._transcript.write(f"{queue} is gone")
                return
            time.sleep(GONE_INTERVAL_S)
        self._transcript.write(f"{queue} is still there")
        raise Silence(queue)

    def let_pass(self, ms: int) -> None:
        """Let time pass at the broker: until a message that lives so long has expired."""
        client = Client(self._address, Transcript(""))
        rang = client.declare(exclusive=True)
        clock = client.declare("", {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": rang}, exclusive=True)
        client.consume(rang, "clock", no_ack=True)
        client.publish("", clock, "", expiration=str(ms))
        client.receive()
        client.end()
