"""Definitions: what a RabbitMQ has declared comes up here, and what is declared here goes out in the same form."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.auth.passwords import SHA256, PasswordHash
from amqpd.broker.broker import Broker
from amqpd.broker.definitions import DefinitionsUnusable, Imported, export_definitions, import_definitions
from amqpd.broker.definitions.exporting import as_json
from amqpd.broker.definitions.items import READERS
from amqpd.broker.records import PolicyRecord, TopicPermissionRecord, UserRecord
from amqpd.errors import NotAllowed
from amqpd.wire.numbers import Float, Long, Timestamp
from amqpd.wire.tables import make_decimal
from tests.broker.support import Disk, Peer, refused

RABBITMQ = Path(__file__).parent / "rabbitmq-3.10-definitions.json"
"""A dump by ``rabbitmqctl export_definitions`` of RabbitMQ 3.10.8, with a little of everything."""


@pytest.fixture
def rabbitmq() -> dict[str, Any]:
    definitions: dict[str, Any] = json.loads(RABBITMQ.read_bytes())
    return definitions


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def kept(disk: Disk) -> Broker:
    return Broker(disk)


def problems(broker: Broker, definitions: object, vhost: str | None = None) -> list[str]:
    """What is wrong with these; and nothing is changed by them."""
    before = export_definitions(broker.records())
    with pytest.raises(DefinitionsUnusable) as caught:
        import_definitions(broker, definitions, vhost)
    assert export_definitions(broker.records()) == before
    return caught.value.problems


def queue(name: str, vhost: str = "/", **fields: Any) -> dict[str, Any]:
    return {"name": name, "vhost": vhost, "durable": True, "auto_delete": False, "arguments": {}, **fields}


def binding(source: str, destination: str, key: str = "", kind: str = "queue", **fields: Any) -> dict[str, Any]:
    ends = {"source": source, "destination": destination, "destination_type": kind}
    return {"vhost": "/", "routing_key": key, "arguments": {}, **ends, **fields}


# From a RabbitMQ ------------------------------------------------------------------------------------------------------


def test_what_a_rabbitmq_has_comes_up_here(kept: Broker, rabbitmq: dict[str, Any]) -> None:
    import_definitions(kept, rabbitmq, at_start=True)
    assert kept.users.authenticate("alice", b"wonderland", loopback=False)
    kept.connect("ops", "staging")
    guest, alice = Peer(kept.connect("guest", "staging")), Peer(kept.connect("alice", "staging"))

    alice.session.publish("orders", "alice.order", b"")
    guest.session.publish("orders", "eu.order", b"for the eu")
    guest.session.publish("orders", "nowhere", b"unrouted")
    guest.session.publish("amq.topic", "very.late", b"late")
    assert guest.empty("orders.eu") == ["for the eu"]
    assert guest.empty("caught") == ["", "unrouted", "late"]

    vhost = kept.vhosts["staging"]
    rules = vhost.queues["orders.eu"].rules
    assert (rules.message_ttl, rules.max_length, rules.expires) == (30_000, 500, 86_400_000)
    assert vhost.queues["orders.us"].rules.delivery_limit == 5
    assert vhost.exchanges["shards"].alternate == "unrouted"


def test_what_it_has_and_we_have_not_is_left_out_and_told(kept: Broker, rabbitmq: dict[str, Any]) -> None:
    name = next(queue["name"] for queue in rabbitmq["queues"] if queue["name"].startswith("amq.gen-"))
    imported = import_definitions(kept, rabbitmq, at_start=True)
    assert imported.left_out == [
        "queues[3] 'log' in vhost 'staging': there are no queues of type stream",
        f"queues[5] '{name}' in vhost 'staging': a queue that the server named for a client is not imported",
        "bindings[2] 'orders -> log' in vhost 'staging': the queue 'log' is not there",
        f"bindings[5] 'orders -> {name}' in vhost 'staging': the queue '{name}' is not there",
    ]
    assert imported.without_effect == [
        "users[1] 'alice': limits have no effect",
        "parameters[1] 'limits' in vhost 'staging': a parameter of vhost-limits has no effect",
        "global_parameters[0] 'mqtt_default_vhosts': a global parameter has no effect",
    ]


def test_it_is_all_there_again_after_a_restart(kept: Broker, disk: Disk, rabbitmq: dict[str, Any]) -> None:
    import_definitions(kept, rabbitmq, at_start=True)
    before, after = (export_definitions(broker.records()) for broker in (kept, Broker(Disk.after(disk))))
    for definitions in (before, after):  # what is transient does not survive
        definitions["queues"] = [queue for queue in definitions["queues"] if queue["durable"]]
        definitions["exchanges"] = [exchange for exchange in definitions["exchanges"] if exchange["durable"]]
    assert after == before


def test_what_is_there_already_is_not_written_again(kept: Broker, disk: Disk, rabbitmq: dict[str, Any]) -> None:
    assert import_definitions(kept, rabbitmq, at_start=True).changed > 30
    written = disk.written
    again = import_definitions(kept, rabbitmq, at_start=True)
    assert (again.changed, disk.written) == (0, written)


def test_what_goes_out_comes_in_as_it_was(kept: Broker, rabbitmq: dict[str, Any]) -> None:
    import_definitions(kept, rabbitmq, at_start=True)
    ours = json.loads(json.dumps(export_definitions(kept.records())))
    other = Broker()
    imported = import_definitions(other, ours, at_start=True)
    assert (imported.left_out, imported.without_effect) == ([], [])
    assert export_definitions(other.records()) == ours


# Out of here ----------------------------------------------------------------------------------------------------------


def test_each_record_has_its_form(kept: Broker) -> None:
    kept.put_user(UserRecord("alice", "", SHA256, "management,policymaker"))
    kept.set_permission(TopicPermissionRecord("/", "alice", "amq.topic", "^a", "^b"))
    peer = Peer(kept.connect())
    peer.session.declare_exchange("x", "topic", auto_delete=True, internal=True, arguments={"alternate-exchange": "y"})
    peer.declare("q", durable=True, x_queue_type="quorum")
    peer.session.bind("q", "x", "a.*", {"x": 1})
    peer.session.bind("x", "amq.direct", "b", destination_kind="exchange")
    peer.session.set_policy("p", "^q", {"max-length": 2}, "queues", 3)
    peer.session.set_policy("o", "^q", {"expires": 5}, operator=True)
    found = export_definitions(kept.records())
    assert found["vhosts"] == [{"name": "/"}]
    assert found["users"][0] == {
        "name": "alice",
        "password_hash": "",
        "hashing_algorithm": SHA256,
        "tags": ["management", "policymaker"],
        "limits": {},
    }
    assert found["permissions"] == [{"user": "guest", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}]
    assert found["topic_permissions"] == [
        {"user": "alice", "vhost": "/", "exchange": "amq.topic", "write": "^a", "read": "^b"}
    ]
    assert found["exchanges"] == [
        {
            "name": "x",
            "vhost": "/",
            "type": "topic",
            "durable": False,
            "auto_delete": True,
            "internal": True,
            "arguments": {"alternate-exchange": "y"},
        }
    ]
    assert found["queues"] == [queue("q", type="quorum", arguments={"x-queue-type": "quorum"})]
    assert found["bindings"] == [
        binding("amq.direct", "x", "b", "exchange"),
        binding("x", "q", "a.*", arguments={"x": 1}),
    ]
    assert found["policies"] == [
        {
            "vhost": "/",
            "name": "p",
            "pattern": "^q",
            "definition": {"max-length": 2},
            "apply-to": "queues",
            "priority": 3,
        }
    ]
    operator = {"pattern": "^q", "definition": {"expires": 5}, "apply-to": "all", "priority": 0}
    assert found["parameters"] == [{"vhost": "/", "name": "o", "component": "operator_policy", "value": operator}]


def test_what_is_private_does_not_go_out(peer: Peer, broker: Broker) -> None:
    name = peer.session.declare_queue(durable=True)[0]
    peer.session.declare_queue("mine", exclusive=True)
    peer.session.consume("amq.rabbitmq.reply-to", no_ack=True)
    for destination in (name, "mine"):
        peer.session.bind(destination, "amq.fanout")
    found = export_definitions(broker.records())
    assert (found["queues"], found["exchanges"], found["bindings"], found["users"]) == ([], [], [], [])


def test_values_that_json_has_not_go_out_as_what_is_near() -> None:
    assert as_json(
        {"octets": b"\xff", "decimal": make_decimal(1, 15), "at": Timestamp(7), "nested": [{"n": None}]}
    ) == {
        "octets": "\udcff",
        "decimal": 1.5,
        "at": 7,
        "nested": [{"n": None}],
    }
    assert as_json([Float("inf"), Long(1), True]) == ["inf", 1, True]


# A single vhost -------------------------------------------------------------------------------------------------------


def test_one_vhost_goes_out_and_comes_in_as_another(kept: Broker, rabbitmq: dict[str, Any]) -> None:
    import_definitions(kept, rabbitmq, at_start=True)
    staging = json.loads(json.dumps(export_definitions(kept.records(), "staging")))
    assert not {"users", "vhosts", "permissions"} & set(staging)
    assert "staging" not in json.dumps(staging)
    kept.add_vhost("copy")
    import_definitions(kept, staging, "copy")
    assert export_definitions(kept.records(), "copy") == staging
    with pytest.raises(DefinitionsUnusable, match="names no vhost"):
        import_definitions(kept, staging)


def test_of_whole_definitions_a_vhost_takes_what_can_lie_in_one(kept: Broker, rabbitmq: dict[str, Any]) -> None:
    import_definitions(kept, rabbitmq, "/")
    assert list(kept.vhosts) == ["/"]
    assert [user.name for user in kept.users] == ["guest"]
    assert "orders.eu" in kept.vhosts["/"].queues


def test_a_vhost_that_is_not_there_takes_nothing(kept: Broker) -> None:
    assert problems(kept, {"queues": [queue("q")]}, "nope") == ["there is no vhost 'nope' to import them into"]


# What is lenient ------------------------------------------------------------------------------------------------------


def test_definitions_may_be_short(kept: Broker) -> None:
    assert import_definitions(kept, {}) == Imported()
    definitions = {
        "rabbit_version": "3.6.0",
        "something new": {},
        "exchanges": [{"name": "x", "vhost": "/", "type": "direct"}, {"name": "amq.direct"}, {"name": ""}],
        "queues": [{"name": "q", "vhost": "/", "arguments": []}],
        "bindings": [binding("", "q", "q"), binding("x", "q", arguments=None)],
        "policies": [{"name": "p", "vhost": "/", "pattern": ".*", "definition": [["max-length", 2]]}],
        "permissions": None,
    }
    imported = import_definitions(kept, definitions)
    assert (imported.changed, imported.left_out) == (4, [])
    vhost = kept.vhosts["/"]
    assert vhost.queues["q"].record.durable
    assert vhost.exchanges["x"].record.durable
    assert list(vhost.policies) == [PolicyRecord("/", "p", ".*", {"max-length": 2}, "all", 0)]


@pytest.mark.parametrize("tags", ["administrator, monitoring", ["administrator", "monitoring"]])
def test_tags_are_a_text_or_a_list(kept: Broker, tags: object) -> None:
    import_definitions(kept, {"users": [{"name": "alice", "password_hash": "", "tags": tags}]})
    assert kept.users.tags("alice") == {"administrator", "monitoring"}


def test_a_password_may_be_in_clear_text(kept: Broker, disk: Disk) -> None:
    definitions = {"users": [{"name": "alice", "password": "s3cret", "tags": ""}]}
    import_definitions(kept, definitions)
    assert kept.users.authenticate("alice", b"s3cret", loopback=False)
    assert "s3cret" not in repr(disk.kept)
    assert import_definitions(kept, definitions).changed == 0
    definitions["users"][0]["tags"] = "monitoring"
    assert import_definitions(kept, definitions).changed == 1


def test_a_type_that_only_the_queue_itself_names_is_an_argument(kept: Broker) -> None:
    import_definitions(kept, {"queues": [queue("q", type="quorum")]})
    assert kept.vhosts["/"].queues["q"].record.arguments == {"x-queue-type": "quorum"}


def test_values_come_in_as_rabbitmq_has_them(kept: Broker) -> None:
    arguments = {"x-a": 1, "x-b": 1 << 40, "x-c": 1.5, "x-d": True, "x-e": "ä", "x-f": [{"y": None}], "x-g": {"z": -1}}
    import_definitions(kept, {"queues": [queue("q", arguments=arguments)]})
    assert kept.vhosts["/"].queues["q"].record.arguments == arguments


# What is there already ------------------------------------------------------------------------------------------------


def test_users_permissions_and_policies_become_what_is_said(kept: Broker, rabbitmq: dict[str, Any]) -> None:
    import_definitions(kept, rabbitmq, at_start=True)
    rabbitmq["users"][1] |= {"password_hash": PasswordHash.of(b"looking glass").encode(), "tags": ["monitoring"]}
    rabbitmq["permissions"][0]["configure"] = ""
    rabbitmq["policies"][0]["priority"] = 9
    assert import_definitions(kept, rabbitmq).changed == 3
    assert kept.users.authenticate("alice", b"looking glass", loopback=False).tags == {"monitoring"}
    assert export_definitions(kept.records())["policies"][0]["priority"] == 9


def test_queues_and_exchanges_stay_as_they_are_and_that_is_told(peer: Peer, broker: Broker) -> None:
    peer.declare("q")
    peer.session.declare_exchange("x", "fanout")
    definitions = {
        "queues": [queue("q")],
        "exchanges": [{"name": "x", "vhost": "/", "type": "topic", "durable": False}],
        "bindings": [binding("x", "q", "key")],
    }
    imported = import_definitions(broker, definitions)
    assert [text.split(": inequivalent arg ") for text in imported.left_out] == [
        [
            "exchanges[0] 'x' in vhost '/': is there already and stays as it is",
            "'type' for exchange 'x' in vhost '/': received 'topic' but current is 'fanout'",
        ],
        [
            "queues[0] 'q' in vhost '/': is there already and stays as it is",
            "'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'",
        ],
    ]
    peer.session.publish("x", "", b"bound")
    assert peer.empty("q") == ["bound"]


def test_with_users_from_the_start_there_is_no_default_user(kept: Broker, disk: Disk) -> None:
    definitions = {"users": [{"name": "alice", "password": "s3cret", "tags": "administrator"}]}
    import_definitions(kept, definitions, at_start=True)
    for broker in (kept, Broker(Disk.after(disk))):
        assert [user.name for user in broker.users] == ["alice"]
        with refused(NotAllowed, "access to vhost '/' refused for user 'guest'"):
            broker.connect()


def test_users_that_come_in_later_do_not_shut_out_the_default_user(kept: Broker, disk: Disk) -> None:
    import_definitions(kept, {"users": [{"name": "alice", "password": "s3cret"}]})
    assert [user.name for user in Broker(Disk.after(disk)).users] == ["guest", "alice"]


# What is wrong --------------------------------------------------------------------------------------------------------

WRONG: list[tuple[object, str]] = [
    ([], "they are not a JSON object"),
    ({"queues": {"q": 1}}, "queues is not a list"),
    ({"queues": ["q"]}, "queues[0] is not an object"),
    ({"queues": [{"vhost": "/"}]}, "queues[0] 'None' in vhost '/': has no name"),
    ({"vhosts": [{"name": ""}]}, "vhosts[0] '': invalid vhost name '': it must have 1 to 255 octets"),
    ({"queues": [queue("q", vhost="nope")]}, "queues[0] 'q' in vhost 'nope': there is no vhost 'nope'"),
    (
        {"queues": [{"name": "q"}]},
        "queues[0] 'q': names no vhost: definitions of a single one can only be imported into one that is named",
    ),
    ({"queues": [queue("q", durable="yes")]}, "queues[0] 'q' in vhost '/': durable is neither true nor false"),
    ({"queues": [queue("q" * 256)]}, f"queues[0] '{'q' * 256}' in vhost '/': name has more than 255 octets"),
    ({"queues": [queue("\ud800")]}, "queues[0] '\ud800' in vhost '/': name is not Unicode"),
    (
        {"queues": [queue("ok"), queue("q", arguments={"x-message-ttl": -1})]},
        "queues[1] 'q' in vhost '/': invalid arg 'x-message-ttl' for queue 'q' in vhost '/': {value_negative,-1}",
    ),
    (
        {"queues": [queue("q", arguments={"x": 1 << 70})]},
        f"queues[0] 'q' in vhost '/': arguments: {1 << 70} does not fit a field of type long",
    ),
    ({"queues": [queue("q", arguments=["x"])]}, "queues[0] 'q' in vhost '/': arguments is not an object"),
    ({"exchanges": [{"name": "x", "vhost": "/"}]}, "exchanges[0] 'x' in vhost '/': has no type"),
    (
        {"exchanges": [{"name": "x", "vhost": "/", "type": "direct", "arguments": {"alternate-exchange": 1}}]},
        (
            "exchanges[0] 'x' in vhost '/': invalid type 'signedint' for arg 'alternate-exchange' in exchange 'x' in "
            "vhost '/'"
        ),
    ),
    ({"bindings": [binding("amq.direct", "q")]}, "bindings[0] 'amq.direct -> q' in vhost '/': there is no queue 'q'"),
    (
        {"bindings": [binding("x", "amq.direct", kind="exchange")]},
        "bindings[0] 'x -> amq.direct' in vhost '/': there is no exchange 'x'",
    ),
    (
        {"bindings": [binding("x", "q", kind="topic")]},
        "bindings[0] 'x -> q' in vhost '/': destination_type is neither queue nor exchange",
    ),
    ({"users": [{"name": "u", "password_hash": "AAAA"}]}, f"users[0] 'u': password hash has 3 octets, {SHA256} has 36"),
    ({"users": [{"name": "u", "password_hash": 1}]}, "users[0] 'u': password_hash is not a text"),
    ({"users": [{"name": "u", "tags": [1]}]}, "users[0] 'u': tags is neither a list of texts nor a text"),
    (
        {"permissions": [{"user": "nobody", "vhost": "/", "configure": "", "write": "", "read": ""}]},
        "permissions[0] 'nobody' in vhost '/': there is no user 'nobody'",
    ),
    (
        {"permissions": [{"user": "guest", "vhost": "/", "configure": "a**", "write": "", "read": ""}]},
        "permissions[0] 'guest' in vhost '/': 'a**' is not a regular expression: multiple repeat at position 2",
    ),
    ({"permissions": [{"user": "guest", "vhost": "/"}]}, "permissions[0] 'guest' in vhost '/': has no configure"),
    (
        {"policies": [{"name": "p", "vhost": "/", "pattern": "", "definition": {"max-length": -1}}]},
        "policies[0] 'p' in vhost '/': -1 is not a valid maximum length",
    ),
    (
        {"policies": [{"name": "p", "vhost": "/", "pattern": "", "definition": {"max-length": 1}, "priority": "1"}]},
        "policies[0] 'p' in vhost '/': priority is not a whole number",
    ),
    (
        {"policies": [{"name": "p", "vhost": "/", "pattern": "", "definition": {"expires": 1}, "priority": 1 << 70}]},
        "policies[0] 'p' in vhost '/': priority does not fit 64 bits",
    ),
    ({"users": [{"name": "u", "tags": ["\ud800"]}]}, "users[0] 'u': tags is not Unicode"),
    (
        {"policies": [{"name": "\n", "vhost": "/", "pattern": "", "definition": {"expires": 1}}]},
        "policies[0] '\n' in vhost '/': the name of a policy is a text of 1 to 255 characters",
    ),
    (
        {"parameters": [{"name": "p", "vhost": "/", "component": "operator_policy", "value": 1}]},
        "parameters[0] 'p' in vhost '/': value is not an object",
    ),
]


@pytest.mark.parametrize(("definitions", "problem"), WRONG, ids=[text[:60] for _, text in WRONG])
def test_what_is_wrong_is_told_with_its_place_and_nothing_changes(definitions: object, problem: str) -> None:
    assert problems(Broker(), definitions) == [problem]


def test_everything_that_is_wrong_is_told_at_once(kept: Broker, disk: Disk) -> None:
    definitions = {
        "vhosts": [{"name": "fine"}],
        "queues": [queue("fine", "fine"), queue("one", durable=1), queue("two", "nope")],
        "policies": [{"name": "p", "vhost": "/"}],
    }
    assert problems(kept, definitions) == [
        "policies[0] 'p' in vhost '/': has no pattern",
        "queues[1] 'one' in vhost '/': durable is neither true nor false",
        "queues[2] 'two' in vhost 'nope': there is no vhost 'nope'",
    ]
    assert disk.kept == []


def test_what_is_found_wrong_when_it_is_declared_is_told_too(kept: Broker) -> None:
    definitions = {
        "exchanges": [{"name": "x", "vhost": "/", "type": "x-consistent-hash"}],
        "queues": [queue("q")],
        "bindings": [binding("x", "q", "no weight"), binding("x", "q", "2")],
    }
    with pytest.raises(DefinitionsUnusable) as caught:
        import_definitions(kept, definitions)
    [problem] = caught.value.problems
    assert problem.startswith("bindings[0] 'x -> q' in vhost '/': The binding key must be an integer")
    assert [bound.record.routing_key for bound in kept.vhosts["/"].exchanges["x"].bindings.values()] == ["2"]


def test_no_password_is_in_what_is_told(kept: Broker) -> None:
    users = [{"name": "u", "password": "s3cret", "tags": 1}, {"name": "v", "password_hash": "c2VjcmV0"}]
    told = problems(kept, {"users": users})
    assert len(told) == 2
    assert not any(secret in text for text in told for secret in ("s3cret", "c2VjcmV0"))


def test_a_password_that_is_not_unicode_is_refused(kept: Broker) -> None:
    assert problems(kept, {"users": [{"name": "u", "password": "\ud800"}]}) == ["users[0] 'u': password is not Unicode"]


@given(
    st.dictionaries(
        st.sampled_from([*READERS, "metadata"]),
        st.lists(
            st.dictionaries(
                st.sampled_from(["name", "vhost", "metadata", "tags", "password", "definition", "pattern", "priority"]),
                st.one_of(
                    st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.just({}), st.just(["\ud800"])
                ),
            ),
            max_size=3,
        ),
    )
)
def test_whatever_they_say_they_are_imported_or_refused(definitions: dict[str, Any]) -> None:
    broker = Broker(Disk())
    with suppress(DefinitionsUnusable):
        import_definitions(broker, definitions)
