"""What is too much, and whose costs are compared with whose."""

import platform
from pathlib import Path

import pytest

from tests.instructions import baseline
from tests.instructions.baseline import compare, judge, key, load, save


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baseline, "BASELINE", tmp_path / "baseline.json")


def test_up_to_five_percent_more_passes() -> None:
    verdict = judge(
        compare({"same": 200, "a little": 200, "too much": 200}, {"same": 200, "a little": 210, "too much": 211})
    )
    assert verdict.worse == ["too much"]
    assert not verdict.passes


def test_what_is_much_better_passes_and_is_named() -> None:
    verdict = judge(compare({"a little": 200, "much": 200}, {"a little": 190, "much": 189}))
    assert verdict.better == ["much"]
    assert verdict.passes


def test_a_flow_that_the_baseline_does_not_have_does_not_pass() -> None:
    verdict = judge(compare({"known": 200}, {"known": 200, "new": 100}))
    assert verdict.unknown == ["new"]
    assert not verdict.passes


def test_what_is_saved_replaces_that_of_the_same_build_and_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    save("bytecodes", {"autoack": 100.04})
    with monkeypatch.context() as patch:
        patch.setattr(baseline, "BUILD", "another")
        assert load("bytecodes") is None
        save("bytecodes", {"autoack": 50})
        save("bytecodes", {"autoack": 60})
        assert load("bytecodes") == {"autoack": 60}
    assert load("bytecodes") == {"autoack": 100.0}
    assert load("instructions") is None


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("platform.python_version", f"{platform.python_version()}9"),
        ("platform.python_compiler", "GCC 99"),
        ("platform.libc_ver", ("musl", "1.2")),
        ("platform.machine", "riscv64"),
        ("sysconfig.get_config_var", "--enable-optimizations"),
    ],
)
def test_instructions_depend_on_all_of_the_interpreter_bytecodes_do_not(
    name: str, other: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    instructions, bytecodes = key("instructions"), key("bytecodes")
    monkeypatch.setattr(name, lambda *_: other)
    assert key("instructions") != instructions
    assert key("bytecodes") == bytecodes


def test_both_depend_on_the_minor_version(monkeypatch: pytest.MonkeyPatch) -> None:
    instructions, bytecodes = key("instructions"), key("bytecodes")
    monkeypatch.setattr("platform.python_version", lambda: "3.99.0")
    assert key("instructions") != instructions
    assert key("bytecodes") != bytecodes
