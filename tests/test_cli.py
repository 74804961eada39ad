"""The command as a user types it. The daemon itself has its own tests: here it only notes the settings it was given."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner, Result

import amqpd
from amqpd.broker.definitions import DefinitionsUnusable
from amqpd.cli import main
from amqpd.config import SETTINGS, Settings
from tests.store.running import running

pytestmark = pytest.mark.usefixtures("log_put_back")


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No amqpd.toml lies about, and no variable of whoever runs the tests has a say."""
    monkeypatch.chdir(tmp_path)
    for variable in list(os.environ):
        if variable.startswith("AMQPD_"):
            monkeypatch.delenv(variable)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Puts a daemon in place that comes back at once; the settings it was started with."""
    started: list[Settings] = []
    put_in_place(monkeypatch, started.append)
    return started


def put_in_place(monkeypatch: pytest.MonkeyPatch, run: Callable[[Settings], None]) -> None:
    """A daemon that does this."""
    daemon = ModuleType("amqpd.server.daemon")
    daemon.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "amqpd.server.daemon", daemon)
    monkeypatch.setattr("amqpd.server.daemon", daemon, raising=False)


def run(*arguments: str, environment: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, arguments, env=environment, prog_name="amqpd")


def test_bare_it_lists_its_commands() -> None:
    assert {"serve", "ping", "store", "definitions"} <= set(run().output.split())
    assert {"export", "import"} <= set(run("definitions").output.split())
    assert {"check", "compact", "export", "backup"} <= set(run("store").output.split())


def test_serve_starts_the_daemon_with_the_defaults(started: list[Settings]) -> None:
    assert run("serve").exit_code == 0
    assert started == [Settings()]


def test_options_are_settings(started: list[Settings]) -> None:
    run("serve", "--host", "::1", "--port", "0", "--metrics-port=1", "--in-memory", "--log-format", "json")
    assert started == [Settings(host="::1", port=0, metrics_port=1, in_memory=True, log_format="json")]


def test_variables_are_settings_and_options_go_before_them(started: list[Settings]) -> None:
    run("serve", "--port", "1", environment={"AMQPD_PORT": "2", "AMQPD_LOOPBACK_USERS": "none"})
    assert started == [Settings(port=1, loopback_users=())]


def test_what_is_on_can_be_switched_off(started: list[Settings]) -> None:
    run("serve", "--no-message-times", "--no-in-memory", environment={"AMQPD_IN_MEMORY": "true"})
    assert started == [Settings(message_times=False, in_memory=False)]


def test_the_file_has_settings(started: list[Settings], tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text('heartbeat_s = 5\nlog_format = "json"')
    result = run("serve", "--config", str(file))
    assert started == [Settings(heartbeat_s=5, log_format="json")]
    event = json.loads(result.stderr)
    assert (event["event"], event["file"]) == ("configuration_read", str(file))


def test_a_variable_that_means_nothing_is_a_warning(started: list[Settings]) -> None:
    result = run("serve", "--log-format", "json", environment={"AMQPD_PROT": "1"})
    assert len(started) == 1
    event = json.loads(result.stderr)
    assert event["level"] == "warning"
    assert event["reason"] == "environment variable AMQPD_PROT is not a setting; did you mean AMQPD_PORT?"


def test_wrong_settings_end_the_command_with_2_and_a_line_each(started: list[Settings]) -> None:
    result = run("serve", "--port", "70000", environment={"AMQPD_LOG_FORMAT": "xml"})
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "Error: the settings cannot be used:",
        "log_format: 'xml' (environment variable AMQPD_LOG_FORMAT) is not one of console, json",
        "port: '70000' (option --port) is not a whole number from 0 to 65535",
    ]
    assert started == []


@pytest.mark.parametrize("arguments", [["--prot", "1"], ["extra"], ["--port"]])
def test_what_is_no_option_is_refused(started: list[Settings], arguments: list[str]) -> None:
    assert run("serve", *arguments).exit_code == 2
    assert started == []


@pytest.mark.parametrize("key", [key for key, setting in SETTINGS.items() if not setting.secret])
def test_help_explains_each_setting(key: str) -> None:
    setting = SETTINGS[key]
    text = " ".join(run("serve", "--help").output.split())
    assert f"{setting.option} " in text
    assert setting.description in text
    assert f"[{setting.variable}; default: " in text


# The store's tools. What they do has tests of its own -----------------------------------------------------------------


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The default data directory, with a queue "orders" that has two messages."""
    directory = tmp_path / "amqpd-data"
    with running(directory) as peer:
        peer.declare("orders")
        peer.keep("orders", b"one", b"two")
    return directory


@pytest.mark.parametrize("command", ["check", "compact", "export", "backup"])
def test_tools_find_the_directory_as_the_broker_does(kept: Path, tmp_path: Path, command: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    kept.rename(elsewhere)
    (tmp_path / "amqpd.toml").write_text('data_dir = "elsewhere"')
    arguments = {"export": ["--queue", "orders"], "backup": ["copy"]}.get(command, [])
    assert run("store", command, *arguments).exit_code == 0
    wrong = run("store", command, *arguments, environment={"AMQPD_DATA_DIR": "nowhere"})
    assert wrong.exit_code == 1
    assert "data directory nowhere: there is no store.mdb in it" in wrong.output
    arguments = {"backup": ["another copy"]}.get(command, arguments)
    right = run("store", command, *arguments, "--data-dir", "elsewhere", environment={"AMQPD_DATA_DIR": "nowhere"})
    assert right.exit_code == 0


def test_a_tool_refuses_wrong_settings(kept: Path) -> None:
    assert run("store", "check", "--data-dir", "").exit_code == 2


def test_check_tells_what_is_there(kept: Path) -> None:
    result = run("store", "check")
    assert result.exit_code == 0
    assert "queue 'orders' in vhost '/': 2 messages with 6 octets\n" in result.stdout


def test_check_ends_with_1_if_something_is_wrong(kept: Path) -> None:
    file = kept / "store.mdb"
    file.write_bytes(file.read_bytes().replace(b"two", b"tow"))
    result = run("store", "check")
    assert result.exit_code == 1
    assert "problem: queue 'orders' in vhost '/', position 1: wrong checksum" in result.stdout
    assert result.stdout.endswith("1 problem\n")


def test_compact_tells_sizes(kept: Path) -> None:
    before = (kept / "store.mdb").stat().st_size
    result = run("store", "compact")
    after = (kept / "store.mdb").stat().st_size
    assert result.stdout == f"amqpd-data: {before:,} octets before, {after:,} octets after\n"


def test_export_prints_a_line_for_each_message(kept: Path) -> None:
    result = run("store", "export", "--queue", "orders", "--vhost", "/")
    assert [json.loads(line)["body"] for line in result.stdout.splitlines()] == ["one", "two"]


def test_export_of_what_is_not_there(kept: Path) -> None:
    result = run("store", "export", "--queue", "ordrs")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == "Error: there is no durable queue 'ordrs' in vhost '/'; did you mean 'orders'?\n"
    assert run("store", "export").exit_code == 2


def test_export_of_what_cannot_be_read(kept: Path) -> None:
    file = kept / "store.mdb"
    file.write_bytes(file.read_bytes().replace(b"two", b"tow"))
    result = run("store", "export", "--queue", "orders")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == "damaged: wrong checksum: queue id 1, position 1, piece 0\n"


def test_backup_makes_a_directory_to_start_with(kept: Path, tmp_path: Path) -> None:
    result = run("store", "backup", "copy")
    assert result.stdout == f"copy: {(tmp_path / 'copy' / 'store.mdb').stat().st_size:,} octets\n"
    assert run("store", "export", "--queue", "orders", "--data-dir", "copy").stdout.count("\n") == 2
    again = run("store", "backup", "copy")
    assert again.exit_code == 1
    assert again.stderr.startswith("Error: copy: not empty")


# Definitions. What is in them has tests of its own --------------------------------------------------------------------


def wrong_definitions(_: Settings) -> None:
    raise DefinitionsUnusable(["queues[0] 'q': has no vhost", "queues[1] 'r': has no vhost"])


def test_definitions_that_cannot_be_imported_end_serve_with_a_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    put_in_place(monkeypatch, wrong_definitions)
    result = run("serve", "--definitions", "file.json")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "Error: the definitions cannot be imported:",
        "queues[0] 'q': has no vhost",
        "queues[1] 'r': has no vhost",
    ]


def test_a_log_for_machines_has_that_as_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    put_in_place(monkeypatch, wrong_definitions)
    result = run("serve", "--definitions", "file.json", "--log-format", "json")
    assert result.exit_code == 1
    [line] = result.stderr.splitlines()
    event = json.loads(line)
    assert (event["level"], event["event"]) == ("error", "not_started")
    assert event["reason"].splitlines()[1] == "queues[0] 'q': has no vhost"


def a_bug(_: Settings) -> None:
    raise ZeroDivisionError("a bug")


def test_a_bug_ends_serve_with_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    put_in_place(monkeypatch, a_bug)
    result = run("serve", "--log-format", "json")
    assert result.exit_code == 1
    [line] = result.stderr.splitlines()
    event = json.loads(line)
    assert (event["level"], event["event"]) == ("error", "internal_error")
    assert event["exception"].endswith("ZeroDivisionError: a bug")


def test_help_tells_about_sighup() -> None:
    assert "SIGHUP reads the file of --definitions again" in run("serve", "--help").output


def test_definitions_are_printed_or_written(kept: Path, tmp_path: Path) -> None:
    printed = run("definitions", "export")
    assert [queue["name"] for queue in json.loads(printed.stdout)["queues"]] == ["orders"]
    assert run("definitions", "export", "dump.json").stdout == ""
    file = tmp_path / "dump.json"
    assert file.read_text() == printed.stdout
    assert file.stat().st_mode & 0o777 == 0o600  # there are hashes of passwords in it
    file.chmod(0o644)
    assert run("definitions", "export", "dump.json").exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    vhost = json.loads(run("definitions", "export", "--vhost", "/").stdout)
    assert vhost["queues"][0].keys() == {"name", "durable", "auto_delete", "type", "arguments"}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--vhost", "nope"], "data directory amqpd-data: there is no vhost 'nope' in it"),
        (["--data-dir", "nowhere"], "data directory nowhere: there is no store.mdb in it"),
        (["no/where.json"], "no/where.json: No such file or directory"),
    ],
)
def test_definitions_that_cannot_be_exported(kept: Path, arguments: list[str], error: str) -> None:
    result = run("definitions", "export", *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {error}")


def test_definitions_are_imported_where_there_is_nothing_yet(kept: Path, tmp_path: Path) -> None:
    run("definitions", "export", "dump.json")
    result = run("definitions", "import", "dump.json", "--data-dir", "new")
    assert (result.exit_code, result.stdout) == (0, "new: 1 changes\n")
    assert json.loads(run("definitions", "export", "--data-dir", "new").stdout)["queues"][0]["name"] == "orders"
    again = run("definitions", "import", "dump.json", "--data-dir", "new")
    assert (again.exit_code, again.stdout) == (0, "new: 0 changes\n")


def test_messages_are_there_when_definitions_have_come_in(kept: Path, tmp_path: Path) -> None:
    (tmp_path / "more.json").write_text('{"queues": [{"name": "more", "vhost": "/"}]}')
    assert run("definitions", "import", "more.json").exit_code == 0
    assert run("store", "check").exit_code == 0
    assert run("store", "export", "--queue", "orders").stdout.count("\n") == 2


def test_what_is_left_out_is_told_with_exit_code_3(tmp_path: Path) -> None:
    arguments = {"x-queue-type": "stream"}
    queues = [{"name": "log", "vhost": "/", "arguments": arguments}, {"name": "q", "vhost": "/"}]
    parameters = [{"component": "shovel", "vhost": "/", "name": "s", "value": {}}]
    (tmp_path / "dump.json").write_text(json.dumps({"queues": queues, "parameters": parameters}))
    result = run("definitions", "import", "dump.json")
    assert result.exit_code == 3
    assert result.stdout == "amqpd-data: 1 changes\n"
    assert result.stderr.splitlines() == [
        "left out: queues[0] 'log' in vhost '/': there are no queues of type stream",
        "without effect: parameters[0] 's' in vhost '/': a parameter of shovel has no effect",
    ]


def test_wrong_definitions_change_nothing(kept: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.json").write_text('{"queues": [{"name": "q", "vhost": "/"}, {"name": "r"}]}')
    before = run("definitions", "export").stdout
    result = run("definitions", "import", "wrong.json")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == "Error: the definitions cannot be imported:"
    assert result.stderr.splitlines()[1].startswith("queues[1] 'r': names no vhost")
    assert run("definitions", "export").stdout == before
    assert run("store", "export", "--queue", "orders").stdout.count("\n") == 2


def test_beside_a_broker_definitions_are_exported_and_not_imported(tmp_path: Path) -> None:
    (tmp_path / "dump.json").write_text("{}")
    command = [sys.executable, "-m", "amqpd", "definitions"]
    environment = os.environ | {"PYTHONPATH": str(Path(amqpd.__file__).parents[1])}
    with running(tmp_path / "amqpd-data") as peer:
        peer.declare("orders")
        peer.write()
        exported = subprocess.run([*command, "export"], env=environment, capture_output=True, text=True, check=True)
        result = run("definitions", "import", "dump.json")
    assert [queue["name"] for queue in json.loads(exported.stdout)["queues"]] == ["orders"]
    assert result.exit_code == 1
    assert "in use by another amqpd" in result.stderr


# The rest -------------------------------------------------------------------------------------------------------------


def test_the_password_is_no_option() -> None:
    assert "--default-pass" not in run("serve", "--help").output


def test_python_m_amqpd_is_the_same_command() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "amqpd", "--version"],
        cwd=Path(amqpd.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == run("--version").output
