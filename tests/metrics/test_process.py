from pathlib import Path

import pytest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from amqpd.metrics.process import file_alarm, interpreter_families, process_families, socket_families

PROC = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")


def process(open_files: float, limit: float) -> list[Metric]:
    return [
        GaugeMetricFamily("amqpd_process_open_fds", "", value=open_files),
        GaugeMetricFamily("amqpd_process_max_fds", "", value=limit),
    ]


def shown(metric: Metric) -> float:
    (sample,) = metric.samples
    return sample.value


@PROC
def test_the_process_is_measured() -> None:
    found = {metric.name: shown(metric) for metric in process_families("amqpd")}
    assert 0 < found["amqpd_process_open_fds"] <= found["amqpd_process_max_fds"]
    assert found["amqpd_process_resident_memory_bytes"] > 1_000_000
    assert found["amqpd_process_cpu_seconds"] > 0


def test_the_interpreter_is_measured() -> None:
    assert {"python_info", "python_gc_collections"} <= {metric.name for metric in interpreter_families()}


@pytest.mark.parametrize(("open_files", "alarm"), [(10, 0), (90, 0), (91, 1), (100, 1)])
def test_there_is_an_alarm_when_nearly_all_files_are_open(open_files: int, alarm: int) -> None:
    metric = file_alarm("amqpd", process(open_files, 100))
    assert metric.name == "amqpd_alarms_file_descriptor_limit"
    assert shown(metric) == alarm


def test_there_is_no_alarm_where_files_are_not_known() -> None:
    assert shown(file_alarm("amqpd", [])) == 0


def test_sockets_are_files() -> None:
    found = {metric.name: shown(metric) for metric in socket_families("amqpd", process(30, 100), connections=7)}
    assert found == {"amqpd_process_open_tcp_sockets": 7, "amqpd_process_max_tcp_sockets": 100}
