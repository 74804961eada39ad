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

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from secrets import token_urlsafe
from unicodedata import category

from amqpd.auth.passwords import PasswordHash
from amqpd.auth.permissions import Permissions
from amqpd.auth.users import Users
from amqpd.broker.accounts import AccountRecord, Accounts, check_account, key_of
from amqpd.broker.agenda import Agenda
from amqpd.broker.alarms import Alarms
from amqpd.broker.client import Client
from amqpd.broker.queues.ready import Windows
from amqpd.broker.records import (
    PermissionRecord,
    Record,
    TopicPermissionRecord,
    UserRecord,
    VHostRecord,
)
from amqpd.broker.statistics import BrokerStatistics
from amqpd.broker.store import NullStore, Store
from amqpd.broker.survey import survey
from amqpd.broker.timers import Clock, Timers, stopped_clock
from amqpd.broker.topology.vhost import VHost
from amqpd.broker.totals import Totals
from amqpd.errors import NotAllowed, NotFound, PreconditionFailed

DEFAULT_VHOST = "/"


def make_token() -> str:
    """22 characters that nobody can guess: what server-made names end with."""
    return token_urlsafe(16)


class Broker:
    """A message broker. With a ``store`` of its own it starts with what was kept there; the default keeps all in
    memory. ``clock``: see timers.py; the default one stands still.

    Where no virtual host is kept there is ``/``, and where no user is kept, the default user, so that somebody can come
    in. These two are kept themselves as soon as an operator changes users or virtual hosts; until then the default
    user's password is what the settings say. ``connection_max`` limits who may be connected at a time; 0 is no limit.
    ``message_times`` is whether queues measure how long messages wait and how long consumers take, unless a queue's
    rules say otherwise; ``moment`` is now, by the clock of whoever feeds the broker (see agenda.py).
    """

    def __init__(
        self,
        store: Store | None = None,
        default_user: str = "guest",
        default_password: str = "guest",
        loopback_users: Iterable[str] = ("guest",),
        connection_max: int = 0,
        make_token: Callable[[], str] = make_token,
        clock: Clock = stopped_clock,
        message_times: bool = True,
        moment: float = 0.0,
    ) -> None:
        self.agenda = Agenda(moment)
        self.timers = Timers(clock, self.agenda)
        self.totals = Totals()
        self.alarms = Alarms()
        self.windows = Windows()
        self.store = store or NullStore()
        self.users = Users(loopback_users)
        self.permissions = Permissions()
        self._accounts = Accounts(self.users, self.permissions)
        self.vhosts: dict[str, VHost] = {}
        self.clients: dict[Client, None] = {}
        self.connection_max = connection_max
        self._default_user = default_user
        self._make_token = make_token
        self._message_times = message_times
        kept = list(self.store.records())
        self._defaults = _missing(kept, default_user, default_password)
        for record in (*self._defaults, *kept):
            self.apply(record)
        self.agenda.settle()  # what recovered queues have to do: messages may have expired, or be too many by now

    # Who is connected

    def connect(self, user: str | None = None, vhost: str = DEFAULT_VHOST, connection: str = "") -> Client:
        """A user who has been authenticated comes in, by a connection that has a name.

        NotAllowed: not to this virtual host, or not one more.
        """
        name = self._default_user if user is None else user
        if vhost not in self.vhosts:
            raise NotAllowed(f"vhost {vhost} not found")
        access = self.permissions.access(vhost, name)
        if access.permission is None:
            raise NotAllowed(f"access to vhost '{vhost}' refused for user '{name}'")
        if self.connection_max and len(self.clients) >= self.connection_max:
            raise NotAllowed(f"connection refused: node connection limit ({self.connection_max}) is reached")
        client = Client(self.vhosts[vhost], name, access, self.totals, self.users.tags(name), connection)
        self.clients[client] = None
        self.totals.connections_opened += 1
        return client

    def disconnect(self, client: Client) -> None:
        """A client has left, in whatever way."""
        if client in self.clients:
            del self.clients[client]
            self.totals.connections_closed += 1
            client.close()

    def _dismiss(self, clients: Iterable[Client], reason: str) -> None:
        for client in list(clients):
            client.dismissed(reason)
            self.disconnect(client)

    def close(self) -> None:
        """The broker stops in an orderly way: nobody is connected, and all messages are back in their queues."""
        for vhost in self.vhosts.values():
            for queue in vhost.queues.values():
                queue.close()

    # Virtual hosts, users and permissions

    def apply(self, record: Record) -> None:
        """Make a recorded thing live. What it refers to must be there.

        The one path for what is declared now, recovered or imported; the record was checked when it was made.
        """
        match record:
            case VHostRecord(name):
                self.vhosts[name] = VHost(
                    name,
                    self.store,
                    self.agenda,
                    self.totals,
                    self.windows,
                    self._make_token,
                    self.timers,
                    self._message_times,
                )
            case UserRecord() | PermissionRecord() | TopicPermissionRecord():
                self._accounts.apply(record)
            case _:
                self.vhosts[record.vhost].apply(record)

    def records(self) -> Iterator[Record]:
        """All there is, in an order in which it can be applied; but no default user that is not kept."""
        yield from map(VHostRecord, self.vhosts)
        yield from (record for record in self._accounts.records.values() if record not in self._defaults)
        for vhost in self.vhosts.values():
            exchanges, queues = vhost.exchanges.values(), vhost.queues.values()
            yield from vhost.policies
            yield from (exchange.record for exchange in exchanges)
            yield from (queue.record for queue in queues if not queue.volatile)
            yield from (binding.record for exchange in exchanges for binding in exchange.bindings.values())

    def has(self, record: AccountRecord) -> bool:
        """Whether there is just this user or permission."""
        return self._accounts.records.get(key_of(record)) == record

    def add_vhost(self, name: str) -> None:
        """One that is there already is fine."""
        if name not in self.vhosts:
            _check_name("vhost", name)
            self._put(VHostRecord(name))

    def delete_vhost(self, name: str) -> None:
        """It goes with all that is in it, and who is connected to it is shut out. NotFound."""
        vhost = self.vhost(name)
        self._dismiss([client for client in self.clients if client.vhost is vhost], f"vhost '{name}' is deleted")
        self._drop(self._accounts.in_vhost(name))
        vhost.dissolve()
        self.store.erase(VHostRecord(name))
        del self.vhosts[name]

    def vhost(self, name: str) -> VHost:
        """NotFound: there is none of that name."""
        if name not in self.vhosts:
            raise NotFound(f"no vhost '{name}'")
        return self.vhosts[name]

    def put_user(self, record: UserRecord) -> None:
        """Add a user, or change one. PreconditionFailed: what is given is no hash of a password."""
        _check_name("user", record.name)
        check_account(record)
        self._put(record)

    def delete_user(self, name: str) -> None:
        """The user goes with all permissions, and who is connected as such is shut out. NotFound."""
        self._accounts.check_user(name)
        self._dismiss([client for client in self.clients if client.user == name], f"user '{name}' is deleted")
        self._drop(self._accounts.of_user(name))

    def set_permission(self, record: PermissionRecord | TopicPermissionRecord) -> None:
        """What a user may do in a virtual host, or with the routing keys of one topic exchange there.

        It holds at once, for who is connected too. NotFound; PreconditionFailed: no regular expression.
        """
        self._check_refers(record)
        check_account(record)
        self._put(record)
        self.vhosts[record.vhost].router.forget()

    def clear_permission(self, record: PermissionRecord | TopicPermissionRecord) -> None:
        """Undo :meth:`set_permission`, whatever the expressions were. There being none to clear is fine."""
        self._check_refers(record)
        current = self._accounts.records.get(key_of(record))
        if current is not None:
            self._drop([current])
            self.vhosts[record.vhost].router.forget()

    def drop_default_user(self) -> None:
        """To be called before others are put that shall not share the broker with the one who is there for want of
        any."""
        defaults = [record for record in self._defaults if not isinstance(record, VHostRecord)]
        self._defaults = tuple(record for record in self._defaults if isinstance(record, VHostRecord))
        for record in defaults:
            self._accounts.remove(record)

    def _check_refers(self, record: PermissionRecord | TopicPermissionRecord) -> None:
        self.vhost(record.vhost)
        self._accounts.check_user(record.user)

    def _put(self, record: VHostRecord | AccountRecord) -> None:
        self._keep_defaults()
        self.store.save(record)
        self.apply(record)

    def _drop(self, records: Iterable[AccountRecord]) -> None:
        self._keep_defaults()
        for record in records:
            self._accounts.remove(record)
            self.store.erase(record)

    def _keep_defaults(self) -> None:
        """They were made for want of others, and from now on there may be others: they shall not be gone after a
        restart for that."""
        for record in self._defaults:
            self.store.save(record)
        self._defaults = ()

    def survey(self) -> Generator[None, None, BrokerStatistics]:
        """Take a snapshot a little at a time: see survey.py."""
        return survey(self.totals, self.alarms, self.vhosts.values(), self.clients)

    def statistics(self) -> BrokerStatistics:
        """A snapshot, at once."""
        steps = self.survey()
        while True:
            try:
                next(steps)
            except StopIteration as end:
                statistics: BrokerStatistics = end.value
                return statistics


def _missing(kept: Sequence[Record], user: str, password: str) -> tuple[VHostRecord | AccountRecord, ...]:
    """What there must be for somebody to come in, and is not kept."""
    kinds = {type(record) for record in kept}
    missing: list[VHostRecord | AccountRecord] = []
    if VHostRecord not in kinds:
        missing.append(VHostRecord(DEFAULT_VHOST))
    if UserRecord not in kinds:
        password_hash = PasswordHash.of(password.encode())
        missing.append(UserRecord(user, password_hash.encode(), password_hash.algorithm, "administrator"))
        missing.append(PermissionRecord(DEFAULT_VHOST, user, ".*", ".*", ".*"))
    return tuple(missing)


def _check_name(kind: str, name: str) -> None:
    """A name that a short string of AMQP can hold, and that does not break a line of the log."""
    if not 0 < len(name.encode("utf-8", "surrogateescape")) <= 255:
        raise PreconditionFailed(f"invalid {kind} name {name[:32]!r}: it must have 1 to 255 octets")
    if any(category(character) in ("Cc", "Cs") for character in name):
        raise PreconditionFailed(f"invalid {kind} name {name!r}: control characters, or octets that are no UTF-8")
