from unittest.mock import patch

import pytest

from amqpd.auth import AuthenticationFailed, PasswordHash, User, Users


@pytest.fixture
def users() -> Users:
    users = Users(loopback_users=["guest"])
    users.put(User("guest", PasswordHash.of(b"guest"), frozenset({"administrator"})))
    users.put(User("alice", PasswordHash.of(b"wonderland")))
    users.put(User("service", None))
    return users


def test_the_right_password_lets_in(users: Users) -> None:
    alice = users.authenticate("alice", b"wonderland", loopback=False)
    assert alice.name == "alice"
    assert alice.tags == frozenset()


@pytest.mark.parametrize(
    ("name", "password", "reason"),
    [
        ("alice", b"Wonderland", "wrong password"),
        ("alice", b"", "blank password"),
        ("Alice", b"wonderland", "there is no such user"),
        ("", b"", "there is no such user"),
        ("\udcff", b"wonderland", "there is no such user"),
        ("service", b"anything", "the user has no password"),
        ("service", b"", "the user has no password"),
    ],
)
def test_a_refusal_tells_the_operator_why(users: Users, name: str, password: bytes, reason: str) -> None:
    with pytest.raises(AuthenticationFailed) as refusal:
        users.authenticate(name, password, loopback=True)
    assert refusal.value.name == name
    assert refusal.value.reason == reason
    assert reason in str(refusal.value)


def test_a_blank_password_is_refused_even_where_it_is_the_right_one(users: Users) -> None:
    users.put(User("careless", PasswordHash.of(b"")))
    with pytest.raises(AuthenticationFailed, match="blank password"):
        users.authenticate("careless", b"", loopback=True)


def test_guest_comes_in_from_this_machine_only(users: Users) -> None:
    assert users.authenticate("guest", b"guest", loopback=True).tags == {"administrator"}
    with pytest.raises(AuthenticationFailed, match="only connect from this machine"):
        users.authenticate("guest", b"guest", loopback=False)


def test_from_outside_a_wrong_password_of_a_loopback_user_is_just_that(users: Users) -> None:
    with pytest.raises(AuthenticationFailed, match="wrong password"):
        users.authenticate("guest", b"guess", loopback=False)


def test_without_loopback_users_guest_comes_in_from_anywhere(users: Users) -> None:
    opened = Users()
    opened.put(users.get("guest") or pytest.fail("there is no guest"))
    assert opened.authenticate("guest", b"guest", loopback=False).name == "guest"


@pytest.mark.parametrize("name", ["alice", "nobody", "service"])
def test_every_refusal_costs_one_hash(users: Users, name: str) -> None:
    with patch.object(PasswordHash, "matches", return_value=False) as matches, pytest.raises(AuthenticationFailed):
        users.authenticate(name, b"wrong", loopback=True)
    matches.assert_called_once_with(b"wrong")


def test_a_new_password_replaces_the_old_one(users: Users) -> None:
    users.put(User("alice", PasswordHash.of(b"looking glass")))
    assert users.authenticate("alice", b"looking glass", loopback=True)
    with pytest.raises(AuthenticationFailed, match="wrong password"):
        users.authenticate("alice", b"wonderland", loopback=True)
    assert [user.name for user in users] == ["guest", "alice", "service"]


def test_who_is_not_there_has_no_tags(users: Users) -> None:
    assert users.tags("guest") == {"administrator"}
    assert users.tags("alice") == users.tags("nobody") == frozenset()


def test_a_deleted_user_is_gone(users: Users) -> None:
    users.delete("alice")
    assert users.get("alice") is None
    with pytest.raises(AuthenticationFailed, match="no such user"):
        users.authenticate("alice", b"wonderland", loopback=True)
    with pytest.raises(KeyError):
        users.delete("alice")
