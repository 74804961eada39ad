"""Users, permissions and virtual hosts as an operator changes them, and what is kept of them."""

import pytest

from amqpd.auth.passwords import SHA256, SHA512, PasswordHash
from amqpd.broker.broker import Broker
from amqpd.broker.receiver import Mailbox
from amqpd.broker.records import (
    PermissionRecord,
    PolicyRecord,
    Record,
    TopicPermissionRecord,
    UserRecord,
    VHostRecord,
)
from amqpd.errors import AccessRefused, AMQPError, NotAllowed, NotFound, PreconditionFailed
from amqpd.wire.properties import Properties
from tests.broker.support import Disk, Peer, refused


def user(name: str, password: str = "secret", tags: str = "") -> UserRecord:
    return UserRecord(name, PasswordHash.of(password.encode()).encode(), SHA256, tags)


def permission(
    name: str, configure: str = ".*", write: str = ".*", read: str = ".*", vhost: str = "/"
) -> PermissionRecord:
    return PermissionRecord(vhost, name, configure, write, read)


def kinds(records: list[Record]) -> list[tuple[str, str]]:
    """What is kept, for people: the kind of each, and what it is about."""
    return [
        (type(record).__name__.removesuffix("Record"), str(getattr(record, "name", getattr(record, "user", ""))))
        for record in records
    ]


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def kept(disk: Disk) -> Broker:
    """A broker that keeps what it is told, and nothing yet."""
    return Broker(disk)


# What there is from the start -----------------------------------------------------------------------------------------

DEFAULTS = [("VHost", "/"), ("User", "guest"), ("Permission", "guest")]


def test_the_defaults_are_not_kept_as_long_as_nobody_looks_after_users(kept: Broker, disk: Disk) -> None:
    peer = Peer(kept.connect())
    peer.declare("q", durable=True)
    assert kinds(disk.kept) == [("Queue", "q")]
    assert list(Broker(Disk.after(disk), default_user="admin").vhosts["/"].queues) == ["q"]


def test_the_password_of_a_default_user_is_what_the_settings_say_now(kept: Broker, disk: Disk) -> None:
    later = Broker(Disk.after(disk), default_password="new")
    assert later.users.authenticate("guest", b"new", loopback=True)


def test_who_adds_a_user_is_not_locked_out_by_that(kept: Broker, disk: Disk) -> None:
    kept.put_user(user("alice"))
    assert kinds(disk.kept) == [*DEFAULTS, ("User", "alice")]
    later = Broker(Disk.after(disk), default_password="new")
    assert later.users.authenticate("guest", b"guest", loopback=True)
    assert later.connect().user == "guest"


def test_a_default_user_that_was_deleted_stays_away(kept: Broker, disk: Disk) -> None:
    kept.put_user(user("alice"))
    kept.delete_user("guest")
    assert [user.name for user in Broker(Disk.after(disk)).users] == ["alice"]


def test_a_default_vhost_that_was_deleted_stays_away(kept: Broker, disk: Disk) -> None:
    kept.add_vhost("staging")
    kept.delete_vhost("/")
    assert list(Broker(Disk.after(disk)).vhosts) == ["staging"]


def test_a_default_user_can_make_room_for_others(kept: Broker, disk: Disk) -> None:
    kept.drop_default_user()
    kept.put_user(user("alice"))
    assert [user.name for user in kept.users] == ["alice"]
    assert kinds(disk.kept) == [("VHost", "/"), ("User", "alice")]
    with refused(NotAllowed, "access to vhost '/' refused for user 'guest'"):
        kept.connect()


def test_a_user_who_is_kept_makes_no_room(kept: Broker) -> None:
    kept.put_user(user("alice"))
    kept.drop_default_user()
    assert [user.name for user in kept.users] == ["guest", "alice"]


# Users ----------------------------------------------------------------------------------------------------------------


def test_a_user_is_there_again_with_password_and_tags(kept: Broker, disk: Disk) -> None:
    kept.put_user(user("alice", "wonderland", "monitoring,policymaker"))
    later = Broker(Disk.after(disk))
    assert later.users.authenticate("alice", b"wonderland", loopback=False).tags == {"monitoring", "policymaker"}


def test_a_user_without_a_password_is_there_and_cannot_log_in(kept: Broker) -> None:
    kept.put_user(UserRecord("service", "", SHA512))
    found = kept.users.get("service")
    assert found is not None
    assert found.password_hash is None


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (UserRecord("", "", SHA256), "invalid user name '': it must have 1 to 255 octets"),
        (UserRecord("ä" * 128, "", SHA256), f"invalid user name {'ä' * 32!r}: it must have 1 to 255 octets"),
        (
            UserRecord("a\nb", "", SHA256),
            "invalid user name 'a\\nb': control characters, or octets that are no UTF-8",
        ),
        (UserRecord("a", "AAAA", SHA256), f"password hash has 3 octets, {SHA256} has 36"),
    ],
)
def test_what_is_no_user_is_refused(kept: Broker, disk: Disk, record: UserRecord, text: str) -> None:
    with refused(PreconditionFailed, text):
        kept.put_user(record)
    assert disk.kept == []


def test_a_deleted_user_is_shut_out_and_has_no_permissions_when_made_again(kept: Broker, disk: Disk) -> None:
    kept.put_user(user("alice"))
    kept.set_permission(permission("alice"))
    kept.set_permission(TopicPermissionRecord("/", "alice", "amq.topic", ".*", ".*"))
    peer, other = Peer(kept.connect("alice")), Peer(kept.connect())
    peer.session.declare_queue("mine", exclusive=True)
    kept.delete_user("alice")
    assert list(kept.clients) == [other.client]
    assert not other.exists("mine")
    assert kinds(disk.kept) == DEFAULTS
    kept.put_user(user("alice"))
    with refused(NotAllowed, "access to vhost '/' refused for user 'alice'"):
        kept.connect("alice")


def test_who_is_shut_out_is_told_why(kept: Broker) -> None:
    kept.put_user(user("alice"))
    kept.set_permission(permission("alice"))
    told: list[str] = []
    kept.connect("alice").dismissed = told.append
    kept.delete_user("alice")
    assert told == ["user 'alice' is deleted"]


# Virtual hosts --------------------------------------------------------------------------------------------------------


def test_a_vhost_is_a_world_of_its_own(kept: Broker, disk: Disk) -> None:
    kept.add_vhost("staging")
    kept.add_vhost("staging")  # once more is fine
    kept.set_permission(permission("guest", vhost="staging"))
    staging, home = Peer(kept.connect(vhost="staging")), Peer(kept.connect())
    staging.declare("q", durable=True)
    assert not home.exists("q")
    home.send("q", "lost")
    staging.send("q", "kept", delivery_mode=2)
    later = Broker(Disk.after(disk))
    assert Peer(later.connect(vhost="staging")).empty("q") == ["kept*"]


def test_who_was_shut_out_changes_no_policies(kept: Broker, disk: Disk) -> None:
    kept.add_vhost("staging")
    kept.set_permission(PermissionRecord("staging", "guest", ".*", ".*", ".*"))
    session = Peer(kept.connect(vhost="staging")).session
    kept.delete_vhost("staging")
    with refused(AccessRefused, "access to policies in vhost 'staging' refused for user 'guest'"):
        session.set_policy("p", ".*", {"max-length": 3})
    Broker(Disk.after(disk))


def test_a_deleted_vhost_takes_everything_with_it(kept: Broker, disk: Disk) -> None:
    kept.add_vhost("staging")
    before = kinds(disk.kept)
    kept.set_permission(permission("guest", vhost="staging"))
    kept.set_permission(TopicPermissionRecord("staging", "guest", "x", ".*", ".*"))
    client = kept.connect(vhost="staging")
    peer, mailbox = Peer(client), Mailbox()
    session = client.open_session(mailbox)
    peer.declare("q", durable=True)
    peer.send("q", "1", delivery_mode=2)
    session.declare_exchange("x", "topic", durable=True)
    session.declare_exchange("y", "fanout", durable=True, auto_delete=True)
    session.bind("q", "x", "#")
    session.bind("q", "amq.topic", "#")
    session.bind("y", "x", "#", destination_kind="exchange")
    session.bind("x", "y", destination_kind="exchange")
    kept.vhosts["staging"].set_policies([PolicyRecord("staging", "p", ".*", {"max-length": 3})])
    told: list[str] = []
    client.dismissed = told.append

    kept.delete_vhost("staging")
    assert kinds(disk.kept) == [entry for entry in before if entry != ("VHost", "staging")]
    assert disk.logs == {}
    assert told == ["vhost 'staging' is deleted"]
    assert (kept.clients, client.sessions, list(kept.vhosts)) == ({}, {}, ["/"])
    with refused(NotAllowed, "vhost staging not found"):
        kept.connect(vhost="staging")


def test_a_vhost_that_is_not_there(kept: Broker) -> None:
    with refused(NotFound, "no vhost 'nope'"):
        kept.delete_vhost("nope")
    with refused(PreconditionFailed, "invalid vhost name '': it must have 1 to 255 octets"):
        kept.add_vhost("")


# Permissions ----------------------------------------------------------------------------------------------------------


def test_permissions_are_there_again(kept: Broker, disk: Disk) -> None:
    kept.put_user(user("alice"))
    kept.set_permission(permission("alice", configure="^mine"))
    peer = Peer(Broker(Disk.after(disk)).connect("alice"))
    peer.declare("mine")
    with refused(AccessRefused, "access to queue 'yours' in vhost '/' refused for user 'alice'"):
        peer.declare("yours")


@pytest.mark.parametrize(
    ("record", "error", "text"),
    [
        (permission("nobody"), NotFound, "no user 'nobody'"),
        (permission("guest", vhost="nope"), NotFound, "no vhost 'nope'"),
        (TopicPermissionRecord("/", "nobody", "x", "", ""), NotFound, "no user 'nobody'"),
        (
            permission("guest", write="("),
            PreconditionFailed,
            "'(' is not a regular expression: missing ) at position 1",
        ),
    ],
)
def test_what_is_no_permission_is_refused(
    kept: Broker, record: PermissionRecord | TopicPermissionRecord, error: type[AMQPError], text: str
) -> None:
    with refused(error, text):
        kept.set_permission(record)


def test_a_permission_that_changes_holds_for_who_is_connected(kept: Broker) -> None:
    kept.put_user(user("alice"))
    kept.set_permission(permission("alice"))
    peer = Peer(kept.connect("alice"))
    peer.declare("q")
    peer.send("q", "1")
    kept.set_permission(permission("alice", write="^amq\\.topic$"))
    with refused(AccessRefused, "access to exchange 'amq.default' in vhost '/' refused for user 'alice'"):
        peer.send("q", "2")
    kept.clear_permission(permission("alice"))
    with refused(AccessRefused, "access to queue 'q' in vhost '/' refused for user 'alice'"):
        peer.get("q")
    with refused(NotAllowed, "access to vhost '/' refused for user 'alice'"):
        kept.connect("alice")


def test_a_permission_that_was_cleared_is_not_kept(kept: Broker, disk: Disk) -> None:
    kept.put_user(user("alice"))
    kept.set_permission(permission("alice", configure="^a"))
    kept.set_permission(TopicPermissionRecord("/", "alice", "amq.topic", "^a", "^b"))
    kept.clear_permission(TopicPermissionRecord("/", "alice", "amq.topic", "", ""))
    kept.clear_permission(permission("alice"))
    kept.clear_permission(permission("alice"))  # once more is fine
    assert kinds(disk.kept) == [*DEFAULTS, ("User", "alice")]


# Topic permissions ----------------------------------------------------------------------------------------------------


@pytest.fixture
def alice(kept: Broker) -> Peer:
    """Alice may publish keys that begin with her name, and bind those that begin with eu."""
    kept.put_user(user("alice"))
    kept.set_permission(permission("alice"))
    kept.set_permission(TopicPermissionRecord("/", "alice", "amq.topic", "^{username}\\.", "^eu\\."))
    peer = Peer(kept.connect("alice"))
    peer.declare("q")
    return peer


def test_routing_keys_are_checked_on_a_topic_exchange(alice: Peer) -> None:
    alice.session.publish("amq.topic", "alice.order", b"")
    with refused(
        AccessRefused, "access to topic 'bob.order' in exchange 'amq.topic' in vhost '/' refused for user 'alice'"
    ):
        alice.session.publish("amq.topic", "bob.order", b"")
    alice.session.publish("amq.direct", "bob.order", b"")


def test_binding_keys_are_checked_on_a_topic_exchange(alice: Peer) -> None:
    alice.session.bind("q", "amq.topic", "eu.#")
    for call in (alice.session.bind, alice.session.unbind):
        with refused(
            AccessRefused, "access to topic 'us.#' in exchange 'amq.topic' in vhost '/' refused for user 'alice'"
        ):
            call("q", "amq.topic", "us.#")
    alice.session.bind("q", "amq.direct", "us.#")


def test_further_routing_keys_are_checked_too(alice: Peer) -> None:
    for header in ("CC", "BCC"):
        with refused(
            AccessRefused, "access to topic 'bob.copy' in exchange 'amq.topic' in vhost '/' refused for user 'alice'"
        ):
            alice.session.publish("amq.topic", "alice.order", b"", Properties(headers={header: ["bob.copy"]}))


def test_a_user_without_topic_permissions_may_use_every_key(kept: Broker, alice: Peer) -> None:
    Peer(kept.connect()).session.publish("amq.topic", "bob.order", b"")
    kept.clear_permission(TopicPermissionRecord("/", "alice", "amq.topic", "", ""))
    alice.session.publish("amq.topic", "bob.order", b"")


# Records --------------------------------------------------------------------------------------------------------------


def test_a_default_user_that_is_not_kept_is_not_told(kept: Broker) -> None:
    assert VHostRecord("/") in kept.records()
    assert not [record for record in kept.records() if isinstance(record, UserRecord | PermissionRecord)]
    kept.add_vhost("staging")
    assert [record.name for record in kept.records() if isinstance(record, UserRecord)] == ["guest"]
