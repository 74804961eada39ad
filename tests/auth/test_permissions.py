import pytest

from amqpd.auth import FULL_ACCESS, Operation, Permission, Permissions

OPERATIONS: tuple[Operation, ...] = ("configure", "write", "read")


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("name", ["orders", "amq.default", "two\nlines", "\udcff"])
def test_full_access_is_to_everything(operation: Operation, name: str) -> None:
    assert FULL_ACCESS.allows(operation, name)


@pytest.mark.parametrize("pattern", ["", "^$"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_empty_expression_grants_nothing(pattern: str, operation: Operation) -> None:
    nothing = Permission(pattern, pattern, pattern)
    assert not nothing.allows(operation, "orders")
    assert not nothing.allows(operation, "amq.default")


def test_each_operation_has_its_own_expression() -> None:
    permission = Permission(configure="^amq\\.gen", write="^(orders|amq\\.default)$", read="")
    assert permission.allows("configure", "amq.gen-Xyz")
    assert not permission.allows("configure", "orders")
    assert permission.allows("write", "orders")
    assert not permission.allows("write", "orders.archive")
    assert not permission.allows("read", "orders")


def test_an_expression_is_searched_anywhere_in_the_name() -> None:
    permission = Permission(configure="", write="order", read="")
    assert permission.allows("write", "pre-orders")


def test_what_is_no_regular_expression_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'\(' is not a regular expression"):
        Permission(configure=".*", write="(", read=".*")


def test_permissions_go_by_vhost_and_user() -> None:
    permissions = Permissions()
    permissions.put("/", "guest", FULL_ACCESS)
    assert permissions.get("/", "guest") is FULL_ACCESS
    assert permissions.get("/", "alice") is None
    assert permissions.get("staging", "guest") is None


def test_a_permission_is_replaced_and_taken_away() -> None:
    permissions = Permissions()
    permissions.put("/", "alice", FULL_ACCESS)
    permissions.put("/", "alice", read_only := Permission("", "", ".*"))
    assert permissions.get("/", "alice") is read_only
    permissions.delete("/", "alice")
    assert permissions.get("/", "alice") is None
    with pytest.raises(KeyError):
        permissions.delete("/", "alice")
