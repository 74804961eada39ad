"""Which build runs: the same one in the tests and in what they start, and all of it."""

import subprocess
import sys
import tomllib
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from click.testing import CliRunner

import amqpd
from amqpd.build import BUILD, COMPILED
from amqpd.cli import main
from hatch_build import sources, what_lacks

ROOT = Path(__file__).parents[1]
PACKAGE = Path(str(amqpd.__file__)).parent


def test_the_version_says_which_build_it_is() -> None:
    version = CliRunner().invoke(main, ["--version"], prog_name="amqpd").output
    assert version.startswith(f"amqpd {amqpd.__version__} ({BUILD}, ")
    assert ("mypyc" in BUILD) == COMPILED


@pytest.mark.parametrize("place", [ROOT, ROOT / "tests", Path("/")], ids=["root", "tests", "elsewhere"])
def test_what_is_started_from_any_place_is_the_build_that_is_tested(place: Path) -> None:
    program = "import amqpd, amqpd.build as build; print(amqpd.__file__, build.COMPILED)"
    command = [sys.executable, "-c", program]
    printed = subprocess.run(command, cwd=place, capture_output=True, text=True, check=True).stdout
    assert printed == f"{amqpd.__file__} {COMPILED}\n"


def test_compiled_are_all_modules_that_should_be_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    hook = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]
    monkeypatch.chdir(ROOT)
    named = {path.removesuffix(".py") for path in sources(hook["modules"], hook["pure"])}
    extensions = {str(path.relative_to(PACKAGE.parent)) for path in PACKAGE.rglob(f"*{EXTENSION_SUFFIXES[0]}")}
    assert extensions == ({f"{path}{EXTENSION_SUFFIXES[0]}" for path in named} if COMPILED else set())


def test_without_a_compiler_or_python_s_headers_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt-get install gcc" in str(what_lacks())
    monkeypatch.undo()
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    assert "apt-get install python3-dev" in str(what_lacks())
