"""README's examples do what it says they do."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from amqpd.config import load
from interop.broker_process import BrokerProcess

README = Path(__file__).parents[1] / "README.md"


def examples(language: str) -> list[tuple[str, str]]:
    """Code blocks of a language, each with the text up to the next one."""
    parts = re.split(r"^```(\w*)\n(.*?)^```$", README.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    blocks = zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    return [(code, after) for found, code, after in blocks if found == language]


@pytest.mark.parametrize(("code", "after"), examples("python"))
def test_python_examples_print_what_readme_says(code: str, after: str) -> None:
    promised = re.search(r"It prints `(.*?)`", after)
    assert promised is not None, "an example that shows nothing"
    broker = BrokerProcess()
    try:
        example = code.replace("5672", str(broker.address[1]))
        command = [sys.executable, "-c", example]
        printed = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    finally:
        broker.stop()
    assert printed.stdout.strip() == promised[1]


def test_the_settings_of_the_toml_example_are_settings(tmp_path: Path) -> None:
    [(code, _)] = examples("toml")
    file = tmp_path / "amqpd.toml"
    file.write_text(code, "utf-8")
    settings = load({}, {}, str(file)).settings
    assert (settings.port, settings.log_format) == (5673, "json")
