"""docker-compose.yml and the Dockerfile, as far as they can be judged without docker: what they name is there."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from amqpd.config import ENVIRONMENT_PREFIX, SETTINGS
from grafana import FOLDER as DASHBOARDS

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "grafana"


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


COMPOSE = read(GRAFANA / "docker-compose.yml")
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")

every_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


def mounted(service: str) -> dict[str, str]:
    """By the place in the container, what is there."""
    return {place: source for source, place, *_ in (volume.split(":") for volume in SERVICES[service]["volumes"])}


@every_service
def test_nothing_is_open_to_the_network(service: dict[str, Any]) -> None:
    assert service["ports"]
    assert all(re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port) for port in service["ports"])


@every_service
def test_images_are_of_one_version(service: dict[str, Any]) -> None:
    assert "build" in service or re.fullmatch(r"\S+:v?\d+\.\d+\.\d+", service["image"])


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_mounted_is_there(service: str) -> None:
    for source in mounted(service).values():
        assert (GRAFANA / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]


def test_prometheus_finds_what_its_configuration_names() -> None:
    places = mounted("prometheus")
    config = read(GRAFANA / places["/etc/prometheus/prometheus.yml"])
    files = {file for job in config["scrape_configs"] for each in job["file_sd_configs"] for file in each["files"]}
    assert {f"/etc/prometheus/{file}" for file in (*config["rule_files"], *files)} < set(places)
    assert read(GRAFANA / places["/etc/prometheus/targets.yml"]) == [{"targets": ["amqpd:15692"]}]


def test_grafana_finds_prometheus_and_the_dashboards() -> None:
    provisioning = GRAFANA / mounted("grafana")["/etc/grafana/provisioning"]
    [source] = read(provisioning / "datasources" / "prometheus.yml")["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    [provider] = read(provisioning / "dashboards" / "amqpd.yml")["providers"]
    assert (GRAFANA / mounted("grafana")[provider["options"]["path"]]).resolve() == DASHBOARDS
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == provider["options"]["path"]
    assert (DASHBOARDS / home.name).exists()


def test_grafana_knows_how_often_prometheus_scrapes() -> None:
    config = read(GRAFANA / "prometheus" / "prometheus.yml")
    intervals = {job.get("scrape_interval", config["global"]["scrape_interval"]) for job in config["scrape_configs"]}
    [source] = read(GRAFANA / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    assert source["jsonData"]["timeInterval"] == max(intervals, key=lambda interval: int(interval.rstrip("s")))


def test_what_amqpd_is_told_are_settings() -> None:
    variables = {ENVIRONMENT_PREFIX + key.upper() for key in SETTINGS}
    assert set(SERVICES["amqpd"]["environment"]) <= variables
    assert set(re.findall(r"\b(AMQPD_\w+)=", DOCKERFILE)) <= variables


def test_the_data_survive_the_container() -> None:
    [volume] = re.findall(r"^VOLUME (\S+)$", DOCKERFILE, re.MULTILINE)
    [data] = re.findall(r"AMQPD_DATA_DIR=(\S+)", DOCKERFILE)
    assert Path(volume) in Path(data).parents
    assert volume in mounted("amqpd")


def test_the_image_is_made_from_what_docker_is_given() -> None:
    copied = [name for line in re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()]
    ignore = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert sorted(copied) == sorted(line[1:] for line in ignore if line.startswith("!"))
    assert all((ROOT / name).exists() for name in copied)


def test_whoever_looks_after_the_container_asks_amqpd() -> None:
    [(patience, command)] = re.findall(r"^HEALTHCHECK .*--timeout=(\d+)s .*CMD (.*)$", DOCKERFILE, re.MULTILINE)
    *ping, timeout = json.loads(command)
    assert ping == ["amqpd", "ping", "--timeout"]
    assert int(timeout) < int(patience), "it is killed before it says what is wrong"
    assert SERVICES["prometheus"]["depends_on"]["amqpd"]["condition"] == "service_healthy"
