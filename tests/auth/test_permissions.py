import pytest

from amqpd.auth import FULL_ACCESS, Operation, Permission, Permissions, TopicPermission

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


def test_topic_permissions_are_about_routing_keys() -> None:
    topic = TopicPermission(write="^orders", read="^invoices", vhost="/", user="alice")
    assert topic.allows("write", "orders.eu")
    assert not topic.allows("write", "invoices.eu")
    assert topic.allows("read", "invoices.eu")
    assert not topic.allows("read", "orders.eu")


def test_topic_permissions_can_name_user_and_vhost() -> None:
    topic = TopicPermission(write="^{vhost}-{username}-", read="", vhost="v.1", user="al+ice")
    assert topic.allows("write", "v.1-al+ice-key")
    assert not topic.allows("write", "vx1-al+ice-key")  # they are no expressions themselves
    assert not topic.allows("write", "v.1-alllice-key")
    assert not topic.allows("read", "v.1-al+ice-key")


def test_a_topic_permission_that_is_no_regular_expression_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'\{username\}\(' is not a regular expression"):
        TopicPermission(write=".*", read="{username}(", vhost="/", user="alice")


def test_without_a_topic_permission_every_routing_key_is_allowed() -> None:
    permissions = Permissions()
    permissions.put("/", "alice", FULL_ACCESS)
    assert permissions.topic("/", "alice", "amq.topic") is None
    access = permissions.access("/", "alice")
    assert access.allows_topic("write", "amq.topic", "any.key")
    permissions.put_topic("/", "alice", "amq.topic", topic := TopicPermission("", "", "/", "alice"))
    assert permissions.topic("/", "alice", "amq.topic") is topic
    assert not access.allows_topic("write", "amq.topic", "any.key")
    assert access.allows_topic("write", "other", "any.key")
    permissions.delete_topic("/", "alice", "amq.topic")
    assert access.allows_topic("write", "amq.topic", "any.key")


def test_who_holds_an_access_sees_what_changes() -> None:
    permissions = Permissions()
    permissions.put("/", "alice", FULL_ACCESS)
    access = permissions.access("/", "alice")
    assert access.allows("write", "orders")
    permissions.put("/", "alice", Permission("", "", ".*"))
    assert not access.allows("write", "orders")
    assert access.allows("read", "orders")
    permissions.delete("/", "alice")
    assert not access.allows("read", "orders")
