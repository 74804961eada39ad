"""Classes confirm and tx: the two ways to know that publishes have arrived, of which a channel can have one."""

from collections.abc import Callable

from amqpd.amqp.channel import Channel
from amqpd.wire.methods import (
    ConfirmSelect,
    ConfirmSelectOk,
    Method,
    TxCommit,
    TxCommitOk,
    TxRollback,
    TxRollbackOk,
    TxSelect,
    TxSelectOk,
)


def on_confirm_select(channel: Channel, method: ConfirmSelect) -> Method:
    channel.session.select_confirms()
    return ConfirmSelectOk()


def on_tx_select(channel: Channel, method: TxSelect) -> Method:
    channel.session.select_transaction()
    return TxSelectOk()


def on_tx_commit(channel: Channel, method: TxCommit) -> Method:
    channel.session.commit()
    return TxCommitOk()


def on_tx_rollback(channel: Channel, method: TxRollback) -> Method:
    channel.session.rollback()
    return TxRollbackOk()


CONFIRM_AND_TX: dict[type[Method], Callable[..., Method | None]] = {
    ConfirmSelect: on_confirm_select,
    TxSelect: on_tx_select,
    TxCommit: on_tx_commit,
    TxRollback: on_tx_rollback,
}
