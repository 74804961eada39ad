"""The command as a user types it. The daemon itself has its own tests: here it only notes the settings it was given."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner, Result

import amqpd
from amqpd.cli import main
from amqpd.config import SETTINGS, Settings

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
    daemon = ModuleType("amqpd.server.daemon")
    daemon.run = started.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "amqpd.server.daemon", daemon)
    monkeypatch.setattr("amqpd.server.daemon", daemon, raising=False)
    return started


def run(*arguments: str, environment: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, arguments, env=environment, prog_name="amqpd")


def test_version() -> None:
    assert run("--version").output == f"amqpd {amqpd.__version__}\n"


def test_bare_it_lists_its_commands() -> None:
    assert "serve" in run().output


def test_serve_starts_the_daemon_with_the_defaults(started: list[Settings]) -> None:
    assert run("serve").exit_code == 0
    assert started == [Settings()]


def test_options_are_settings(started: list[Settings]) -> None:
    run("serve", "--host", "::1", "--port", "0", "--metrics-port=1", "--in-memory", "--log-format", "json")
    assert started == [Settings(host="::1", port=0, metrics_port=1, in_memory=True, log_format="json")]


def test_variables_are_settings_and_options_go_before_them(started: list[Settings]) -> None:
    run("serve", "--port", "1", environment={"AMQPD_PORT": "2", "AMQPD_LOOPBACK_USERS": "none"})
    assert started == [Settings(port=1, loopback_users=())]


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
    assert result.stdout == f"amqpd {amqpd.__version__}\n"
