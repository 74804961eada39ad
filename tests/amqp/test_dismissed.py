"""Who is shut out while they are connected: their virtual host, or their user, is deleted."""

from amqpd.auth.passwords import SHA256, PasswordHash
from amqpd.broker.records import PermissionRecord, UserRecord
from amqpd.wire import methods as m
from tests.amqp.transcript import END, NOTHING, Stage, connection_close


def test_a_client_whose_vhost_is_deleted_is_told(stage: Stage) -> None:
    peer = stage.connect()
    peer >> (1, m.QueueDeclare(queue="q", exclusive=True)) << (1, m.QueueDeclareOk("q"))
    stage.broker.add_vhost("another")
    stage.broker.delete_vhost("/")
    stage.write()
    peer << connection_close(320, "CONNECTION_FORCED - vhost '/' is deleted", None) << NOTHING
    assert stage.broker.clients == {}
    peer >> (0, m.ConnectionCloseOk()) << END


def test_a_client_whose_user_is_deleted_is_told_and_nobody_else(stage: Stage) -> None:
    stage.broker.put_user(UserRecord("alice", PasswordHash.of(b"wonderland").encode(), SHA256))
    stage.broker.set_permission(PermissionRecord("/", "alice", ".*", ".*", ".*"))
    peer, alice = stage.connect(), stage.connect(user="alice", password="wonderland")
    stage.broker.delete_user("alice")
    stage.write()
    alice << connection_close(320, "CONNECTION_FORCED - user 'alice' is deleted", None)
    alice >> (0, m.ConnectionCloseOk()) << END
    peer >> (1, m.QueueDeclare(queue="q")) << (1, m.QueueDeclareOk("q"))
    assert stage.broker.statistics().connections == 1
