"""The durable store, on LMDB: topology and messages that survive, and room for queues that are longer than memory.

Below the broker's seam (``amqpd.broker.store``), and without threads or an event loop of its own: whoever has them
writes what it collects, and reads what it asks for. From the ground up:

    gone         which messages of a queue are settled
    codec        octets of keys and values
    environment  one file of LMDB: the only module that knows it
    reading      a page of a queue
    log, journal what is to be written: of one queue, and in all
    recovery     what is there when the broker starts
    store        the whole
    directory    where it lies, and whose it is
    check, export, copies: the tools, for ``amqpd store``
"""

from amqpd.store.directory import open_store
from amqpd.store.environment import StoreUnusable, WriteFailed
from amqpd.store.store import DurableStore

__all__ = ["DurableStore", "StoreUnusable", "WriteFailed", "open_store"]
