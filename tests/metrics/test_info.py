import platform
from importlib.metadata import version

import amqpd
from amqpd.build import BUILD
from amqpd.metrics.info import build_info, identity_info
from tests.metrics.samples import server


def test_the_page_says_what_runs_here() -> None:
    (sample,) = build_info("amqpd").samples
    assert sample.name == "amqpd_build_info"
    assert sample.value == 1
    assert sample.labels == {
        "version": amqpd.__version__,
        "build": BUILD,
        "python_version": platform.python_version(),
        "python_implementation": platform.python_implementation(),
    }


def test_it_says_so_to_who_expects_rabbitmq() -> None:
    (sample,) = build_info("rabbitmq").samples
    assert sample.name == "rabbitmq_build_info"
    assert sample.labels == {
        "rabbitmq_version": amqpd.__version__,
        "prometheus_plugin_version": amqpd.__version__,
        "prometheus_client_version": version("prometheus-client"),
        "erlang_version": f"Python {platform.python_version()}",
    }


def test_the_node_has_a_name_and_a_cluster() -> None:
    (sample,) = identity_info("rabbitmq", server(node="amqpd@mars", cluster="planets"), "aggregated").samples
    assert sample.name == "rabbitmq_identity_info"
    assert sample.labels == {
        "rabbitmq_node": "amqpd@mars",
        "rabbitmq_cluster": "planets",
        "rabbitmq_cluster_permanent_id": "planets",
        "rabbitmq_endpoint": "aggregated",
    }
