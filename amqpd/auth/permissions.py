"""What a user may do in a vhost: three regular expressions, as in RabbitMQ.

``configure`` is for declaring and deleting, ``write`` for publishing and being bound to, ``read`` for consuming and
being bound from; which operation needs which is the caller's knowledge. An expression is searched in the name of the
queue or exchange; see patterns.py. The empty one matches only the empty name, which nothing has: it grants nothing.

For a topic exchange there may be two expressions more, for the routing keys that a user publishes with (``write``) and
binds with (``read``). Where there are none, every key is allowed.

Almost every user has ``.*`` or nothing. Neither ever runs a regular expression.
"""

import re
from collections.abc import Mapping
from typing import Literal

from amqpd.auth.patterns import Matcher, matcher

Operation = Literal["configure", "write", "read"]
TopicOperation = Literal["write", "read"]


def _nothing(_name: str) -> bool:
    return False


def _matcher(pattern: str, variables: Mapping[str, str] | None = None) -> Matcher:
    if pattern in ("", "^$"):
        return _nothing
    expanded = pattern
    for name, value in (variables or {}).items():
        expanded = expanded.replace("{" + name + "}", re.escape(value))
    try:
        return matcher(expanded)
    except ValueError as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None


class Permission:
    """One user's access in one vhost. Raises ``ValueError`` for what is no regular expression."""

    __slots__ = ("_matchers", "configure", "read", "write")

    def __init__(self, configure: str, write: str, read: str) -> None:
        self.configure = configure
        self.write = write
        self.read = read
        self._matchers: dict[Operation, Matcher] = {
            "configure": _matcher(configure),
            "write": _matcher(write),
            "read": _matcher(read),
        }

    def allows(self, operation: Operation, name: str) -> bool:
        """Whether ``operation`` on the queue or exchange ``name`` is granted (the default exchange: "amq.default")."""
        return bool(self._matchers[operation](name))


FULL_ACCESS = Permission(configure=".*", write=".*", read=".*")
NO_ACCESS = Permission(configure="", write="", read="")


class TopicPermission:
    """One user's access to the routing keys of one topic exchange. Raises ``ValueError`` as above.

    ``{username}`` and ``{vhost}`` in an expression stand for these: ``^{username}\\.``.
    """

    __slots__ = ("_matchers", "read", "write")

    def __init__(self, write: str, read: str, vhost: str, user: str) -> None:
        self.write = write
        self.read = read
        variables = {"username": user, "vhost": vhost}
        self._matchers: dict[TopicOperation, Matcher] = {
            "write": _matcher(write, variables),
            "read": _matcher(read, variables),
        }

    def allows(self, operation: TopicOperation, routing_key: str) -> bool:
        return bool(self._matchers[operation](routing_key))


class Access:
    """What one user may do in one vhost by now: whoever holds it sees what changes."""

    __slots__ = ("permission", "topics")

    def __init__(self) -> None:
        self.permission: Permission | None = None
        self.topics: dict[str, TopicPermission] = {}

    def allows(self, operation: Operation, name: str) -> bool:
        """See :meth:`Permission.allows`."""
        return (self.permission or NO_ACCESS).allows(operation, name)

    def allows_topic(self, operation: TopicOperation, exchange: str, routing_key: str) -> bool:
        """Whether this routing key may be published to the topic exchange, or bound from it."""
        topic = self.topics.get(exchange)
        return topic is None or topic.allows(operation, routing_key)


class Permissions:
    """Who has access to which vhost. Without a permission a user may not even enter it."""

    def __init__(self) -> None:
        self._access: dict[tuple[str, str], Access] = {}

    def access(self, vhost: str, user: str) -> Access:
        """What the user may do in the vhost: maybe nothing."""
        return self._access.get((vhost, user)) or Access()

    def get(self, vhost: str, user: str) -> Permission | None:
        return self.access(vhost, user).permission

    def topic(self, vhost: str, user: str, exchange: str) -> TopicPermission | None:
        """None: every routing key is allowed."""
        return self.access(vhost, user).topics.get(exchange)

    def put(self, vhost: str, user: str, permission: Permission) -> None:
        """Grants it, in place of what the user had in the vhost."""
        self._access.setdefault((vhost, user), Access()).permission = permission

    def put_topic(self, vhost: str, user: str, exchange: str, permission: TopicPermission) -> None:
        """The same for one topic exchange, which need not be there."""
        self._access.setdefault((vhost, user), Access()).topics[exchange] = permission

    def delete(self, vhost: str, user: str) -> None:
        """Shuts the vhost to the user. Raises ``KeyError`` when it was not open."""
        access = self._access[vhost, user]
        if access.permission is None:
            raise KeyError(vhost, user)
        access.permission = None

    def delete_topic(self, vhost: str, user: str, exchange: str) -> None:
        """Raises ``KeyError`` when there was none."""
        del self._access[vhost, user].topics[exchange]
