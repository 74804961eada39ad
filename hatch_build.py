"""Compiles the pure core into the wheel, when asked to: ``make wheel``, or ``HATCH_BUILD_HOOKS_ENABLE=1 pip install .``

mypyc translates ``modules`` of pyproject.toml into C as one group: one shared library has them all, so that a call from
one to another is a call of C, and a small extension module for each hands out what is in it. The sources lie in the
wheel beside them, for tracebacks and for readers; Python prefers the extension modules.

It writes into build/ only, and what is compiled goes from there into the wheel. (hatch-mypyc compiles within the tree,
and moves pyproject.toml away meanwhile. An extension module beside its source would be imported in its place, by tests
and by ``make run``, long after the source has changed.) What has not changed since the last time is not compiled again.
"""

import shutil
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from mypyc.build import mypycify
from setuptools import Distribution

OPTIMIZATION = "3"
DEBUG_INFORMATION = "0"


class Compilation(BuildHookInterface):
    """Adds the extension modules to a wheel. An editable installation stays pure: who wants one changes the sources."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        lacking = what_lacks()
        if lacking is not None:
            self.app.abort(f"amqpd cannot be compiled: {lacking}.")
        paths = sorted(sources(self.config["modules"], self.config["pure"]))
        build_data["force_include"] |= compiled(paths, Path("build", f"mypyc-{sys.implementation.cache_tag}"))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def what_lacks() -> str | None:
    """What this machine has not, and an extension module needs."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler {compiler} (on Debian and Ubuntu: apt-get install gcc)"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "Python's headers are not here (on Debian and Ubuntu: apt-get install python3-dev)"
    return None


def sources(modules: Iterable[str], pure: Iterable[str]) -> Iterator[str]:
    """The files of ``modules``, each of which is a file or all of a directory, without those that ``pure`` matches."""
    for module in map(Path, modules):
        paths = module.rglob("*.py") if module.is_dir() else [module]
        yield from (str(path) for path in paths if not any(map(path.match, pure)))


def compiled(paths: list[str], directory: Path) -> dict[str, str]:
    """Compile these files. Returns each extension module's file, and where it goes in the wheel."""
    options = [f"--cache-dir={directory / 'mypy'}"]
    extensions = mypycify(
        options + paths,
        opt_level=OPTIMIZATION,
        debug_level=DEBUG_INFORMATION,
        target_dir=str(directory / "c"),
        group_name="amqpd",
    )
    command = Distribution({"name": "amqpd", "ext_modules": extensions}).get_command_obj("build_ext")
    command.build_lib = str(directory / "lib")
    command.build_temp = str(directory / "objects")
    command.ensure_finalized()
    command.run()
    return {output: str(Path(output).relative_to(command.build_lib)) for output in command.get_outputs()}
