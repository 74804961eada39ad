"""What a policy may say, and which of several holds."""

import pytest

from amqpd.broker.queues.rules import Overflow
from amqpd.broker.records import ExchangeRecord, PolicyRecord, QueueRecord
from amqpd.broker.topology.policies import SETTINGS, Policies, check_policy, merge
from amqpd.errors import NotFound, PreconditionFailed
from amqpd.wire.tables import FieldValue, Table
from tests.broker.support import refused


def policy(
    definition: Table,
    pattern: str = ".*",
    name: str = "p",
    apply_to: str = "all",
    priority: int = 0,
    operator: bool = False,
) -> PolicyRecord:
    return PolicyRecord("/", name, pattern, definition, apply_to, priority, operator)


def queue(name: str, **arguments: FieldValue) -> QueueRecord:
    return QueueRecord("/", name, arguments={f"x-{key.replace('_', '-')}": value for key, value in arguments.items()})


def exchange(name: str) -> ExchangeRecord:
    return ExchangeRecord("/", name, "direct")


# What it may say ------------------------------------------------------------------------------------------------------

KINDS = "'queues', 'classic_queues',  'quorum_queues', 'streams', 'exchanges', or 'all'"

# As a RabbitMQ 3.10 says it, but for the reason of the regular expression, and the words of the last but one.
REFUSED: list[tuple[PolicyRecord, str]] = [
    (policy({"nope": 2, "zope": "b"}), '[{<<"nope">>,2},{<<"zope">>,<<"b">>}] are not recognised policy settings'),
    (policy({"max-length": -2}), "-2 is not a valid maximum length"),
    (policy({"max-length": "a", "message-ttl": "b"}), '<<"a">> is not a valid maximum length'),
    (policy({"max-length": 1.5}), "1.5 is not a valid maximum length"),
    (policy({"max-length": True}), "true is not a valid maximum length"),
    (policy({"alternate-exchange": 7}), "7 is not a valid alternate exchange name"),
    (policy({"overflow": "x"}), '<<"x">> is not a valid overflow value'),
    (policy({"expires": 0}), "0 is not a valid queue expiry"),
    (policy({"message-ttl": -1}), "-1 is not a valid message TTL"),
    (policy({"queue-version": 3}), "3 is not a valid queue-version value"),
    (policy({"max-age": "7"}), '<<"7">> is not a valid max age'),
    (policy({"stream-filter-size-bytes": 15}), "15 is not a valid filter size. Valid range is 16-255"),
    (policy({}), "no policy provided"),
    (policy({"max-age": "7D"}, operator=True), '[{<<"max-age">>,<<"7D">>}] are not recognised policy settings'),
    (policy({"consumer-timeout-action": "shout"}), '<<"shout">> is not a valid consumer timeout action'),
    (
        policy({"max-length": 1}, pattern="("),
        "pattern should be regular expression but is invalid: missing ) at position 1",
    ),
    (
        policy({"max-length": 1}, apply_to="foo"),
        f"apply-to 'foo' unrecognised; should be one of: {KINDS}",
    ),
    (policy({"max-length": 1 << 63}), f"a policy setting cannot be kept: {1 << 63} does not fit a field of type long"),
]


@pytest.mark.parametrize(("record", "text"), REFUSED, ids=[text[:40] for _, text in REFUSED])
def test_what_is_no_policy_is_refused(record: PolicyRecord, text: str) -> None:
    with refused(PreconditionFailed, text):
        check_policy(record)


ALLOWED: list[PolicyRecord] = [
    policy({"max-length": 0, "max-length-bytes": 0, "message-ttl": 0, "expires": 1, "delivery-limit": -1}),
    policy({"overflow": "reject-publish-dlx", "dead-letter-exchange": "", "dead-letter-routing-key": ""}),
    policy({"consumer-timeout": 0, "consumer-timeout-action": "channel-close"}),
    policy({"ha-mode": "exactly", "ha-params": 2, "queue-mode": "lazy", "federation-upstream-set": "all"}),
    policy({"max-age": "7D", "initial-cluster-size": 3, "queue-leader-locator": "balanced"}),
    policy({"max-length": 1}, pattern="", apply_to="quorum_queues", priority=-1),
    policy({"expires": 1, "overflow": "drop-head", "delivery-limit": 3}, operator=True),
]


@pytest.mark.parametrize("record", ALLOWED, ids=[",".join(record.definition) for record in ALLOWED])
def test_what_rabbitmq_knows_is_allowed(record: PolicyRecord) -> None:
    check_policy(record)


@pytest.mark.parametrize("key", [key for key, setting in SETTINGS.items() if setting.words != "value"])
def test_no_setting_is_a_table(key: str) -> None:
    with pytest.raises(PreconditionFailed, match=f"is not a valid {SETTINGS[key].words}"):
        check_policy(policy({key: {"a": 1}}))


# Which holds ----------------------------------------------------------------------------------------------------------


def policies(*records: PolicyRecord) -> Policies:
    found = Policies()
    for record in records:
        check_policy(record)
        found.put(record)
    return found


def names(found: Policies, record: QueueRecord | ExchangeRecord) -> tuple[str | None, str | None]:
    """The policy and the operator policy that hold."""
    one, operator = found.find(record, operator=False), found.find(record, operator=True)
    return one.name if one else None, operator.name if operator else None


def holders(found: Policies) -> list[str]:
    """The kinds for which there is a policy."""
    records: dict[str, QueueRecord | ExchangeRecord] = {
        "classic": queue("q"),
        "quorum": queue("q", queue_type="quorum"),
        "exchange": exchange("x"),
    }
    return [kind for kind, record in records.items() if found.find(record, operator=False)]


def test_a_pattern_is_searched_in_the_name() -> None:
    found = policies(policy({"max-length": 1}, "order", "anywhere"))
    assert names(found, queue("pre-orders")) == ("anywhere", None)
    assert names(found, queue("invoices")) == (None, None)


def test_the_highest_priority_holds_and_then_the_first_name() -> None:
    found = policies(
        policy({"max-length": 1}, name="low"),
        policy({"max-length": 2}, "^a", name="second", priority=1),
        policy({"max-length": 3}, "^a", name="first", priority=1),
    )
    assert names(found, queue("a")) == ("first", None)
    assert names(found, queue("b")) == ("low", None)
    assert found.effective_definition(queue("a")) == {"max-length": 3}  # of one policy only


@pytest.mark.parametrize(
    ("apply_to", "who"),
    [
        ("all", "classic quorum exchange"),
        ("queues", "classic quorum"),
        ("classic_queues", "classic"),
        ("quorum_queues", "quorum"),
        ("streams", ""),
        ("exchanges", "exchange"),
    ],
)
def test_a_policy_is_for_some_kinds(apply_to: str, who: str) -> None:
    found = policies(policy({"message-ttl": 1}, apply_to=apply_to))
    assert holders(found) == who.split()


@pytest.mark.parametrize(
    ("definition", "who"),
    [
        ({"max-length": 1, "delivery-limit": 5}, "quorum exchange"),
        ({"max-length": 1, "queue-mode": "lazy"}, "classic exchange"),
        ({"max-length": 1, "max-age": "1D"}, "exchange"),
    ],
)
def test_a_setting_that_a_type_of_queue_has_not_keeps_the_whole_policy_from_it(definition: Table, who: str) -> None:
    found = policies(policy(definition))
    assert holders(found) == who.split()


def test_a_delivery_limit_holds_for_classic_queues_when_they_are_named() -> None:
    found = policies(policy({"delivery-limit": 5}, apply_to="classic_queues"))
    assert found.rules_for(queue("q")).delivery_limit == 5


def test_putting_one_again_replaces_it_and_removing_it_is_the_end() -> None:
    found = policies(policy({"max-length": 1}), policy({"max-length": 2}), policy({"expires": 5}, operator=True))
    assert len(list(found)) == 2
    assert found.effective_definition(queue("q")) == {"max-length": 2, "expires": 5}
    assert found.remove("p", operator=False).definition == {"max-length": 2}
    assert found.get("p", operator=False) is None
    assert names(found, queue("q")) == (None, "p")
    with refused(NotFound, "no policy 'p'"):
        found.remove("p", operator=False)


# What it comes to -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("definition", "operator", "merged"),
    [
        ({"max-length": 5}, {"max-length": 3}, {"max-length": 3}),
        ({"max-length": 3}, {"max-length": 5}, {"max-length": 3}),
        ({"message-ttl": 3}, {"expires": 5}, {"message-ttl": 3, "expires": 5}),
        ({"overflow": "drop-head"}, {"overflow": "reject-publish"}, {"overflow": "reject-publish"}),
        ({"delivery-limit": -1}, {"delivery-limit": 5}, {"delivery-limit": 5}),
        ({"delivery-limit": 5}, {"delivery-limit": -1}, {"delivery-limit": 5}),
    ],
)
def test_an_operator_policy_limits_the_other(definition: Table, operator: Table, merged: Table) -> None:
    assert merge(definition, operator) == merged


def test_rules_come_from_arguments_and_both_policies() -> None:
    found = policies(
        policy({"message-ttl": 50, "max-length": 10, "dead-letter-exchange": "from policy", "overflow": "drop-head"}),
        policy({"max-length": 7, "expires": 1000, "overflow": "reject-publish"}, operator=True),
    )
    rules = found.rules_for(queue("q", message_ttl=20, max_length=100, dead_letter_exchange="from argument"))
    assert (rules.message_ttl, rules.max_length, rules.expires) == (20, 7, 1000)
    assert rules.dead_letter_exchange == "from argument"
    assert rules.overflow is Overflow.REJECT_PUBLISH
