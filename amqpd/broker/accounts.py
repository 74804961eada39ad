"""Users and what they may do, between the records that are kept of them and ``amqpd.auth``, which answers questions.

Knows no virtual hosts and no store: whoever calls sees to it that what a record refers to is there, and that it is
kept.
"""

from amqpd.auth.passwords import PasswordHash
from amqpd.auth.permissions import Permission, Permissions, TopicPermission
from amqpd.auth.users import User, Users
from amqpd.broker.records import PermissionRecord, TopicPermissionRecord, UserRecord
from amqpd.errors import NotFound, PreconditionFailed

AccountRecord = UserRecord | PermissionRecord | TopicPermissionRecord

Key = tuple[type[AccountRecord], str, str, str]
"""The kind of a record; vhost, user and exchange, as far as it names them. There is one record of each."""


def key_of(record: AccountRecord) -> Key:
    match record:
        case UserRecord(name):
            return UserRecord, "", name, ""
        case PermissionRecord(vhost, user):
            return PermissionRecord, vhost, user, ""
        case TopicPermissionRecord(vhost, user, exchange):
            return TopicPermissionRecord, vhost, user, exchange


class Accounts:
    """The records of users and permissions, and these two live."""

    def __init__(self, users: Users, permissions: Permissions) -> None:
        self.users = users
        self.permissions = permissions
        self.records: dict[Key, AccountRecord] = {}

    def check_user(self, name: str) -> None:
        """NotFound: there is none of that name."""
        if self.users.get(name) is None:
            raise NotFound(f"no user '{name}'")

    def of_user(self, name: str) -> list[AccountRecord]:
        """The user's own record, and those of permissions."""
        return [record for (_, _, user, _), record in self.records.items() if user == name]

    def in_vhost(self, name: str) -> list[AccountRecord]:
        """What anybody may do there."""
        return [record for (_, vhost, _, _), record in self.records.items() if vhost == name]

    def apply(self, record: AccountRecord) -> None:
        """Make it live, in place of what there was."""
        match record:
            case UserRecord():
                self.users.put(user_of(record))
            case PermissionRecord(vhost, user):
                self.permissions.put(vhost, user, permission_of(record))
            case TopicPermissionRecord(vhost, user, exchange):
                self.permissions.put_topic(vhost, user, exchange, topic_permission_of(record))
        self.records[key_of(record)] = record

    def remove(self, record: AccountRecord) -> None:
        match record:
            case UserRecord(name):
                self.users.delete(name)
            case PermissionRecord(vhost, user):
                self.permissions.delete(vhost, user)
            case TopicPermissionRecord(vhost, user, exchange):
                self.permissions.delete_topic(vhost, user, exchange)
        del self.records[key_of(record)]


def check_account(record: AccountRecord) -> None:
    """PreconditionFailed: no such hash of a password, or no regular expression. The text says what and why."""
    try:
        match record:
            case UserRecord():
                user_of(record)
            case PermissionRecord():
                permission_of(record)
            case TopicPermissionRecord():
                topic_permission_of(record)
    except ValueError as error:
        raise PreconditionFailed(str(error)) from None


def user_of(record: UserRecord) -> User:
    """ValueError: no such hash."""
    kept = record.password_hash
    password_hash = PasswordHash.decode(kept, record.hashing_algorithm) if kept else None
    return User(record.name, password_hash, frozenset(filter(None, record.tags.split(","))))


def permission_of(record: PermissionRecord) -> Permission:
    """ValueError: no regular expression; here and below."""
    return Permission(record.configure, record.write, record.read)


def topic_permission_of(record: TopicPermissionRecord) -> TopicPermission:
    return TopicPermission(record.write, record.read, record.vhost, record.user)
