"""The command ``amqpd``.

It finds the settings, sets up the log and hands over to the daemon. It declares no setting of its own: the options of
``amqpd serve`` are made from ``amqpd.config.SETTINGS``, and click passes their text on unread, so that one place judges
values from all sources. The daemon is imported only where it is started: ``--help`` and a wrong option answer at once.
"""

import os
from typing import Any

import click
import structlog

from amqpd import __version__, log
from amqpd.config import CONFIG_FILE, CONFIG_VARIABLE, SETTINGS, ConfigError, Setting, load


class UnusableSettings(click.ClickException):
    """Ends the command with one line for each problem, and 2: the exit code of a wrong use."""

    exit_code = 2

    def __init__(self, error: ConfigError) -> None:
        super().__init__("\n".join(["the settings cannot be used:", *error.problems]))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """A message broker that speaks AMQP 0-9-1 as RabbitMQ does."""


def serve(config: str | None, **options: str | bool | None) -> None:
    """Run the broker until SIGTERM or Ctrl-C.

    \b
    Each setting comes from the first of these that has it:
    the option here, its environment variable, its key in the TOML file, the default.
    """
    given = {key: value for key, value in options.items() if value is not None}
    try:
        configuration = load(given, os.environ, config)
    except ConfigError as error:
        raise UnusableSettings(error) from error
    settings = configuration.settings
    log.configure(settings.log_format, settings.log_level)
    events = structlog.get_logger()
    for warning in configuration.warnings:
        events.warning("setting_ignored", reason=warning)
    if configuration.file is not None:
        events.info("configuration_read", file=str(configuration.file.absolute()))

    from amqpd.server import daemon
    from amqpd.server.listening import CannotListen
    from amqpd.store import StoreUnusable

    try:
        daemon.run(settings)
    except (CannotListen, StoreUnusable) as error:
        raise click.ClickException(str(error)) from error


def _options() -> list[click.Parameter]:
    config = click.Option(
        ["--config"],
        metavar="FILE",
        help=f'TOML file: log_format = "json" and so on  [{CONFIG_VARIABLE}; default: {CONFIG_FILE} if it is there]',
    )
    return [config, *(_option(setting) for setting in SETTINGS.values() if not setting.secret)]


def _option(setting: Setting) -> click.Option:
    return click.Option(
        [setting.option],
        is_flag=setting.is_flag,
        default=None,
        metavar=None if setting.is_flag else setting.metavar,
        help=f"{setting.description}  [{setting.variable}; default: {_as_text(setting.default)}]",
    )


def _as_text(default: Any) -> str:
    match default:
        case None | ():
            return "none"
        case True | False:
            return str(default).lower()
        case tuple():
            return ",".join(default)
    return str(default)


main.add_command(click.Command("serve", params=_options(), callback=serve, help=serve.__doc__))
