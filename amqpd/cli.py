"""The command ``amqpd``.

It finds the settings, sets up the log and hands over to the daemon, or to a tool. It declares no setting of its own:
options are made from ``amqpd.config.SETTINGS``, and click passes their text on unread, so that one place judges values
from all sources. What does the work is imported only where it begins: ``--help`` and a wrong option answer at once.
"""

import gc
import os
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import IO, Any

import click
import structlog

from amqpd import __version__, log
from amqpd.bench.command import command as bench
from amqpd.build import BUILD, INTERPRETER
from amqpd.config import CONFIG_FILE, CONFIG_VARIABLE, SETTINGS, ConfigError, Configuration, Setting, load


class UnusableSettings(click.ClickException):
    """Ends the command with one line for each problem, and 2: the exit code of a wrong use."""

    exit_code = 2

    def __init__(self, error: ConfigError) -> None:
        super().__init__("\n".join(["the settings cannot be used:", *error.problems]))


class UnusableDefinitions(click.ClickException):
    """Ends the command with one line for each problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(["the definitions cannot be imported:", *problems]))


class NotStarted(click.ClickException):
    """Ends ``serve``: with lines for people, or as the last event of a log for machines."""

    def __init__(self, message: str, log_format: str) -> None:
        super().__init__(message)
        self._log_format = log_format

    def show(self, file: IO[Any] | None = None) -> None:
        if self._log_format == "json":
            structlog.get_logger().error("not_started", reason=self.message)
        else:
            super().show(file)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, message=f"%(prog)s %(version)s ({BUILD}, {INTERPRETER})")
def main() -> None:
    """A message broker that speaks AMQP 0-9-1 as RabbitMQ does."""


def serve(config: str | None, **options: str | bool | None) -> None:
    """Run the broker until SIGTERM or Ctrl-C.

    \b
    Each setting comes from the first of these that has it:
    the option here, its environment variable, its key in the TOML file, the default.

    \b
    SIGHUP reads the file of --definitions again and imports it while the broker runs; what is wrong in it is logged,
    and refuses all of it.
    """
    configuration = _load(config, **options)
    settings = configuration.settings
    log.configure(settings.log_format, settings.log_level)
    events = structlog.get_logger()
    for warning in configuration.warnings:
        events.warning("setting_ignored", reason=warning)
    if configuration.file is not None:
        events.info("configuration_read", file=str(configuration.file.absolute()))

    gc.disable()  # what is imported now is here to stay: looking through it takes a tenth of the time of a start

    from amqpd.broker.definitions import DefinitionsUnusable
    from amqpd.server import daemon
    from amqpd.server.listening import CannotListen
    from amqpd.store import StoreUnusable

    gc.enable()
    try:
        daemon.run(settings)
    except (CannotListen, StoreUnusable) as error:
        raise NotStarted(str(error), settings.log_format) from error
    except DefinitionsUnusable as error:
        raise NotStarted(UnusableDefinitions(error.problems).message, settings.log_format) from error
    except Exception as bug:
        events.exception("internal_error")
        raise SystemExit(1) from bug


def ping(config: str | None, timeout: float, ready: bool, **options: str | None) -> None:
    """Tell whether a broker answers at the address that the settings name.

    Nobody logs in. With --ready the broker's metrics port is asked whether it takes clients now: it does not while it
    drains, and while an alarm ("memory", "disk") blocks publishers.

    \b
    The exit code is 0 if it does, 1 if it does not, and 2 if the settings cannot be used.
    """
    from amqpd.server.listening import shown
    from amqpd.server.ping import NoAnswer, ask_ready, ask_who

    settings = _load(config, **options).settings
    host, port = (settings.metrics_host, settings.metrics_port) if ready else (settings.host, settings.port)
    where = shown((host, port))
    try:
        if not ready:
            click.echo(f"{where}: {ask_who(host, port, timeout)}")
        elif reasons := ask_ready(host, port, timeout):
            raise click.ClickException(f"{where}: not ready: {', '.join(reasons)}")
        else:
            click.echo(f"{where}: ready")
    except NoAnswer as error:
        raise click.ClickException(f"{where}: {error}") from error


@main.group()
def store() -> None:
    """Look at what is kept in a data directory, and look after it.

    \b
    The directory is found as by amqpd serve: --data-dir, its environment variable, the TOML file, the default.
    """


def check(config: str | None, data_dir: str | None) -> None:
    """Look at all there is, and tell what is not as it was written.

    A broker may be running. The exit code is 0 if there is no problem, and 1 if there is one.
    """
    from amqpd.store.check import check

    if not check(_directory(config, data_dir), click.echo):
        raise SystemExit(1)


def compact(config: str | None, data_dir: str | None) -> None:
    """Make the store's file as small as what is in it.

    No broker may be running. Meanwhile there are both, the old file and the new one; if it is interrupted, the old one
    stays.
    """
    from amqpd.store import StoreUnusable
    from amqpd.store.copies import compact

    directory = _directory(config, data_dir)
    try:
        before, after = compact(directory)
    except StoreUnusable as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{directory}: {before:,} octets before, {after:,} octets after")


def export(config: str | None, data_dir: str | None, queue: str, vhost: str) -> None:
    """Print the messages of a durable queue, each as a line of JSON.

    They are those that a broker would have if it started now: the persistent ones that are not settled. A broker may be
    running; nothing is taken from its queue.
    """
    from amqpd.store import StoreUnusable
    from amqpd.store.codec import Damaged
    from amqpd.store.directory import open_to_read
    from amqpd.store.export import UnknownQueue, export

    damages: list[Damaged] = []

    def complain(damage: Damaged) -> None:
        damages.append(damage)
        click.echo(f"damaged: {damage}", err=True)

    try:
        with open_to_read(_directory(config, data_dir)) as environment:
            for line in export(environment, vhost, queue, complain):
                sys.stdout.write(line + "\n")
    except (StoreUnusable, UnknownQueue) as error:
        raise click.ClickException(str(error)) from error
    if damages:
        raise SystemExit(1)


def backup(config: str | None, data_dir: str | None, destination: str) -> None:
    """Copy the store into DESTINATION, a directory that is new or empty.

    A broker may be running. To restore the copy, start one with it: amqpd serve --data-dir DESTINATION
    """
    from amqpd.store import StoreUnusable
    from amqpd.store.copies import back_up

    try:
        size = back_up(_directory(config, data_dir), Path(destination))
    except StoreUnusable as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{destination}: {size:,} octets")


@main.group()
def definitions() -> None:
    """Bring users, vhosts, permissions, policies, queues, exchanges and bindings out of a data directory, or into one.

    \b
    They are JSON as RabbitMQ's own definitions, without messages. The directory is found as by amqpd serve:
    --data-dir, its environment variable, the TOML file, the default.
    """


def export_all(config: str | None, data_dir: str | None, file: str | None, vhost: str | None) -> None:
    """Print what is kept, or write it into FILE, which nobody else may read.

    A broker may be running. The default user is not kept unless users were changed.
    """
    from amqpd.server.definitions import as_text, export_from, write_definitions
    from amqpd.store import StoreUnusable

    try:
        found = export_from(_directory(config, data_dir), vhost)
        if file is None:
            click.echo(as_text(found))
        else:
            write_definitions(Path(file), found)
    except StoreUnusable as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from error


def import_all(config: str | None, data_dir: str | None, file: str, vhost: str | None) -> None:
    """Have what FILE says kept. No broker may be running.

    \b
    The exit code is 0 if all of it is kept now, 1 if nothing was changed, and 3 if something was left out
    that amqpd does not have, such as a stream.
    """
    from amqpd.broker.definitions import DefinitionsUnusable
    from amqpd.server.daemon import make_broker
    from amqpd.server.definitions import import_into
    from amqpd.store import StoreUnusable, WriteFailed

    settings = _load(config, data_dir=data_dir).settings
    try:
        imported = import_into(Path(settings.data_dir), Path(file), partial(make_broker, settings), vhost)
    except DefinitionsUnusable as error:
        raise UnusableDefinitions(error.problems) from error
    except (StoreUnusable, WriteFailed) as error:
        raise click.ClickException(str(error)) from error
    for reason in imported.left_out:
        click.echo(f"left out: {reason}", err=True)
    for reason in imported.without_effect:
        click.echo(f"without effect: {reason}", err=True)
    click.echo(f"{settings.data_dir}: {imported.changed:,} changes")
    if imported.left_out:
        raise SystemExit(3)


def _load(config: str | None, **options: str | bool | None) -> Configuration:
    given = {key: value for key, value in options.items() if value is not None}
    try:
        return load(given, os.environ, config)
    except ConfigError as error:
        raise UnusableSettings(error) from error


def _directory(config: str | None, data_dir: str | None) -> Path:
    return Path(_load(config, data_dir=data_dir).settings.data_dir)


def _options(settings: Iterable[Setting]) -> list[click.Parameter]:
    config = click.Option(
        ["--config"],
        metavar="FILE",
        help=f'TOML file: log_format = "json" and so on  [{CONFIG_VARIABLE}; default: {CONFIG_FILE} if it is there]',
    )
    return [config, *(_option(setting) for setting in settings if not setting.secret)]


def _option(setting: Setting) -> click.Option:
    return click.Option(
        [f"{setting.option}/{setting.opposite}" if setting.is_flag else setting.option],
        is_flag=setting.is_flag,
        default=None,
        metavar=None if setting.is_flag else setting.metavar,
        help=f"{setting.description}  [{setting.variable}; default: {_as_text(setting.default)}]",
    )


def _as_text(default: Any) -> str:
    match default:
        case None | () | "":
            return "none"
        case True | False:
            return str(default).lower()
        case tuple():
            return ",".join(default)
    return str(default)


def _add(
    group: click.Group,
    callback: Callable[..., None],
    settings: Iterable[Setting],
    *further: click.Parameter,
    name: str | None = None,
) -> None:
    params = [*further, *_options(settings)]
    name = name or callback.__name__
    group.add_command(click.Command(name, params=params, callback=callback, help=callback.__doc__))


_add(main, serve, SETTINGS.values())
_add(
    main,
    ping,
    [SETTINGS[key] for key in ("host", "port", "metrics_host", "metrics_port")],
    click.Option(["--ready"], is_flag=True, help="ask whether it takes clients now"),
    click.Option(
        ["--timeout"],
        type=click.FloatRange(0, 3600, min_open=True),
        default=5.0,
        show_default=True,
        metavar="SECONDS",
        help="how long the answer may take",
    ),
)
_WHERE = [SETTINGS["data_dir"]]
_add(store, check, _WHERE)
_add(store, compact, _WHERE)
_add(
    store,
    export,
    _WHERE,
    click.Option(["--queue"], required=True, metavar="NAME", help="the queue"),
    click.Option(["--vhost"], default="/", show_default=True, metavar="NAME", help="its virtual host"),
)
_add(store, backup, _WHERE, click.Argument(["destination"], type=click.Path()))
_FILE = click.Argument(["file"], type=click.Path())
_FILE_OR_NONE = click.Argument(["file"], type=click.Path(), required=False)
_ONE_VHOST = click.Option(
    ["--vhost"], metavar="NAME", help="only what is in this virtual host; the file does not name it"
)
_INTO_VHOST = click.Option(["--vhost"], metavar="NAME", help="into this virtual host, whichever one the file is from")
_add(definitions, export_all, _WHERE, _FILE_OR_NONE, _ONE_VHOST, name="export")
_add(definitions, import_all, _WHERE, _FILE, _INTO_VHOST, name="import")
main.add_command(bench)
