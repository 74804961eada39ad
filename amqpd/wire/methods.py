"""Every method of AMQP 0-9-1 and those RabbitMQ adds, and their codec.

Must not decide anything: what a method does is told by the layers above, what its octets look like by ``grammar``.

Strategy: a method is declared once, as a frozen dataclass whose fields are the arguments in the order of the wire, each
annotated with its domain: ``queue: ShortStr`` is a str in Python and a ``SHORT_STRING`` in the grammar. At import the
grammar of a method is derived from its annotations and the class registered in ``METHODS``. What is right is read and
written by ``arguments``, from the same annotations; the grammar has the last word on all else, and says what is wrong.

Names are the specification's, with underscores. Arguments have the specification's defaults and are empty where it
gives none, so that one writes down only what matters. Reserved ones are never looked at. ``basic.publish`` and the
others that carry a message are here too, for tests and clients; the broker reads and writes those with ``fast``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from inspect import get_annotations
from itertools import groupby
from typing import Annotated, Any, ClassVar, TypeVar, dataclass_transform

from construct import Construct, ConstructError, Struct, Terminated

from amqpd.errors import FrameError, MalformedArguments, NotImplementedByServer
from amqpd.wire import arguments, grammar
from amqpd.wire.tables import FieldValue

Octet = Annotated[int, grammar.OCTET]
Short = Annotated[int, grammar.SHORT]
Long = Annotated[int, grammar.LONG]
LongLong = Annotated[int, grammar.LONGLONG]
ShortStr = Annotated[str, grammar.SHORT_STRING]
AnyShortStr = Annotated[str, grammar.ANY_SHORT_STRING]
LongStr = Annotated[bytes, grammar.LONG_STRING]
FieldTable = Annotated[dict[str, FieldValue], grammar.TABLE_BY_HAND]
Bit = Annotated[bool, grammar.bits]

_KINDS: dict[Construct, int] = {
    grammar.OCTET: 1,
    grammar.SHORT: 2,
    grammar.LONG: 4,
    grammar.LONGLONG: 8,
    grammar.SHORT_STRING: arguments.SHORT_STRING,
    grammar.ANY_SHORT_STRING: arguments.ANY_SHORT_STRING,
    grammar.LONG_STRING: arguments.LONG_STRING,
    grammar.TABLE_BY_HAND: arguments.TABLE,
}


class Method:
    """What all methods have. ``name`` is the specification's: ``queue.declare-ok``."""

    __slots__: tuple[str, ...] = ()

    class_id: ClassVar[int]
    method_id: ClassVar[int]
    name: ClassVar[str]
    layout: ClassVar[Construct]  # of the arguments
    kinds: ClassVar[tuple[int, ...]]  # of the same, for those who read them by hand


METHODS: dict[int, type[Method]] = {}  # by the first four octets of the payload: class id << 16 | method id

M = TypeVar("M", bound=Method)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def method(class_id: int, method_id: int, name: str) -> Callable[[type[M]], type[M]]:
    """Make a class body the dataclass of a method, derive its grammar and enter it in ``METHODS``."""

    def declare(body: type[M]) -> type[M]:
        declared = dataclass(frozen=True, slots=True)(body)
        declared.class_id = class_id
        declared.method_id = method_id
        declared.name = name
        declared.layout = Struct(*_layout(body), Terminated)
        declared.kinds = tuple(_kinds(body))
        METHODS[class_id << 16 | method_id] = declared
        return declared

    return declare


def _layout(body: type[Method]) -> Iterator[Construct]:
    """The elements of a method on the wire: one an argument, and one for each run of bits (4.2.5.2)."""
    for domain, names in _domains(body):
        if domain is grammar.bits:
            yield f"bits_from_{names[0]}" / domain(*names)
        else:
            yield from (name / domain for name in names)


def _kinds(body: type[Method]) -> Iterator[int]:
    """The same elements for ``arguments``."""
    for domain, names in _domains(body):
        if domain is grammar.bits:
            yield arguments.BITS + len(names)
        else:
            yield from [_KINDS[domain]] * len(names)


def _domains(body: type[Method]) -> Iterator[tuple[Any, list[str]]]:
    """Runs of arguments of one domain."""
    annotated = [(name, domain.__metadata__[0]) for name, domain in get_annotations(body).items()]
    for domain, run in groupby(annotated, key=lambda argument: argument[1]):
        yield domain, [name for name, _ in run]


def decode_method(payload: bytes) -> Method:
    """The method in the payload of a method frame (4.2.4): class id, method id, arguments.

    Raises MalformedArguments (502) where the arguments don't follow the grammar or octets are left over, with the ids
    of the class and method. RabbitMQ says 501 there, or closes the socket without a word; the specification has 502 for
    "illegal values for one or more fields". Raises NotImplementedByServer (540) for a method nobody knows, where
    RabbitMQ closes the socket too, and FrameError (501) for a payload too short to name one.
    """
    if len(payload) < 4:
        raise FrameError(f"type 1, all octets = <<{','.join(map(str, payload))}>>: unknown_frame")
    class_id, method_id = int.from_bytes(payload[:2], "big"), int.from_bytes(payload[2:4], "big")
    declared = METHODS.get(class_id << 16 | method_id)
    if declared is None:
        raise NotImplementedByServer(f"unknown method {class_id}.{method_id}", class_id, method_id)
    values = arguments.decode_arguments(declared.kinds, payload, 4)
    if values is not None:
        return declared(*values)
    try:
        return declared(**dict(grammar.values_of(declared.layout.parse(payload[4:]))))
    except (ConstructError, MalformedArguments) as error:
        raise MalformedArguments(
            f"cannot decode {declared.name}: {grammar.reason_of(error)}", class_id, method_id
        ) from None


def encode_method(method: Method) -> bytes:
    """The payload of the method frame.

    Raises ValueError where an argument doesn't fit its domain: a short string over 255 octets, a number out of range.
    """
    octets = arguments.encode_arguments(method.kinds, [getattr(method, name) for name in method.__slots__])
    if octets is None:
        try:
            octets = method.layout.build({name: getattr(method, name) for name in method.__slots__})
        except ConstructError as error:
            raise ValueError(f"cannot encode {method.name}: {grammar.reason_of(error)}") from None
    return method.class_id.to_bytes(2, "big") + method.method_id.to_bytes(2, "big") + octets


# class connection


@method(10, 10, "connection.start")
class ConnectionStart(Method):
    version_major: Octet = 0
    version_minor: Octet = 9
    server_properties: FieldTable = field(default_factory=dict)
    mechanisms: LongStr = b"PLAIN"
    locales: LongStr = b"en_US"


@method(10, 11, "connection.start-ok")
class ConnectionStartOk(Method):
    client_properties: FieldTable = field(default_factory=dict)
    mechanism: ShortStr = "PLAIN"
    response: LongStr = b""
    locale: ShortStr = "en_US"


@method(10, 20, "connection.secure")
class ConnectionSecure(Method):
    challenge: LongStr = b""


@method(10, 21, "connection.secure-ok")
class ConnectionSecureOk(Method):
    response: LongStr = b""


@method(10, 30, "connection.tune")
class ConnectionTune(Method):
    channel_max: Short = 0
    frame_max: Long = 0
    heartbeat: Short = 0


@method(10, 31, "connection.tune-ok")
class ConnectionTuneOk(Method):
    channel_max: Short = 0
    frame_max: Long = 0
    heartbeat: Short = 0


@method(10, 40, "connection.open")
class ConnectionOpen(Method):
    virtual_host: ShortStr = "/"
    reserved_1: ShortStr = ""
    reserved_2: Bit = False


@method(10, 41, "connection.open-ok")
class ConnectionOpenOk(Method):
    reserved_1: ShortStr = ""


@method(10, 50, "connection.close")
class ConnectionClose(Method):
    reply_code: Short = 0
    reply_text: ShortStr = ""
    failing_class_id: Short = 0  # class-id and method-id in the specification, which are this method's own here
    failing_method_id: Short = 0


@method(10, 51, "connection.close-ok")
class ConnectionCloseOk(Method):
    pass


@method(10, 60, "connection.blocked")
class ConnectionBlocked(Method):
    reason: ShortStr = ""


@method(10, 61, "connection.unblocked")
class ConnectionUnblocked(Method):
    pass


@method(10, 70, "connection.update-secret")
class ConnectionUpdateSecret(Method):
    new_secret: LongStr = b""
    reason: ShortStr = ""


@method(10, 71, "connection.update-secret-ok")
class ConnectionUpdateSecretOk(Method):
    pass


# class channel


@method(20, 10, "channel.open")
class ChannelOpen(Method):
    reserved_1: ShortStr = ""


@method(20, 11, "channel.open-ok")
class ChannelOpenOk(Method):
    reserved_1: LongStr = b""


@method(20, 20, "channel.flow")
class ChannelFlow(Method):
    active: Bit = False


@method(20, 21, "channel.flow-ok")
class ChannelFlowOk(Method):
    active: Bit = False


@method(20, 40, "channel.close")
class ChannelClose(Method):
    reply_code: Short = 0
    reply_text: ShortStr = ""
    failing_class_id: Short = 0  # class-id and method-id in the specification, which are this method's own here
    failing_method_id: Short = 0


@method(20, 41, "channel.close-ok")
class ChannelCloseOk(Method):
    pass


# class access


@method(30, 10, "access.request")
class AccessRequest(Method):
    realm: ShortStr = "/data"
    exclusive: Bit = False
    passive: Bit = True
    active: Bit = True
    write: Bit = True
    read: Bit = True


@method(30, 11, "access.request-ok")
class AccessRequestOk(Method):
    ticket: Short = 1


# class exchange


@method(40, 10, "exchange.declare")
class ExchangeDeclare(Method):
    reserved_1: Short = 0
    exchange: ShortStr = ""
    type: ShortStr = "direct"
    passive: Bit = False
    durable: Bit = False
    auto_delete: Bit = False
    internal: Bit = False
    no_wait: Bit = False
    arguments: FieldTable = field(default_factory=dict)


@method(40, 11, "exchange.declare-ok")
class ExchangeDeclareOk(Method):
    pass


@method(40, 20, "exchange.delete")
class ExchangeDelete(Method):
    reserved_1: Short = 0
    exchange: ShortStr = ""
    if_unused: Bit = False
    no_wait: Bit = False


@method(40, 21, "exchange.delete-ok")
class ExchangeDeleteOk(Method):
    pass


@method(40, 30, "exchange.bind")
class ExchangeBind(Method):
    reserved_1: Short = 0
    destination: ShortStr = ""
    source: ShortStr = ""
    routing_key: ShortStr = ""
    no_wait: Bit = False
    arguments: FieldTable = field(default_factory=dict)


@method(40, 31, "exchange.bind-ok")
class ExchangeBindOk(Method):
    pass


@method(40, 40, "exchange.unbind")
class ExchangeUnbind(Method):
    reserved_1: Short = 0
    destination: ShortStr = ""
    source: ShortStr = ""
    routing_key: ShortStr = ""
    no_wait: Bit = False
    arguments: FieldTable = field(default_factory=dict)


@method(40, 51, "exchange.unbind-ok")
class ExchangeUnbindOk(Method):
    pass


# class queue


@method(50, 10, "queue.declare")
class QueueDeclare(Method):
    reserved_1: Short = 0
    queue: ShortStr = ""
    passive: Bit = False
    durable: Bit = False
    exclusive: Bit = False
    auto_delete: Bit = False
    no_wait: Bit = False
    arguments: FieldTable = field(default_factory=dict)


@method(50, 11, "queue.declare-ok")
class QueueDeclareOk(Method):
    queue: ShortStr = ""
    message_count: Long = 0
    consumer_count: Long = 0


@method(50, 20, "queue.bind")
class QueueBind(Method):
    reserved_1: Short = 0
    queue: ShortStr = ""
    exchange: ShortStr = ""
    routing_key: ShortStr = ""
    no_wait: Bit = False
    arguments: FieldTable = field(default_factory=dict)


@method(50, 21, "queue.bind-ok")
class QueueBindOk(Method):
    pass


@method(50, 30, "queue.purge")
class QueuePurge(Method):
    reserved_1: Short = 0
    queue: ShortStr = ""
    no_wait: Bit = False


@method(50, 31, "queue.purge-ok")
class QueuePurgeOk(Method):
    message_count: Long = 0


@method(50, 40, "queue.delete")
class QueueDelete(Method):
    reserved_1: Short = 0
    queue: ShortStr = ""
    if_unused: Bit = False
    if_empty: Bit = False
    no_wait: Bit = False


@method(50, 41, "queue.delete-ok")
class QueueDeleteOk(Method):
    message_count: Long = 0


@method(50, 50, "queue.unbind")
class QueueUnbind(Method):
    reserved_1: Short = 0
    queue: ShortStr = ""
    exchange: ShortStr = ""
    routing_key: ShortStr = ""
    arguments: FieldTable = field(default_factory=dict)


@method(50, 51, "queue.unbind-ok")
class QueueUnbindOk(Method):
    pass


# class basic


@method(60, 10, "basic.qos")
class BasicQos(Method):
    prefetch_size: Long = 0
    prefetch_count: Short = 0
    global_: Bit = False


@method(60, 11, "basic.qos-ok")
class BasicQosOk(Method):
    pass


@method(60, 20, "basic.consume")
class BasicConsume(Method):
    reserved_1: Short = 0
    queue: ShortStr = ""
    consumer_tag: ShortStr = ""
    no_local: Bit = False
    no_ack: Bit = False
    exclusive: Bit = False
    no_wait: Bit = False
    arguments: FieldTable = field(default_factory=dict)


@method(60, 21, "basic.consume-ok")
class BasicConsumeOk(Method):
    consumer_tag: ShortStr = ""


@method(60, 30, "basic.cancel")
class BasicCancel(Method):
    consumer_tag: ShortStr = ""
    no_wait: Bit = False


@method(60, 31, "basic.cancel-ok")
class BasicCancelOk(Method):
    consumer_tag: ShortStr = ""


@method(60, 40, "basic.publish")
class BasicPublish(Method):
    reserved_1: Short = 0
    exchange: AnyShortStr = ""
    routing_key: AnyShortStr = ""
    mandatory: Bit = False
    immediate: Bit = False


@method(60, 50, "basic.return")
class BasicReturn(Method):
    reply_code: Short = 0
    reply_text: AnyShortStr = ""
    exchange: AnyShortStr = ""
    routing_key: AnyShortStr = ""


@method(60, 60, "basic.deliver")
class BasicDeliver(Method):
    consumer_tag: AnyShortStr = ""
    delivery_tag: LongLong = 0
    redelivered: Bit = False
    exchange: AnyShortStr = ""
    routing_key: AnyShortStr = ""


@method(60, 70, "basic.get")
class BasicGet(Method):
    reserved_1: Short = 0
    queue: ShortStr = ""
    no_ack: Bit = False


@method(60, 71, "basic.get-ok")
class BasicGetOk(Method):
    delivery_tag: LongLong = 0
    redelivered: Bit = False
    exchange: AnyShortStr = ""
    routing_key: AnyShortStr = ""
    message_count: Long = 0


@method(60, 72, "basic.get-empty")
class BasicGetEmpty(Method):
    reserved_1: ShortStr = ""


@method(60, 80, "basic.ack")
class BasicAck(Method):
    delivery_tag: LongLong = 0
    multiple: Bit = False


@method(60, 90, "basic.reject")
class BasicReject(Method):
    delivery_tag: LongLong = 0
    requeue: Bit = True


@method(60, 100, "basic.recover-async")
class BasicRecoverAsync(Method):
    requeue: Bit = False


@method(60, 110, "basic.recover")
class BasicRecover(Method):
    requeue: Bit = False


@method(60, 111, "basic.recover-ok")
class BasicRecoverOk(Method):
    pass


@method(60, 120, "basic.nack")
class BasicNack(Method):
    delivery_tag: LongLong = 0
    multiple: Bit = False
    requeue: Bit = True


# class confirm


@method(85, 10, "confirm.select")
class ConfirmSelect(Method):
    no_wait: Bit = False


@method(85, 11, "confirm.select-ok")
class ConfirmSelectOk(Method):
    pass


# class tx


@method(90, 10, "tx.select")
class TxSelect(Method):
    pass


@method(90, 11, "tx.select-ok")
class TxSelectOk(Method):
    pass


@method(90, 20, "tx.commit")
class TxCommit(Method):
    pass


@method(90, 21, "tx.commit-ok")
class TxCommitOk(Method):
    pass


@method(90, 30, "tx.rollback")
class TxRollback(Method):
    pass


@method(90, 31, "tx.rollback-ok")
class TxRollbackOk(Method):
    pass
