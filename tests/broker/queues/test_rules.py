"""What arguments and policies come to."""

from amqpd.broker.queues.rules import PLAIN, Overflow, QueueRules, TimeoutAction, rules_of


def test_a_plain_queue_has_no_rules() -> None:
    assert rules_of({}) == PLAIN
    assert rules_of({"x-max-priority": 3, "of-my-own": 1}, {"queue-mode": "lazy"}) == PLAIN


def test_arguments_alone() -> None:
    arguments = {
        "x-message-ttl": 1,
        "x-expires": 2,
        "x-max-length": 3,
        "x-max-length-bytes": 4,
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": "dlx",
        "x-dead-letter-routing-key": "dead",
        "x-delivery-limit": 5,
        "x-consumer-timeout": 6,
        "x-consumer-timeout-action": "channel-close",
    }
    assert rules_of(arguments) == QueueRules(
        1, 2, 3, 4, Overflow.REJECT_PUBLISH, "dlx", "dead", 5, 6, TimeoutAction.CHANNEL_CLOSE
    )


def test_of_numbers_the_smaller_one_holds() -> None:
    assert rules_of({"x-max-length": 5}, {"max-length": 3}).max_length == 3
    assert rules_of({"x-max-length": 5}, {"max-length": 9}).max_length == 5
    assert rules_of({}, {"message-ttl": 7}).message_ttl == 7


def test_of_the_rest_the_argument() -> None:
    rules = rules_of({"x-overflow": "drop-head"}, {"overflow": "reject-publish", "dead-letter-exchange": "policys"})
    assert (rules.overflow, rules.dead_letter_exchange) == (Overflow.DROP_HEAD, "policys")


def test_delivery_limits() -> None:
    quorum = {"x-queue-type": "quorum"}
    assert rules_of(quorum).delivery_limit == 20
    assert rules_of(quorum | {"x-delivery-limit": 3}).delivery_limit == 3
    assert rules_of(quorum | {"x-delivery-limit": -1}).delivery_limit is None
    assert rules_of(quorum | {"x-delivery-limit": -1}, {"delivery-limit": 4}).delivery_limit == 4
    assert rules_of({"x-delivery-limit": 7}, {"delivery-limit": 4}).delivery_limit == 4
