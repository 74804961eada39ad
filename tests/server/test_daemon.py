import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
import structlog

from amqpd import __version__
from amqpd.broker.definitions import DefinitionsUnusable
from amqpd.build import BUILD
from amqpd.config import Settings
from amqpd.server.daemon import serve
from amqpd.server.listening import CannotListen, shown
from amqpd.store import StoreUnusable
from amqpd.wire import methods
from amqpd.wire.constants import PROTOCOL_HEADER
from amqpd.wire.methods import (
    BasicPublish,
    ConfirmSelect,
    ConfirmSelectOk,
    ConnectionClose,
    ConnectionCloseOk,
    QueueDeclare,
    QueueDeclareOk,
)
from amqpd.wire.properties import Properties
from tests.amqp.transcript import HEARTBEAT, connection_close
from tests.server.support import END, Daemon, Peer, serving, until
from tests.server.test_listening import has_ipv6

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("garbage_collection_put_back")]

FORCED = connection_close(320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'", None)


# Its start ------------------------------------------------------------------------------------------------------------


async def test_it_tells_where_it_listens_and_what_it_does_not_keep() -> None:
    async with serving() as daemon:
        listening = await daemon.event("listening")
        assert listening["host"] == "127.0.0.1"
        assert listening["port"] > 0
        assert listening["version"] == __version__
        assert listening["build"] == BUILD
        assert listening["loop"] in ("uvloop", "asyncio")
        in_memory = await daemon.event("in_memory")
        assert in_memory["log_level"] == "warning"


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on this machine")
async def test_guest_is_at_home_on_ipv6_too() -> None:
    async with serving(host="::1", metrics_host="::1") as daemon:
        await (await daemon.connect()).is_in_step()
        assert (await daemon.event("listening"))["metrics"].startswith("http://[::1]:")
        assert (await daemon.event("connection_opened"))["connection"].startswith("[::1]:")


async def test_an_address_that_is_taken_ends_it() -> None:
    async with serving() as daemon:
        with pytest.raises(CannotListen, match=r"^cannot listen on .* Address already in use"):
            await serve(Settings(port=daemon.address[1], metrics_port=0, in_memory=True))


# Its end --------------------------------------------------------------------------------------------------------------


def stop(number: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_it(number: signal.Signals) -> None:
    async with serving() as daemon:
        peers = [await daemon.connect(), await daemon.connect(channels=0)]
        stop(number)
        for peer in peers:
            await peer.hears(FORCED)
            await peer.says((0, ConnectionCloseOk()))
            await peer.hears(END)
        await daemon.ends()
        draining = await daemon.event("draining")
        assert (draining["signal"], draining["connections"]) == (number.name, 2)
        assert daemon.log[-1]["event"] == "stopped"


async def test_nobody_is_there_to_drain() -> None:
    async with serving() as daemon:
        stop()
        await daemon.ends()


async def before_the_header(daemon: Daemon) -> tuple[Peer, bool]:
    peer = await daemon.visit()
    await daemon.event("connection_accepted")
    return peer, False


async def before_the_login(daemon: Daemon) -> tuple[Peer, bool]:
    peer = await daemon.visit()
    await peer.says(PROTOCOL_HEADER)
    await peer.hear_method(methods.ConnectionStart)
    return peer, False


async def before_the_open(daemon: Daemon) -> tuple[Peer, bool]:
    peer = await daemon.visit()
    await peer.logs_in()
    await peer.hear_method(methods.ConnectionTune)
    return peer, True


@pytest.mark.parametrize("state", [before_the_header, before_the_login, before_the_open])
async def test_who_is_in_the_middle_of_a_handshake_is_let_go(state: Callable[[Daemon], Any]) -> None:
    async with serving() as daemon:
        peer, is_told = await state(daemon)
        stop()
        if is_told:
            await peer.hears(FORCED)
            await peer.says((0, ConnectionCloseOk()))
        await peer.hears(END)
        await daemon.ends()


async def test_who_does_not_answer_is_cut_off_and_nobody_comes_in_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amqpd.server.daemon.TICK_S", 3600)  # the drain has a clock of its own
    async with serving(close_timeout_s=0.5) as daemon:
        mute = await daemon.connect()
        stop()
        await mute.hears(FORCED)
        with pytest.raises(ConnectionRefusedError):
            await daemon.visit()
        await mute.hears(END)
        await daemon.ends()


async def test_a_second_signal_is_from_someone_in_a_hurry() -> None:
    async with serving(close_timeout_s=3600) as daemon:
        mute = await daemon.connect()
        stop()
        await mute.hears(FORCED)
        stop()
        await mute.hears(END)
        await daemon.ends()


async def test_a_message_that_is_on_its_way_arrives_before_the_close() -> None:
    async with serving() as daemon:
        consumer, publisher = await daemon.connect(), await daemon.connect()
        await (await consumer.declares("q")).consumes("q", no_ack=True)
        await publisher.publishes("q", bytes(7_000_000))
        await publisher.is_in_step()
        stop()
        assert await consumer.hear_bodies(1) == [bytes(7_000_000)]
        for peer in (consumer, publisher):
            await peer.hears(FORCED)
            await peer.says((0, ConnectionCloseOk()))
        await daemon.ends()


# What it keeps --------------------------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The settings of a daemon with a data directory. It leaves this process's threads as they are."""
    monkeypatch.setattr("amqpd.server.daemon.SWITCH_INTERVAL_S", sys.getswitchinterval())
    return {"data_dir": str(tmp_path / "data"), "in_memory": False}


PERSISTENT = Properties(delivery_mode=2)


async def keep(daemon: Daemon, *bodies: bytes) -> Peer:
    """Someone declares a durable queue, and has messages in it confirmed."""
    peer = await daemon.connect()
    await peer.says((1, QueueDeclare(queue="q", durable=True)), (1, ConfirmSelect()))
    await peer.hears((1, QueueDeclareOk("q", 0, 0)), (1, ConfirmSelectOk()))
    for number, body in enumerate(bodies, 1):
        await peer.says((1, BasicPublish(routing_key="q"), body, PERSISTENT))
        await peer.hears((1, methods.BasicAck(number)))
    return peer


async def get(peer: Peer) -> tuple[bytes, bool]:
    """The body of the next message, and whether it is marked as redelivered."""
    await peer.says((1, methods.BasicGet(queue="q")))
    _, got, body = await peer.hear()  # type: ignore[misc]
    return body, got.redelivered


async def ends_in_order(daemon: Daemon, *peers: Peer) -> None:
    stop()
    for peer in peers:
        await peer.hears(FORCED)
        await peer.says((0, ConnectionCloseOk()))
    await daemon.ends()


async def test_what_is_durable_is_there_again(data: dict[str, Any]) -> None:
    async with serving(**data) as daemon:
        assert daemon.events("in_memory") == []
        assert (await daemon.event("listening"))["data"] == data["data_dir"]
        peer = await keep(daemon, b"one", b"two", b"three")
        assert await get(peer) == (b"one", False)
        assert await get(peer) == (b"two", False)
        await peer.says((1, methods.BasicAck(1)))
        await ends_in_order(daemon, peer)
    async with serving(**data) as daemon:
        peer = await daemon.connect()
        assert await get(peer) == (b"two", True)
        assert await get(peer) == (b"three", False)


async def test_what_is_said_last_is_written_too(data: dict[str, Any]) -> None:
    """Nobody waits for an ack, so it is not written at once; but a daemon that stops writes all there is."""
    async with serving(**data) as daemon:
        peer = await keep(daemon, b"one", b"two")
        assert await get(peer) == (b"one", False)
        await peer.says((1, methods.BasicAck(1)))
        await peer.is_in_step()
        await ends_in_order(daemon, peer)
    async with serving(**data) as daemon:
        assert await get(await daemon.connect()) == (b"two", False)


async def test_an_end_of_another_kind_is_like_a_crash(data: dict[str, Any]) -> None:
    """What was confirmed is there, and nobody knows what was handed out."""
    async with serving(**data) as daemon:
        await keep(daemon, b"one")
    assert daemon.events("stopped") == []
    async with serving(**data) as daemon:
        assert await get(await daemon.connect()) == (b"one", True)


async def test_a_directory_in_use_ends_it(data: dict[str, Any]) -> None:
    async with serving(**data):
        with pytest.raises(StoreUnusable, match=f"in use by another amqpd .process {os.getpid()}."):
            await serve(Settings(port=0, metrics_port=0, **data))


# Definitions ----------------------------------------------------------------------------------------------------------


def define(path: Path, *queues: str, **more: object) -> dict[str, Any]:
    """Write definitions of these queues; the settings of a daemon that has them."""
    path.write_text(json.dumps({"queues": [{"name": queue, "vhost": "/"} for queue in queues], **more}))
    return {"definitions": str(path)}


async def test_definitions_are_there_from_the_start(tmp_path: Path) -> None:
    users = [{"name": "alice", "password": "s3cret", "tags": ""}]
    permissions = [{"user": "alice", "vhost": "/", "configure": "", "write": ".*", "read": ".*"}]
    parameters = [{"component": "shovel", "vhost": "/", "name": "s", "value": {}}]
    stream = {"name": "log", "vhost": "/", "arguments": {"x-queue-type": "stream"}}
    file = tmp_path / "dump.json"
    content = {"users": users, "permissions": permissions, "parameters": parameters}
    define(file, **content, queues=[{"name": "q", "vhost": "/"}, stream])
    async with serving(definitions=str(file)) as daemon:
        peer = await daemon.visit()
        await peer.logs_in("alice", "s3cret")
        await peer.hear_method(methods.ConnectionTune)
        imported = await daemon.event("definitions_imported")
        assert (imported["file"], imported["changed"]) == (str(file), 3)
        left_out, ignored = await daemon.event("definition_left_out"), await daemon.event("definition_without_effect")
        assert left_out["item"] == "queues[1] 'log' in vhost '/': there are no queues of type stream"
        assert ignored["item"] == "parameters[0] 's' in vhost '/': a parameter of shovel has no effect"
        assert "s3cret" not in repr(daemon.log)


async def test_definitions_that_are_kept_already_are_not_kept_again(data: dict[str, Any], tmp_path: Path) -> None:
    data |= define(tmp_path / "dump.json", "q")
    for changed in (1, 0):
        async with serving(**data) as daemon:
            assert (await daemon.event("definitions_imported"))["changed"] == changed
            await ends_in_order(daemon)


async def test_wrong_definitions_end_the_start(data: dict[str, Any], tmp_path: Path) -> None:
    async with serving(**data) as daemon:
        await ends_in_order(daemon, await keep(daemon, b"one"))
    settings = Settings(port=0, metrics_port=0, **data, **define(tmp_path / "dump.json", "q" * 256))
    with pytest.raises(DefinitionsUnusable, match="name has more than 255 octets"):
        await serve(settings)
    async with serving(**data) as daemon:
        assert await get(await daemon.connect()) == (b"one", False)


async def test_sighup_reads_the_definitions_again(tmp_path: Path) -> None:
    file = tmp_path / "dump.json"
    async with serving(**define(file, "q")) as daemon:
        peer = await daemon.connect()
        await (await peer.declares("mine")).publishes("mine", b"1", b"2", b"3")
        policy = {"name": "p", "vhost": "/", "pattern": "mine", "definition": {"max-length": 1}}
        define(file, "q", "r", policies=[policy])
        stop(signal.SIGHUP)
        await until(lambda: len(daemon.events("definitions_imported")) == 2)
        for name, ready in (("q", 0), ("r", 0), ("mine", 1)):
            await peer.says((1, QueueDeclare(queue=name, passive=True)))
            await peer.hears((1, QueueDeclareOk(name, ready, 0)))


async def test_sighup_sends_what_follows(tmp_path: Path) -> None:
    """A message that a policy makes expire goes to a consumer of dead letters, and nobody else says a thing."""
    file = tmp_path / "dump.json"
    async with serving(**define(file)) as daemon:
        peer = await daemon.connect()
        await peer.declares("dead")
        await peer.consumes("dead", no_ack=True)
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
        await peer.says((1, QueueDeclare(queue="q", arguments=arguments)))
        await peer.hears((1, QueueDeclareOk("q", 0, 0)))
        await peer.publishes("q", b"1", b"2")
        await peer.is_in_step()
        policy = {"name": "p", "vhost": "/", "pattern": "^q$", "definition": {"max-length": 1}}
        define(file, policies=[policy])
        stop(signal.SIGHUP)
        assert await peer.hear_bodies(1) == [b"1"]


async def test_wrong_definitions_do_no_harm_to_a_daemon_that_runs(tmp_path: Path) -> None:
    file = tmp_path / "dump.json"
    async with serving(close_timeout_s=0.5, **define(file, "q")) as daemon:
        file.write_text("{")
        stop(signal.SIGHUP)
        [problem] = (await daemon.event("definitions_unusable"))["problems"]
        assert problem.startswith(f"{file} is not JSON")
        await (await daemon.connect()).is_in_step()
        stop()
        await daemon.ends()


async def test_sighup_is_nothing_to_hurry_for(tmp_path: Path) -> None:
    async with serving(close_timeout_s=3600, **define(tmp_path / "dump.json")) as daemon:
        mute = await daemon.connect()
        stop()
        await mute.hears(FORCED)
        stop(signal.SIGHUP)
        await anyio.sleep(0.05)
        assert not daemon.stopped.is_set()
        stop()
        await mute.hears(END)
        await daemon.ends()


# Time -----------------------------------------------------------------------------------------------------------------


async def test_what_expires_goes_on_its_way_by_itself() -> None:
    async with serving() as daemon:
        peer = await daemon.connect()
        await peer.declares("dead")
        await peer.consumes("dead", no_ack=True)
        arguments = {"x-message-ttl": 20, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
        await peer.says((1, QueueDeclare(queue="q", arguments=arguments)))
        await peer.hears((1, QueueDeclareOk("q", 0, 0)))
        await peer.publishes("q", b"1")
        assert await peer.hear_bodies(1) == [b"1"]


# The ticker -----------------------------------------------------------------------------------------------------------


async def test_heartbeats_come_by_themselves() -> None:
    async with serving() as daemon:
        peer = await daemon.connect(heartbeat=1)
        await peer.hears(HEARTBEAT, HEARTBEAT)


async def test_a_handshake_has_its_time() -> None:
    async with serving(handshake_timeout_s=0.1) as daemon:
        await (await daemon.visit()).hears(END)
        closed = await daemon.event("connection_closed")
        assert closed["reason"] == "timeout: no handshake"


# What it logs ---------------------------------------------------------------------------------------------------------


def ours(peer: Peer, daemon: Daemon) -> str:
    return f"{shown(peer.socket.getsockname())} -> {shown(daemon.address)}"


async def test_who_comes_and_goes() -> None:
    async with serving() as daemon:
        peer = await daemon.visit()
        await peer.says(PROTOCOL_HEADER)
        await peer.hear_method(methods.ConnectionStart)
        properties = {"product": "Client", "version": "1.2", "connection_name": "orders", "platform": "not told"}
        await peer.says(
            (0, methods.ConnectionStartOk(properties, "PLAIN", b"\0guest\0guest")),
            (0, methods.ConnectionTuneOk(2047, 131072, 0)),
            (0, methods.ConnectionOpen()),
        )
        who = {
            "connection": ours(peer, daemon),
            "log_level": "info",
            "user": "guest",
            "vhost": "/",
            "product": "Client",
            "product_version": "1.2",
            "connection_name": "orders",
        }
        assert await daemon.event("connection_opened") == who | {"event": "connection_opened", "mechanism": "PLAIN"}
        await peer.says((0, ConnectionClose(200, "good bye")))
        assert await daemon.event("connection_closed") == who | {
            "event": "connection_closed",
            "reason": "closed by the client: 200 good bye",
        }


async def closes(peer: Peer) -> None:
    await peer.says((0, ConnectionClose(200, "bye")))


async def vanishes(peer: Peer) -> None:
    peer.socket.close()


async def talks_nonsense(peer: Peer) -> None:
    await peer.says(b"GET / HTTP/1.1\r\n\r\n")
    assert isinstance(await peer.hear_method(ConnectionClose), ConnectionClose)
    peer.socket.close()


async def stops(peer: Peer) -> None:
    stop()
    await peer.hears(FORCED)
    await peer.says((0, ConnectionCloseOk()))


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (closes, "closed by the client: 200 bye"),
        (vanishes, "closed by the peer without connection.close"),
        (talks_nonsense, "501 FRAME_ERROR - type 71, all octets = <<>>: {frame_too_large,"),
        (stops, "320 CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"),
    ],
)
async def test_why_a_connection_ended(end: Callable[[Peer], Any], reason: str) -> None:
    async with serving() as daemon:
        await end(await daemon.connect())
        assert (await daemon.event("connection_closed"))["reason"].startswith(reason)


async def test_who_speaks_another_protocol() -> None:
    async with serving() as daemon:
        peer = await daemon.visit()
        await peer.says(b"GET / HTTP/1.1\r\n\r\n")
        await peer.hears(PROTOCOL_HEADER, END)
        closed = await daemon.event("connection_closed")
        assert closed["reason"] == "bad protocol header b'GET / HT'"
        assert closed["log_level"] == "info"


async def says_nothing(_: Peer) -> None:
    pass


async def says_hello(peer: Peer) -> None:
    await peer.says(PROTOCOL_HEADER)
    await peer.hear_method(methods.ConnectionStart)


@pytest.mark.parametrize("check", [says_nothing, says_hello])
async def test_a_health_check_is_no_news(check: Callable[[Peer], Any]) -> None:
    async with serving() as daemon:
        peer = await daemon.visit()
        await check(peer)
        peer.socket.close()
        closed = await daemon.event("connection_closed")
        assert closed["log_level"] == "debug"
        assert closed["reason"] == "closed by the peer without connection.close"


@pytest.mark.parametrize("user", ["guest", "nobody"])
async def test_a_login_that_fails_is_told_with_its_reason_and_without_its_password(user: str) -> None:
    async with serving() as daemon:
        peer = await daemon.visit()
        await peer.logs_in(user, "s3cret", authentication_failure_close=True)
        close = await peer.hear_method(ConnectionClose)
        assert close.reply_code == 403
        failed = await daemon.event("authentication_failed")
        assert failed["user"] == user
        assert failed["log_level"] == "warning"
        assert failed["reason"] not in ("", "None")
        assert failed["reason"] not in close.reply_text
        await peer.says((0, ConnectionCloseOk()))
        await daemon.event("connection_closed")
        assert "s3cret" not in repr(daemon.log)


async def test_a_channel_error() -> None:
    async with serving() as daemon:
        peer = await daemon.connect()
        await peer.says((1, QueueDeclare(queue="q", passive=True)))
        assert await daemon.event("channel_error") == {
            "event": "channel_error",
            "log_level": "warning",
            "connection": ours(peer, daemon),
            "user": "guest",
            "vhost": "/",
            "channel": 1,
            "code": 404,
            "text": "NOT_FOUND - no queue 'q' in vhost '/'",
        }


async def test_a_connection_error() -> None:
    async with serving() as daemon:
        peer = await daemon.connect()
        await peer.says((1, methods.ChannelOpen()))
        assert await daemon.event("connection_error") == {
            "event": "connection_error",
            "log_level": "warning",
            "connection": ours(peer, daemon),
            "user": "guest",
            "vhost": "/",
            "code": 504,
            "text": "CHANNEL_ERROR - second 'channel.open' seen",
        }


async def test_nothing_is_logged_for_a_message() -> None:
    async with serving() as daemon:
        peer, consumer = await daemon.connect(), await daemon.connect()
        await consumer.declares("q")
        await consumer.consumes("q")
        await peer.says((1, ConfirmSelect()))
        await peer.hears((1, ConfirmSelectOk()))
        said = len(daemon.log)
        await peer.publishes("q", *[b"message"] * 1000)
        assert await consumer.hear_bodies(1000) == [b"message"] * 1000
        await consumer.says((1, methods.BasicNack(500, multiple=True, requeue=True)), (1, methods.BasicAck(501)))
        assert await consumer.hear_bodies(500) == [b"message"] * 500
        await peer.says((1, BasicPublish(routing_key="nowhere", mandatory=True), b"message"))
        while len(await peer.hear()) < 3:  # confirms, and the return after them
            pass
        assert daemon.log[said:] == []


async def test_a_daemon_that_is_cancelled_lets_its_sockets_go() -> None:
    with structlog.testing.capture_logs():
        async with anyio.create_task_group() as tasks:
            port = await tasks.start(serve, Settings(port=0, metrics_port=0, in_memory=True))
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                await stream.send(PROTOCOL_HEADER)
                await stream.receive()
                tasks.cancel_scope.cancel()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
