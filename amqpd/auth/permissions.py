"""What a user may do in a vhost: three regular expressions, as in RabbitMQ.

``configure`` is for declaring and deleting, ``write`` for publishing and being bound to, ``read`` for consuming and
being bound from; which operation needs which is the caller's knowledge. An expression is searched in the name of the
queue or exchange, so one that means the whole name says so: ``^orders$``. The empty one matches only the empty name,
which nothing has: it grants nothing.

Almost every user has ``.*`` or nothing. Neither ever runs a regular expression.
"""

import re
from collections.abc import Callable
from typing import Literal

Operation = Literal["configure", "write", "read"]


def _everything(_name: str) -> bool:
    return True


def _nothing(_name: str) -> bool:
    return False


def _matcher(pattern: str) -> Callable[[str], object]:
    if pattern == ".*":
        return _everything
    if pattern in ("", "^$"):
        return _nothing
    try:
        return re.compile(pattern).search
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None


class Permission:
    """One user's access in one vhost. Raises ``ValueError`` for what is no regular expression."""

    __slots__ = ("_matchers", "configure", "read", "write")

    def __init__(self, configure: str, write: str, read: str) -> None:
        self.configure = configure
        self.write = write
        self.read = read
        self._matchers: dict[Operation, Callable[[str], object]] = {
            "configure": _matcher(configure),
            "write": _matcher(write),
            "read": _matcher(read),
        }

    def allows(self, operation: Operation, name: str) -> bool:
        """Whether ``operation`` on the queue or exchange ``name`` is granted (the default exchange: "amq.default")."""
        return bool(self._matchers[operation](name))


FULL_ACCESS = Permission(configure=".*", write=".*", read=".*")


class Permissions:
    """Who has access to which vhost. Without an entry a user may not even enter it."""

    def __init__(self) -> None:
        self._permissions: dict[tuple[str, str], Permission] = {}

    def get(self, vhost: str, user: str) -> Permission | None:
        return self._permissions.get((vhost, user))

    def put(self, vhost: str, user: str, permission: Permission) -> None:
        """Grants it, in place of what the user had in the vhost."""
        self._permissions[vhost, user] = permission

    def delete(self, vhost: str, user: str) -> None:
        """Shuts the vhost to the user. Raises ``KeyError`` when it was not open."""
        del self._permissions[vhost, user]
