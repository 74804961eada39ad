import socket
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import pytest

from amqpd.amqp.limits import Limits
from amqpd.config import SETTINGS, ConfigError, Settings, load


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in an empty directory of its own, as there may be an amqpd.toml elsewhere."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problems(options: dict[str, str | bool] | None = None, environment: dict[str, str] | None = None) -> list[str]:
    """What is wrong with the settings; fails when nothing is."""
    with pytest.raises(ConfigError) as refusal:
        load(options or {}, environment or {})
    return refusal.value.problems


def write(path: Path, content: str) -> Path:
    path.write_text(content, "utf-8")
    return path


def test_without_any_source_there_are_the_defaults() -> None:
    configuration = load({}, {"PATH": "/bin"})
    assert configuration.settings == Settings()
    assert configuration.file is None
    assert configuration.warnings == ()


def test_the_defaults_are_safe_and_usual() -> None:
    settings = Settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 5672)
    assert (settings.metrics_host, settings.metrics_port) == ("127.0.0.1", 15692)
    assert (settings.default_user, settings.default_pass, settings.loopback_users) == ("guest", "guest", ("guest",))
    assert (settings.data_dir, settings.in_memory, settings.definitions) == ("amqpd-data", False, "")
    assert (settings.memory_high_watermark, settings.disk_free_limit) == (0.6, 50_000_000)
    assert settings.log_format == "console"
    assert (settings.metrics_prefix, settings.message_times) == ("amqpd", True)
    assert settings.limits() == Limits()


def test_the_node_is_called_as_its_host_without_the_domain() -> None:
    host = socket.gethostname().partition(".")[0]
    assert (Settings().node_name, Settings().cluster_name) == (f"amqpd@{host}", "")


def test_the_stronger_source_wins(directory: Path) -> None:
    write(directory / "amqpd.toml", 'port = 1\nchannel_max = 1\nheartbeat_s = 1\nlog_level = "error"')
    environment = {"AMQPD_PORT": "2", "AMQPD_CHANNEL_MAX": "2"}
    settings = load({"port": "3"}, environment).settings
    assert settings.port == 3
    assert settings.channel_max == 2
    assert settings.heartbeat_s == 1
    assert settings.log_level == "error"
    assert settings.frame_max == Limits().frame_max


@pytest.mark.parametrize("field", [field.name for field in fields(Limits)])
def test_every_limit_of_a_connection_can_be_set(field: str) -> None:
    value = getattr(Limits(), field) // 2
    assert getattr(load({field: str(value)}, {}).settings.limits(), field) == value


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("port", "0", 0),
        ("handshake_timeout_s", "2.5", 2.5),
        ("handshake_timeout_s", "3", 3.0),
        ("log_format", "json", "json"),
        ("in_memory", "true", True),
        ("in_memory", "1", True),
        ("message_times", "false", False),
        ("metrics_prefix", "rabbitmq", "rabbitmq"),
        ("cluster_name", "", ""),
        ("default_pass", "5", "5"),
        ("definitions", "dump.json", "dump.json"),
        ("definitions", "", ""),
        ("loopback_users", "guest, alice", ("guest", "alice")),
        ("loopback_users", "none", ()),
        ("memory_high_watermark", "0", 0.0),
        ("memory_high_watermark", "0.4", 0.4),
        ("memory_high_watermark", "2000000000", 2e9),
        ("disk_free_limit", "0", 0),
    ],
)
def test_text_is_read_as_the_type_of_the_setting(key: str, text: str, value: Any) -> None:
    assert getattr(load({key: text}, {}).settings, key) == value
    assert getattr(load({}, {"AMQPD_" + key.upper(): text}).settings, key) == value


def test_the_file_has_types(directory: Path) -> None:
    write(directory / "amqpd.toml", "port = 0\nhandshake_timeout_s = 3\nin_memory = true\nloopback_users = []")
    settings = load({}, {}).settings
    assert settings.port == 0
    assert settings.handshake_timeout_s == 3.0
    assert settings.loopback_users == ()


@pytest.mark.parametrize(
    ("key", "text", "allowed"),
    [
        ("port", "70000", "a whole number from 0 to 65535"),
        ("port", "-1", "a whole number from 0 to 65535"),
        ("port", "amqp", "a whole number from 0 to 65535"),
        ("port", "9" * 5000, "a whole number from 0 to 65535"),
        ("port", "", "a whole number from 0 to 65535"),
        ("frame_max", "4095", "a whole number from 4096 to 16777216"),
        ("handshake_timeout_s", "0", "a number above 0, up to 3600"),
        ("handshake_timeout_s", "nan", "a number above 0, up to 3600"),
        ("handshake_timeout_s", "inf", "a number above 0, up to 3600"),
        ("memory_high_watermark", "-0.1", "a number from 0 to 1e+15"),
        ("memory_high_watermark", "nan", "a number from 0 to 1e+15"),
        ("memory_high_watermark", "inf", "a number from 0 to 1e+15"),
        ("disk_free_limit", "-1", "a whole number from 0 to 1000000000000000"),
        ("disk_free_limit", "1GB", "a whole number from 0 to 1000000000000000"),
        ("log_format", "xml", "one of console, json"),
        ("metrics_prefix", "amqpd_", "one of amqpd, rabbitmq"),
        ("node_name", "", "a text of 1 to 255 characters"),
        ("cluster_name", "x" * 256, "a text of up to 255 characters"),
        ("in_memory", "perhaps", "true or false"),
        ("host", "", "a text that is not empty"),
        ("default_user", "x" * 256, "a text of 1 to 255 characters"),
        (
            "loopback_users",
            "",  # not the empty list: a variable that is empty by accident must not let guest in from everywhere
            "a list, each a text of 1 to 255 characters (on one line: with commas between, or the word none)",
        ),
    ],
)
def test_a_wrong_value_is_told_with_its_key_its_origin_and_what_is_allowed(key: str, text: str, allowed: str) -> None:
    option = "--" + key.replace("_", "-")
    variable = "AMQPD_" + key.upper()
    assert problems({key: text}) == [f"{key}: {text!r} (option {option}) is not {allowed}"]
    assert problems({}, {variable: text}) == [f"{key}: {text!r} (environment variable {variable}) is not {allowed}"]


@pytest.mark.parametrize(
    "line", ['port = "5672"', "port = true", "port = 5672.0", "port = 70000", "port = [1]", "port = 1" + 30 * "0"]
)
def test_a_wrong_value_in_the_file_is_told_with_the_file(directory: Path, line: str) -> None:
    write(directory / "amqpd.toml", line)
    [problem] = problems()
    assert problem.startswith("port: ")
    assert problem.endswith(" (file amqpd.toml) is not a whole number from 0 to 65535")


def test_a_wrong_password_is_not_shown(directory: Path) -> None:
    write(directory / "amqpd.toml", "default_pass = 271828")
    assert problems() == ["default_pass: what was given (file amqpd.toml) is not a text that is not empty"]


def test_everything_that_is_wrong_is_told_at_once(directory: Path) -> None:
    write(directory / "amqpd.toml", "port = -1")
    found = problems({"log_level": "loud"}, {"AMQPD_PORT": "x", "AMQPD_FRAME_MAX": "1"})
    assert [problem.split(")")[0] for problem in found] == [
        "port: -1 (file amqpd.toml",
        "port: 'x' (environment variable AMQPD_PORT",
        "frame_max: '1' (environment variable AMQPD_FRAME_MAX",
        "log_level: 'loud' (option --log-level",
    ]


def test_an_unknown_key_in_the_file_is_an_error_that_names_the_nearest(directory: Path) -> None:
    write(directory / "amqpd.toml", "metrics_prot = 1\n[server]\nport = 1")
    assert problems() == [
        "metrics_prot (file amqpd.toml) is not a setting; did you mean metrics_port?",
        "server (file amqpd.toml) is not a setting",
    ]


def test_an_unknown_variable_is_worth_a_warning() -> None:
    configuration = load({}, {"AMQPD_PROT": "1", "AMQPD_SOMETHING_ELSE_ALTOGETHER": "1", "OTHER_PORT": "1"})
    assert configuration.settings == Settings()
    assert configuration.warnings == (
        "environment variable AMQPD_PROT is not a setting; did you mean AMQPD_PORT?",
        "environment variable AMQPD_SOMETHING_ELSE_ALTOGETHER is not a setting",
    )


def test_the_file_on_the_command_line_is_before_the_variable_and_that_before_the_usual_one(directory: Path) -> None:
    write(directory / "amqpd.toml", "port = 1")
    named = str(write(directory / "named.toml", "port = 2"))
    option = str(write(directory / "option.toml", "port = 3"))
    assert load({}, {}).settings.port == 1
    assert load({}, {"AMQPD_CONFIG": named}).settings.port == 2
    configuration = load({}, {"AMQPD_CONFIG": named}, option)
    assert configuration.settings.port == 3
    assert configuration.file == Path(option)


def test_a_file_that_was_named_must_be_there(directory: Path) -> None:
    missing = str(directory / "missing.toml")
    with pytest.raises(ConfigError) as refusal:
        load({}, {}, missing)
    assert refusal.value.problems == [f"file {missing} cannot be read: No such file or directory"]


@pytest.mark.parametrize("content", [b"port: 5672", b"host = '\xff'"])
def test_a_file_must_be_toml(directory: Path, content: bytes) -> None:
    (directory / "amqpd.toml").write_bytes(content)
    [problem] = problems()
    assert problem.startswith("file amqpd.toml is not valid TOML: ")


def test_limits_that_contradict_each_other_are_told() -> None:
    [problem] = problems({"outbound_high_water": "10000"}, {"AMQPD_OUTBOUND_LIMIT": "9999"})
    assert problem == (
        "outbound_limit: 9999 (environment variable AMQPD_OUTBOUND_LIMIT) is below "
        "outbound_high_water: 10000 (option --outbound-high-water)"
    )


@pytest.mark.parametrize("key", SETTINGS)
def test_each_default_is_allowed_and_explained(key: str) -> None:
    setting = SETTINGS[key]
    assert msgspec.convert(setting.default, setting.type) == setting.default
    assert setting.description
    assert setting.allowed
