"""Processes that are led from one phase to the next, and what the leader hears of those that fail."""

import os
from array import array
from collections.abc import Callable

import pytest

from amqpd.bench.errors import BenchError
from amqpd.bench.roles import OTHER_FILES, Crew, Desk, Phase, Role, raise_file_limit
from amqpd.bench.topology import Topology
from amqpd.bench.url import parse_url
from amqpd.bench.workload import Workload
from tests.bench.plays import dawdle, stumble, vanish, work

TOPOLOGY = Topology(Workload(), "bench")


def crew(*plays: Callable[[Desk], None], limit_s: float = 30.0) -> Crew:
    roles = [
        Role(f"{play.__name__}er {number}", play, number, len(plays), parse_url("amqp://"), TOPOLOGY)
        for number, play in enumerate(plays, 1)
    ]
    return Crew(roles, limit_s, lambda crew: None)


def test_roles_count_and_report() -> None:
    with crew(work, work) as led:
        led.wait_ready()
        led.turn(Phase.WARMING_UP)
        led.wait(lambda: led.count(work) == 6, 20, "has not counted")
        assert led.counts() == {"worker": 6}
        led.turn(Phase.MEASURING)
        led.pause(1.0)
        for report in led.reports():
            assert report.latencies == array("q", [7]).tobytes()
            assert 0.1 <= report.cpu_s < 1.0


def test_a_role_that_fails_is_heard_with_its_reason() -> None:
    with crew(work, stumble) as led:
        led.wait_ready()
        led.turn(Phase.WARMING_UP)
        with pytest.raises(BenchError, match="stumbleer 2: it went wrong"):
            led.pause(20)


def test_a_role_that_vanishes_is_noticed() -> None:
    with crew(vanish) as led:
        led.wait_ready()
        led.turn(Phase.WARMING_UP)
        with pytest.raises(BenchError, match="vanisher 1 ended in the midst of it: exit code 3"):
            led.pause(20)


def test_a_role_ends_by_itself_when_its_time_is_up() -> None:
    with crew(dawdle, limit_s=1.5) as led:
        led.wait_ready()
        led.turn(Phase.WARMING_UP)
        with pytest.raises(BenchError, match="its time was up"):
            led.pause(20)


def test_too_many_sockets_for_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 1000))
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: raised.append(limits))
    raise_file_limit(200)
    raise_file_limit(900)
    assert raised == [(900 + OTHER_FILES, 1000)]
    with pytest.raises(BenchError, match=r"needs 10,050 open files, and the system's limit is 1,000 \(ulimit -Hn\)"):
        raise_file_limit(10_000)


def test_leaving_a_crew_ends_those_who_do_not_listen() -> None:
    with crew(dawdle) as led:
        led.wait_ready()
        (pid,) = [process.pid for process in led.processes]
        assert pid is not None
        with pytest.raises(BenchError, match="after 0 s, dawdleer 1 is late"):
            led.wait(lambda: False, 0, "is late")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
