"""Plays a scenario on two brokers and compares what they answered.

``differential`` makes a test of a scenario. What amqpd answers otherwise, and means to, is said there with its
reason: ``differs``. A difference that does not show is an error as well, so those that are declared are true.
"""

import difflib
import functools
import inspect
import os
import uuid
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from interop.differential.broker import Broker
from interop.differential.client import Silence
from interop.differential.transcript import Transcript

CONTEXT_LINES = 8
KEEP_IN = os.environ.get("DIFFERENTIAL_TRANSCRIPTS")  # a directory that gets the transcripts of what is played

Scenario = Callable[[Broker], None]


class Difference(NamedTuple):
    """Lines of RabbitMQ's transcript, and what amqpd's has in their place wherever they stand."""

    rabbitmq: str
    amqpd: str


def differs(*, rabbitmq: str, amqpd: str, because: str) -> Difference:
    """Declare that amqpd answers otherwise: whole lines of the transcripts, and the reason."""
    assert because, "a difference has a reason"
    return Difference(_lines(rabbitmq), _lines(amqpd))


def differential(*differences: Difference) -> Callable[[Scenario], Callable[..., None]]:
    """Make a test of a scenario: both brokers leave the same transcript, these differences apart."""

    def decorate(scenario: Scenario) -> Callable[..., None]:
        @functools.wraps(scenario)
        def test(brokers: tuple[str, str]) -> None:
            prefix = f"diff.{uuid.uuid4().hex[:8]}."
            theirs, ours = (play(scenario, url, prefix) for url in brokers)
            keep(scenario, theirs, ours)
            assert not theirs.text.endswith(": silence\n"), f"RabbitMQ ends it in silence:\n{theirs.text}"
            expected = theirs.text if ours.product == "RabbitMQ" else with_differences(theirs.text, differences)
            if expected != ours.text:
                pytest.fail(diff(expected, ours.text), pytrace=False)

        test.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # pytest asks it for the fixtures
            [inspect.Parameter("brokers", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
        )
        return test

    return decorate


class Played(NamedTuple):
    """What a broker answered in a scenario, and which broker it was."""

    product: str
    text: str


def play(scenario: Scenario, url: str, prefix: str) -> Played:
    transcript = Transcript(prefix)
    with closing(Broker(url, prefix, transcript)) as broker, suppress(Silence):
        scenario(broker)
    return Played(broker.product, "".join(f"{line}\n" for line in transcript.lines))


def with_differences(expected: str, differences: tuple[Difference, ...]) -> str:
    for rabbitmq, amqpd in differences:
        if f"\n{rabbitmq}" not in f"\n{expected}":
            pytest.fail(f"a declared difference, but RabbitMQ does not say this:\n{rabbitmq}", pytrace=False)
        expected = f"\n{expected}".replace(f"\n{rabbitmq}", f"\n{amqpd}")[1:]
    return expected


def diff(expected: str, got: str) -> str:
    lines = difflib.unified_diff(
        expected.splitlines(), got.splitlines(), "RabbitMQ", "amqpd", n=CONTEXT_LINES, lineterm=""
    )
    return "\n".join(lines)


def keep(scenario: Scenario, *played: Played) -> None:
    if KEEP_IN:
        for product, text in played:
            suffix = "" if product == "RabbitMQ" else f".{product}"
            name = f"{Path(inspect.getfile(scenario)).stem}.{scenario.__name__}{suffix}.txt"
            (Path(KEEP_IN) / name).write_text(text)


def _lines(text: str) -> str:
    """Whole lines as a transcript has them; those of a longer string begin where its closing quotes stand."""
    margin = text.rpartition("\n")[2] if text.endswith(" ") else ""
    lines = [line.removeprefix(margin) for line in text.splitlines() if line.strip()]
    return "".join(f"{line}\n" for line in lines)
