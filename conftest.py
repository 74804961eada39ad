"""Which build of amqpd is tested: the sources, or with ``TESTED_BUILD=compiled`` the wheel of ``make test-compiled``.

Whatever the tests import and whatever processes they start is that one build: its directory is first on every path, no
working directory is on any, and a run that would test anything else stops before the first test. The helpers of the
tests (``tests.wire.strategies``) are imported from here, after all else.
"""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
BUILDS = {"pure": ROOT, "compiled": ROOT / "build" / "compiled"}
TESTED = os.environ.get("TESTED_BUILD", "pure")
PLACE = BUILDS[TESTED]

sys.path[:] = [str(PLACE), *(path for path in sys.path if path not in ("", str(ROOT))), str(ROOT)]
os.environ["PYTHONPATH"] = os.pathsep.join((str(PLACE), str(ROOT)))  # for the processes that tests start
os.environ["PYTHONSAFEPATH"] = "1"


def pytest_configure() -> None:
    wrong = what_is_wrong()
    if wrong is not None:
        pytest.exit(f"These tests would not test the {TESTED} build: {wrong}.", returncode=pytest.ExitCode.USAGE_ERROR)


def pytest_report_header() -> str:
    from amqpd.build import BUILD

    return f"amqpd: {BUILD}, {PLACE / 'amqpd'}"


def what_is_wrong() -> str | None:
    """Why it is not the build it should be; None if it is."""
    import amqpd
    from amqpd.build import COMPILED

    package = Path(str(amqpd.__file__)).parent
    if package != PLACE / "amqpd":
        return f"amqpd is imported from {package}"
    if (TESTED == "compiled") != COMPILED:
        return f"{package} is {'compiled' if COMPILED else 'not compiled'}"
    if sources(package) != sources(ROOT / "amqpd"):
        return "the sources have changed since it was made"
    return None


def sources(package: Path) -> dict[str, bytes]:
    return {str(path.relative_to(package)): path.read_bytes() for path in package.rglob("*.py")}
