"""The users of a broker, and the question whether somebody is who they say.

A refusal has two faces. The operator reads the reason in the log; the peer is told the same whatever the reason was
(RabbitMQ: "Login was refused ... For details see the broker logfile"), and an unknown name takes as long as a wrong
password, so that nobody learns from outside which names there are.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from amqpd.auth.passwords import PasswordHash


@dataclass(frozen=True, slots=True)
class User:
    """``tags`` say what a user may do beside messaging: "administrator", "monitoring" and so on, as in RabbitMQ.

    A user without a ``password_hash`` exists (definitions may bring one) and cannot log in with a password.
    """

    name: str
    password_hash: PasswordHash | None
    tags: frozenset[str] = frozenset()


class AuthenticationFailed(Exception):
    """``reason`` is for the operator's log and never for the peer."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"user {name!r}: {reason}")
        self.name = name
        self.reason = reason


NOBODY = PasswordHash(algorithm="rabbit_password_hashing_sha256", salt=bytes(4), digest=bytes(32))
"""The password hash of users who are not there. No known password has the digest of zeros."""


class Users:
    """All users by name. ``loopback_users`` are let in from this machine only."""

    def __init__(self, loopback_users: Iterable[str] = ()) -> None:
        self._users: dict[str, User] = {}
        self._loopback_users = frozenset(loopback_users)

    def __iter__(self) -> Iterator[User]:
        return iter(self._users.values())

    def get(self, name: str) -> User | None:
        return self._users.get(name)

    def tags(self, name: str) -> frozenset[str]:
        """None if there is no such user: somebody who was authenticated elsewhere."""
        user = self._users.get(name)
        return user.tags if user else frozenset()

    def put(self, user: User) -> None:
        """Adds the user, in place of one with the same name if there is one."""
        self._users[user.name] = user

    def delete(self, name: str) -> None:
        """Forgets the user. Raises ``KeyError`` when there is none of that name."""
        del self._users[name]

    def authenticate(self, name: str, password: bytes, *, loopback: bool) -> User:
        """The user, or ``AuthenticationFailed``. ``loopback`` says that the peer is on this machine."""
        user = self._users.get(name)
        kept = user.password_hash if user else None
        matches = (kept or NOBODY).matches(password)  # also when it cannot: it shall take as long
        if user is None:
            raise AuthenticationFailed(name, "there is no such user")
        if kept is None:
            raise AuthenticationFailed(name, "the user has no password")
        if not password:
            # RabbitMQ refuses it even where it is the right one: too many clients send it by accident.
            raise AuthenticationFailed(name, "blank password")
        if not matches:
            raise AuthenticationFailed(name, "wrong password")
        if name in self._loopback_users and not loopback:
            raise AuthenticationFailed(name, "the user may only connect from this machine (setting loopback_users)")
        return user
