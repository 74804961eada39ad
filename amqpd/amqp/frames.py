"""What can be wrong with a frame, in RabbitMQ's words.

"A peer MUST NOT send frames larger than the agreed-upon size", frames end with 0xCE, and are of four types (4.2.3).
None of it can be mended, so all of it closes the connection.
"""

from amqpd.errors import FrameError, UnexpectedFrame

SNIPPET_SIZE = 16


def bad_frame(kind: int, payload: bytes, reason: str) -> FrameError:
    """501: the frame's form is wrong."""
    return FrameError(f"{_describe(kind, payload)}: {reason}")


def misplaced_frame(kind: int, payload: bytes) -> UnexpectedFrame:
    """505: a frame of this type has no place on this channel."""
    return UnexpectedFrame(_describe(kind, payload))


def _describe(kind: int, payload: bytes) -> str:
    amount = "all" if len(payload) <= SNIPPET_SIZE else f"first {SNIPPET_SIZE}"
    return f"type {kind}, {amount} octets = {_as_erlang(payload[:SNIPPET_SIZE])}"


def _as_erlang(octets: bytes) -> str:
    """A binary as Erlang prints it: text when all of it is printable, numbers otherwise."""
    if octets and all(32 <= octet < 127 for octet in octets):
        text = octets.decode().replace("\\", r"\\").replace('"', r"\"")
        return f'<<"{text}">>'
    return f"<<{','.join(map(str, octets))}>>"
