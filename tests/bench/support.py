"""Results, made up."""

from amqpd.bench.process import Meter
from amqpd.bench.results import Product, Result
from amqpd.bench.scenarios import SCENARIOS
from amqpd.bench.trials import Contender, Trial
from amqpd.bench.url import parse_url

OURS = Contender(parse_url("amqp://me:secret@127.0.0.1:5672"), Product("amqpd", "1.0"), Meter())
THEIRS = Contender(parse_url("amqp://127.0.0.1:5673/other"), Product("RabbitMQ", "3.10.8"), Meter())


def result(broker: Contender = OURS, scenario: str = "autoack", **figures: float) -> Result:
    return Result(SCENARIOS[scenario], broker.product, figures, published=10, consumed=10)


def trial(*results: list[Result], point: int | None = None) -> Trial:
    """Of one broker's rounds, or of two brokers'."""
    return Trial(results[0][0].workload, point, [*results])


def compared() -> Trial:
    """Three rounds against another broker."""
    return trial(
        [result(OURS, consumed=speed, latency_p50=0.01) for speed in (300.0, 400.0, 500.0)],
        [result(THEIRS, consumed=100.0, latency_p50=0.02) for _ in range(3)],
    )
