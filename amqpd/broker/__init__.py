"""The model of a message broker: exchanges, queues, consumers and the sessions that use them.

Synchronous, without input or output, and without a clock of its own: it does what it is told at once and tells its
receivers. It knows no protocol; its calls take plain arguments. From the ground up:

    message, records, receiver, sink    what everything else is made of
    agenda, timers                      what is to be done now, and later
    store, host                         the seam below, and the one between a virtual host and what lives in it
    admission, dead_letter, deduplication  what the broker reads in messages, and writes
    queues/                             what waits, in order and not all in memory, and who is next to get it
    consumer, lateness                  what a session was handed and has not settled
    exchanges/                          which destinations a message is for
    topology/                           a tenant's exchanges, queues, bindings and policies
    confirms, transaction, session      one door for every protocol
    client, accounts, broker            who is connected, who may be, and the whole
    definitions/                        all that is declared, as JSON
    alarms, totals, statistics          what is low, and what was counted
"""

from amqpd.broker.broker import Broker
from amqpd.broker.client import Client
from amqpd.broker.message import Message
from amqpd.broker.receiver import Mailbox, Receiver
from amqpd.broker.session import Session
from amqpd.broker.statistics import BrokerStatistics, QueueStatistics

__all__ = [
    "Broker",
    "BrokerStatistics",
    "Client",
    "Mailbox",
    "Message",
    "QueueStatistics",
    "Receiver",
    "Session",
]
