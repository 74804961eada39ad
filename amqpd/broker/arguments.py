"""Arguments that mean something to RabbitMQ and nothing here yet.

They are kept, and a queue's are compared, as if they had effect; whoever sets up the log says that they have none.
"""

from amqpd.wire.tables import Table

QUEUE_ARGUMENTS_WITHOUT_EFFECT = frozenset(
    (
        "x-dead-letter-exchange",
        "x-dead-letter-routing-key",
        "x-dead-letter-strategy",
        "x-delivery-limit",
        "x-expires",
        "x-max-length",
        "x-max-length-bytes",
        "x-max-priority",
        "x-message-ttl",
        "x-overflow",
        "x-single-active-consumer",
    )
)
CONSUMER_ARGUMENTS_WITHOUT_EFFECT = frozenset(("x-consumer-timeout", "x-priority"))


def queue_arguments_without_effect(arguments: Table) -> list[str]:
    """Which of a queue's arguments do nothing. Every queue is a classic one, whatever type was asked for."""
    found = QUEUE_ARGUMENTS_WITHOUT_EFFECT.intersection(arguments)
    if arguments.get("x-queue-type", "classic") != "classic":
        found |= {"x-queue-type"}
    return sorted(found)


def consumer_arguments_without_effect(arguments: Table) -> list[str]:
    """Which of a consumer's arguments do nothing."""
    return sorted(CONSUMER_ARGUMENTS_WITHOUT_EFFECT.intersection(arguments))
