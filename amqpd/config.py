"""Every setting of the daemon, declared once, and where its value comes from.

``Settings`` is the one table: a field's name, type, range, description and default make the command line option
``--metrics-port``, the environment variable ``AMQPD_METRICS_PORT`` and the key ``metrics_port`` of the TOML file, and
the texts of the help and of the errors. Nothing about a single setting stands anywhere else.

``load`` asks four sources, the strongest first: command line, environment, file, default. A wrong value that a stronger
source hides today is an accident tomorrow, so every source is checked whole, and all that is wrong is told at once.
What is text (command line, environment) is read leniently ("5672" is a number), the file strictly: TOML has types.

The limits of a connection take their defaults from ``amqpd.amqp.limits``. This module knows no logging and no command
line; it reads one file and nothing else.
"""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec import inspect as types

from amqpd.amqp.limits import Limits

ENVIRONMENT_PREFIX = "AMQPD_"
CONFIG_FILE = "amqpd.toml"
"""Read from the working directory when neither ``--config`` nor ``AMQPD_CONFIG`` names a file, and it is there."""

CONFIG_VARIABLE = "AMQPD_CONFIG"

LIMITS = Limits()
SECRET = {"secret": True}
"""Marks a setting that is no command line option (every user of the machine can read those) and is never shown."""

Text = Annotated[str, Meta(min_length=1)]
FileName = Annotated[str, Meta(min_length=0)]  # empty: none
NameOrNone = Annotated[str, Meta(min_length=0, max_length=255)]  # empty: another one in its place
Name = Annotated[str, Meta(min_length=1, max_length=255)]  # a short string of AMQP: one octet of length
Port = Annotated[int, Meta(ge=0, le=65535)]
Short = Annotated[int, Meta(ge=0, le=65535)]  # two octets in connection.tune
Seconds = Annotated[float, Meta(gt=0, le=3600)]
Microseconds = Annotated[int, Meta(ge=0, le=10_000)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
FrameSize = Annotated[int, Meta(ge=4096, le=16_777_216)]  # the specification's frame-min-size is the least
MessageSize = Annotated[int, Meta(ge=0, le=536_870_912)]  # RabbitMQ allows no more either
BufferSize = Annotated[int, Meta(ge=4096, le=1_073_741_824)]
Watermark = Annotated[float, Meta(ge=0, le=1e15)]
DiskSize = Annotated[int, Meta(ge=0, le=1_000_000_000_000_000)]
LogFormat = Literal["console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
MetricsPrefix = Literal["amqpd", "rabbitmq"]


class Settings(Struct, frozen=True, kw_only=True):
    """All settings of one daemon. Sizes in octets, times in seconds; a description gives the reason of its default."""

    host: Annotated[Text, Meta(description="address to listen on")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="port for AMQP; 0 takes a free one")] = 5672
    metrics_host: Annotated[Text, Meta(description="address of /metrics and /health, which ask for no password")] = (
        "127.0.0.1"
    )
    metrics_port: Annotated[
        Port, Meta(description="port of /metrics and /health, as RabbitMQ's; 0 takes a free one")
    ] = 15692
    data_dir: Annotated[
        Text, Meta(description="directory of what is durable, made if it is not there; one broker to a directory")
    ] = "amqpd-data"
    in_memory: Annotated[
        bool, Meta(description="keep everything in memory, and nothing in data_dir: nothing survives a restart")
    ] = False
    definitions: Annotated[
        FileName,
        Meta(
            description="JSON file as RabbitMQ exports it: users, vhosts, permissions, policies, queues, exchanges and "
            "bindings that there are from the start; read again on SIGHUP"
        ),
    ] = ""

    metrics_prefix: Annotated[
        MetricsPrefix,
        Meta(description="beginning of all names of metrics but python_*; rabbitmq is for dashboards made for that"),
    ] = "amqpd"
    node_name: Annotated[
        Name, Meta(description="name of this broker in the metrics (label node): NAME@HOST, as in RabbitMQ")
    ] = f"amqpd@{os.uname().nodename.partition('.')[0]}"
    cluster_name: Annotated[
        NameOrNone,
        Meta(description="name that brokers which belong together share (label cluster); empty: the node's name"),
    ] = ""
    message_times: Annotated[
        bool,
        Meta(
            description="measure for each queue how long messages wait and how long consumers take to acknowledge; "
            "x-message-times on a queue or message-times in its policy go before this"
        ),
    ] = True

    log_format: Annotated[LogFormat, Meta(description="events for people, or one JSON object a line")] = "console"
    log_level: Annotated[LogLevel, Meta(description="the least that is logged")] = "info"

    default_user: Annotated[Name, Meta(description="the user there is from the start; may do everything")] = "guest"
    default_pass: Annotated[Text, Meta(description="password of the default user", extra=SECRET)] = "guest"
    loopback_users: Annotated[
        tuple[Name, ...], Meta(description="users let in from this machine only: their password is no secret")
    ] = ("guest",)

    memory_high_watermark: Annotated[
        Watermark,
        Meta(
            description="memory in use that blocks publishers: up to 1 a share of all there is (RabbitMQ 4 has it so), "
            "above 1 octets; the rest is page cache for the store, and for what still grows when they are blocked"
        ),
    ] = 0.6
    disk_free_limit: Annotated[
        DiskSize, Meta(description="octets of free disk space below which publishers are blocked, as in RabbitMQ")
    ] = 50_000_000

    connection_max: Annotated[
        Count, Meta(description="connections at one time; each costs a file descriptor and memory")
    ] = 10_000
    channel_max: Annotated[Short, Meta(description="open channels a connection; 0: as many as there are numbers")] = (
        LIMITS.channel_max
    )
    consumers_per_channel_max: Annotated[
        Count, Meta(description="consumers a channel; each costs memory while it lives")
    ] = LIMITS.consumers_per_channel_max
    frame_max: Annotated[
        FrameSize, Meta(description="octets of the largest frame; a half-received one is held in memory")
    ] = LIMITS.frame_max
    message_size_max: Annotated[
        MessageSize, Meta(description="octets of the largest message body; it is held in memory whole")
    ] = LIMITS.message_size_max
    heartbeat_s: Annotated[
        Short, Meta(description="heartbeat proposed; a peer silent for two of them is dropped; 0: none")
    ] = LIMITS.heartbeat_s
    handshake_timeout_s: Annotated[
        Seconds, Meta(description="time to open a connection: a silent peer may not hold a socket for ever")
    ] = LIMITS.handshake_timeout_s
    close_timeout_s: Annotated[
        Seconds, Meta(description="time to answer connection.close before the socket is closed anyway")
    ] = LIMITS.close_timeout_s
    outbound_high_water: Annotated[
        BufferSize, Meta(description="deliveries to a connection pause while so many octets wait to be sent")
    ] = LIMITS.outbound_high_water
    outbound_limit: Annotated[
        BufferSize, Meta(description="a connection is not read while so many octets wait to be sent")
    ] = LIMITS.outbound_limit

    busy_poll_us: Annotated[
        Microseconds,
        Meta(
            description="microseconds to wait awake after a small read, as long as that pays: it shortens round trips "
            "by the time that waking up takes; 0: sleep at once"
        ),
    ] = 100

    def limits(self) -> Limits:
        """The part that each connection is held to."""
        return Limits(**{field.name: getattr(self, field.name) for field in dataclass_fields(Limits)})


class ConfigError(Exception):
    """The settings cannot be used. Each of ``problems`` says which key, from where, what was given, what is allowed."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Configuration:
    """What ``load`` found: the settings, the file they came from if one was read, and what is worth a warning."""

    settings: Settings
    file: Path | None
    warnings: tuple[str, ...]


def _words(kind: types.Type) -> tuple[str, str]:
    """How the help names a value of this type, and what may stand after "is not": one case for each type in use."""
    match kind:
        case types.Metadata(type=inner):
            return _words(inner)
        case types.BoolType():
            return "", "true or false"
        case types.LiteralType(values=values):
            choices = [str(value) for value in values]
            return "|".join(choices), "one of " + ", ".join(choices)
        case types.IntType(ge=least, le=most):
            return "N", f"a whole number from {least} to {most}"
        case types.FloatType(ge=None, le=most):
            return "N", f"a number above 0, up to {most}"
        case types.FloatType(ge=least, le=most):
            return "N", f"a number from {least} to {most:g}"
        case types.VarTupleType(item_type=item):
            name, words = _words(item)
            return f"{name},...", f"a list, each {words} (on one line: with commas between, or the word none)"
        case types.StrType(min_length=0, max_length=None):
            return "FILE", "the name of a file"
        case types.StrType(min_length=0, max_length=int(most)):
            return "NAME", f"a text of up to {most} characters"
        case types.StrType(max_length=int(most)):
            return "NAME", f"a text of 1 to {most} characters"
        case types.StrType():
            return "TEXT", "a text that is not empty"
    raise AssertionError(f"a setting of a type without words: {kind}")


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of ``Settings``, with the names it goes by and the words that errors and help have for it."""

    key: str
    type: Any
    default: Any
    description: str
    metavar: str
    allowed: str
    secret: bool

    @property
    def option(self) -> str:
        return "--" + self.key.replace("_", "-")

    @property
    def opposite(self) -> str:
        """The option that switches off what ``option`` switches on."""
        return "--no-" + self.key.replace("_", "-")

    @property
    def variable(self) -> str:
        return ENVIRONMENT_PREFIX + self.key.upper()

    @property
    def is_flag(self) -> bool:
        return isinstance(self.default, bool)

    def read(self, value: Any, origin: str, text: bool) -> Any:
        """The value as the setting's own type.

        ``text`` says that it comes from where there is only text, so that "5672" may stand for a number. Raises
        ``ValueError`` with the sentence for the user.
        """
        converted = value
        if text and isinstance(self.default, tuple):
            converted = [] if value == "none" else [item.strip() for item in value.split(",")]
        try:
            return msgspec.convert(converted, self.type, strict=not text)
        except msgspec.ValidationError:
            given = "what was given" if self.secret else repr(value)
            raise ValueError(f"{self.key}: {given} ({origin}) is not {self.allowed}") from None


def _declared(field: msgspec.structs.FieldInfo) -> Setting:
    kind = types.type_info(field.type)
    assert isinstance(kind, types.Metadata), f"{field.name} has no description"
    metavar, allowed = _words(kind)
    return Setting(
        key=field.name,
        type=field.type,
        default=field.default,
        description=(kind.extra_json_schema or {})["description"],
        metavar=metavar,
        allowed=allowed,
        secret=kind.extra == SECRET,
    )


SETTINGS: dict[str, Setting] = {field.name: _declared(field) for field in msgspec.structs.fields(Settings)}


@dataclass(frozen=True, slots=True)
class _Given:
    """A value as one source has it. ``origin`` names the place to a user: "option --port"."""

    key: str
    value: Any
    origin: str
    text: bool


def load(options: Mapping[str, str | bool], environment: Mapping[str, str], config: str | None = None) -> Configuration:
    """The settings, each from the strongest source that has it.

    ``options`` are those given on the command line, by key; ``config`` is the file named there. Raises ``ConfigError``
    with all that is wrong.
    """
    problems: list[str] = []
    warnings: list[str] = []
    file = _file(environment, config)
    given = [
        *_from_file(file, problems),
        *_from_environment(environment, warnings),
        *(_Given(key, value, f"option {SETTINGS[key].option}", text=True) for key, value in options.items()),
    ]
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for one in given:  # the strongest source comes last and stays
        try:
            values[one.key] = SETTINGS[one.key].read(one.value, one.origin, one.text)
            origins[one.key] = one.origin
        except ValueError as error:
            problems.append(str(error))
    settings = Settings(**values)
    problems += _contradictions(settings, origins)
    if problems:
        raise ConfigError(problems)
    return Configuration(settings, file, tuple(warnings))


def _file(environment: Mapping[str, str], config: str | None) -> Path | None:
    """The file to read: the one that was named, or else the usual one if it is there."""
    named = config or environment.get(CONFIG_VARIABLE)
    if named:
        return Path(named)
    usual = Path(CONFIG_FILE)
    return usual if usual.is_file() else None


def _from_file(file: Path | None, problems: list[str]) -> Iterator[_Given]:
    if file is None:
        return
    try:
        content = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        problems.append(f"file {file} cannot be read: {error.strerror}")
        return
    except ValueError as error:  # no TOML, or no UTF-8
        problems.append(f"file {file} is not valid TOML: {error}")
        return
    for key, value in content.items():
        if key in SETTINGS:
            yield _Given(key, value, f"file {file}", text=False)
        else:
            problems.append(f"{key} (file {file}) is not a setting{_nearest(key, SETTINGS)}")


def _from_environment(environment: Mapping[str, str], warnings: list[str]) -> Iterator[_Given]:
    """What ``AMQPD_...`` variables say. An unknown one is only worth a warning: it may be meant for another program."""
    known = {setting.variable: setting.key for setting in SETTINGS.values()}
    for variable, value in environment.items():
        if variable in known:
            yield _Given(known[variable], value, f"environment variable {variable}", text=True)
        elif variable.startswith(ENVIRONMENT_PREFIX) and variable != CONFIG_VARIABLE:
            warnings.append(f"environment variable {variable} is not a setting{_nearest(variable, known)}")


def _nearest(name: str, known: Mapping[str, object]) -> str:
    matches = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {matches[0]}?" if matches else ""


def _contradictions(settings: Settings, origins: Mapping[str, str]) -> Iterator[str]:
    """What is allowed one by one, and not together."""
    if settings.outbound_limit < settings.outbound_high_water:
        yield (
            f"outbound_limit: {settings.outbound_limit} ({origins.get('outbound_limit', 'default')}) is below "
            f"outbound_high_water: {settings.outbound_high_water} ({origins.get('outbound_high_water', 'default')})"
        )
