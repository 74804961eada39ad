"""Whether a broker is there, found out from outside: what ``amqpd ping`` does.

Nobody has to log in for that: a broker answers the protocol header with connection.start, and says there what it is;
and its metrics port says whether it takes clients now. Whatever answers, and however slowly, there is one limit of time
for all of it, but for looking up a name: that has the system's own. Little is imported, since this is run every few
seconds where something looks after a broker.
"""

import json
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack

from amqpd.errors import MalformedArguments
from amqpd.wire.constants import FRAME_END, FRAME_HEAD_SIZE, FRAME_METHOD, FRAME_OVERHEAD, PROTOCOL_HEADER
from amqpd.wire.fast import unpack_frame_head
from amqpd.wire.tables import Table, decode_table

ANSWER_MAX = 65_536
"""Octets of an answer that are looked at; those that are meant here have some hundred."""

SHOWN_MAX = 64
"""Characters, or octets, of what the other side says that are shown."""

LOCAL = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where to ask for what listens on every address."""

START = b"\x00\x0a\x00\x0a\x00\x09"
"""How connection.start begins: its class, its method, and the version 0-9."""

READY = b"GET /health/ready HTTP/1.0\r\nConnection: close\r\n\r\n"


class NoAnswer(Exception):
    """There is no broker, or not the answer that one gives. The text says what there is instead."""


def ask_who(host: str, port: int, timeout_s: float) -> str:
    """Product and version of the AMQP 0-9-1 broker that listens there. NoAnswer."""
    answer = _ask(host, port, timeout_s, PROTOCOL_HEADER, _is_enough)
    properties = _server_properties(answer)
    if properties is None:
        what = f"says {answer[:16]!r}" if answer else "closes the connection"
        raise NoAnswer(f"no AMQP 0-9-1 broker: it {what}")
    said = [properties.get(key) for key in ("product", "version")]
    name = " ".join(value for value in said if isinstance(value, str))
    return _shown(name)


def ask_ready(host: str, port: int, timeout_s: float) -> list[str]:
    """What keeps the broker with this metrics port from taking clients now; nothing: it takes them. NoAnswer."""
    answer = _ask(host, port, timeout_s, READY, is_enough=lambda _: False)
    head, _, body = answer.partition(b"\r\n\r\n")
    first = head.partition(b"\r\n")[0]
    reasons = _reasons(body)
    if reasons is None or (not reasons and first.split()[1:2] != [b"200"]):
        raise NoAnswer(f"no metrics port of amqpd: it says {first[:SHOWN_MAX]!r}")
    return [_shown(reason) for reason in reasons]


def _reasons(body: bytes) -> list[str] | None:
    """Those of an answer; None if it is not one about them."""
    try:
        reasons = json.loads(body)["reasons"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return reasons if isinstance(reasons, list) and all(isinstance(each, str) for each in reasons) else None


def _shown(text: str) -> str:
    """Its beginning, for a terminal, which would obey some characters."""
    begins = text[:SHOWN_MAX]
    return begins if begins.isprintable() else repr(begins)


def _ask(host: str, port: int, timeout_s: float, question: bytes, is_enough: Callable[[bytes], bool]) -> bytes:
    """What comes back, until it is enough, nothing more comes, or it is too much to be what is expected."""
    deadline = time.monotonic() + timeout_s
    answer = b""
    try:
        with _connect(LOCAL.get(host, host), port, deadline) as connected:
            connected.settimeout(_left(deadline))
            connected.sendall(question)
            while not is_enough(answer) and len(answer) < ANSWER_MAX:
                connected.settimeout(_left(deadline))
                data = connected.recv(ANSWER_MAX)
                if not data:
                    break
                answer += data
    except TimeoutError:
        raise NoAnswer(f"no answer within {timeout_s:g} s") from None
    except OSError as error:
        raise NoAnswer(error.strerror or str(error)) from None
    return answer


def _connect(host: str, port: int, deadline: float) -> socket.socket:
    """The first address of ``host`` that lets us in. socket.create_connection would give each of them all the time."""
    failure = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        try:
            with ExitStack() as failing:
                connected = failing.enter_context(socket.socket(family, kind, protocol))
                connected.settimeout(_left(deadline))
                connected.connect(address)
                failing.pop_all()
                return connected
        except OSError as error:
            failure = error
    raise failure


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.001)


def _server_properties(answer: bytes) -> Table | None:
    """Those of connection.start; None if it is not that."""
    if not (_is_method(answer) and answer.startswith(START, FRAME_HEAD_SIZE)):
        return None
    try:
        return decode_table(answer, FRAME_HEAD_SIZE + len(START))[0]
    except MalformedArguments:
        return None


def _is_method(data: bytes) -> bool:
    """One frame, whole, and nothing behind it."""
    if len(data) < FRAME_OVERHEAD or data[0] != FRAME_METHOD:
        return False
    return len(data) == unpack_frame_head(data, 0)[2] + FRAME_OVERHEAD and data[-1] == FRAME_END


def _is_enough(data: bytes) -> bool:
    """It is a method, or cannot become one."""
    return _is_method(data) or data[:1] not in (b"", bytes([FRAME_METHOD]))
