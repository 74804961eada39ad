"""The broker as a whole: virtual hosts, users, who is connected, and what it knows about itself.

broker = Broker()
client = broker.connect()
inbox = Mailbox()
session = client.open_session(inbox)
session.declare_queue("orders")
session.consume("orders", no_ack=True)
session.publish("", "orders", b"one coffee")
inbox.deliveries  # [("amq.ctag-...", 1, False, <Message>)]
"""

from collections.abc import Callable, Iterable
from secrets import token_urlsafe

from amqpd.auth.passwords import PasswordHash
from amqpd.auth.permissions import FULL_ACCESS, Permissions
from amqpd.auth.users import User, Users
from amqpd.broker.agenda import Agenda
from amqpd.broker.alarms import Alarms
from amqpd.broker.client import Client
from amqpd.broker.ready import Windows
from amqpd.broker.statistics import BrokerStatistics
from amqpd.broker.store import NullStore, Store
from amqpd.broker.totals import Totals
from amqpd.broker.vhost import VHost
from amqpd.errors import NotAllowed

DEFAULT_VHOST = "/"


def make_token() -> str:
    """22 characters that nobody can guess: what server-made names end with."""
    return token_urlsafe(16)


class Broker:
    """A message broker. With a ``store`` of its own it starts with the topology that was kept there; the default
    keeps all in memory.

    ``connection_max`` limits who may be connected at a time; 0 is no limit.
    """

    def __init__(
        self,
        store: Store | None = None,
        default_user: str = "guest",
        default_password: str = "guest",
        loopback_users: Iterable[str] = ("guest",),
        connection_max: int = 0,
        make_token: Callable[[], str] = make_token,
    ) -> None:
        self.agenda = Agenda()
        self.totals = Totals()
        self.alarms = Alarms()
        self.windows = Windows()
        self.store = store or NullStore()
        self.users = Users(loopback_users)
        self.permissions = Permissions()
        self.vhosts: dict[str, VHost] = {}
        self.clients: dict[Client, None] = {}
        self.connection_max = connection_max
        self._default_user = default_user
        self.vhosts[DEFAULT_VHOST] = VHost(
            DEFAULT_VHOST, self.store, self.agenda, self.totals, self.windows, make_token
        )
        self.users.put(User(default_user, PasswordHash.of(default_password.encode()), frozenset({"administrator"})))
        self.permissions.put(DEFAULT_VHOST, default_user, FULL_ACCESS)
        for record in self.store.records():
            self.vhosts[record.vhost].apply(record)

    def connect(self, user: str | None = None, vhost: str = DEFAULT_VHOST) -> Client:
        """A user who has been authenticated comes in. NotAllowed: not to this virtual host, or not one more."""
        name = self._default_user if user is None else user
        if vhost not in self.vhosts:
            raise NotAllowed(f"vhost {vhost} not found")
        permission = self.permissions.get(vhost, name)
        if permission is None:
            raise NotAllowed(f"access to vhost '{vhost}' refused for user '{name}'")
        if self.connection_max and len(self.clients) >= self.connection_max:
            raise NotAllowed(f"connection refused: node connection limit ({self.connection_max}) is reached")
        client = Client(self.vhosts[vhost], name, permission, self.totals)
        self.clients[client] = None
        self.totals.connections_opened += 1
        return client

    def disconnect(self, client: Client) -> None:
        """A client has left, in whatever way."""
        if client in self.clients:
            del self.clients[client]
            self.totals.connections_closed += 1
            client.close()

    def close(self) -> None:
        """The broker stops in an orderly way: nobody is connected, and all messages are back in their queues."""
        for vhost in self.vhosts.values():
            for queue in vhost.queues.values():
                queue.close()

    def statistics(self) -> BrokerStatistics:
        """A snapshot. Reply queues, which come and go with their consumers, are not among the queues."""
        totals, alarms = self.totals, self.alarms
        living = [queue for vhost in self.vhosts.values() for queue in vhost.queues.values()]
        return BrokerStatistics(
            connections=len(self.clients),
            connections_blocked=alarms.blocked,
            channels=sum(len(client.sessions) for client in self.clients),
            consumers=sum(len(queue.subscribers) for queue in living),
            exchanges=sum(len(vhost.exchanges) for vhost in self.vhosts.values()),
            connections_opened=totals.connections_opened,
            connections_closed=totals.connections_closed,
            channels_opened=totals.channels_opened,
            channels_closed=totals.channels_closed,
            queues_declared=totals.queues_declared,
            queues_created=totals.queues_created,
            queues_deleted=totals.queues_deleted,
            messages_published=totals.messages_published,
            messages_routed=totals.messages_routed,
            messages_confirmed=totals.messages_confirmed,
            messages_unroutable_returned=totals.messages_unroutable_returned,
            messages_unroutable_dropped=totals.messages_unroutable_dropped,
            messages_delivered=totals.gone_delivered + sum(queue.delivered for queue in living),
            messages_redelivered=totals.gone_redelivered + sum(queue.redelivered for queue in living),
            messages_acked=totals.gone_acked + sum(queue.acked for queue in living),
            memory_alarm=alarms.is_low("memory"),
            disk_alarm=alarms.is_low("disk"),
            memory_used=alarms.memory_used,
            memory_limit=alarms.memory_limit,
            disk_free=alarms.disk_free,
            disk_free_limit=alarms.disk_free_limit,
            queues=tuple(queue.statistics() for queue in living if not queue.volatile),
        )
