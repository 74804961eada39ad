"""The errors AMQP 0-9-1 knows, one class a reply code.

A failure the peer must hear about is raised as one of these wherever it is noticed; the class carries the reply code,
so nobody maps exceptions to codes later. Two trees (specification 0-9-1, section 1.2.1, and its list of reply codes): a
``SoftError`` costs the peer its channel, a ``HardError`` its connection. Reply texts copy RabbitMQ's wording, because
clients match on it. This module imports nothing.
"""

from typing import ClassVar

REPLY_TEXT_MAX = 255  # reply-text is a short string: one octet of length


class AMQPError(Exception):
    """A failure with an AMQP reply code.

    ``class_id`` and ``method_id`` name the method that failed, or are both 0; the protocol layer fills them in when the
    error was raised below it, where no methods are known.
    """

    code: ClassVar[int]
    name: ClassVar[str]

    def __init__(self, text: str, class_id: int = 0, method_id: int = 0) -> None:
        super().__init__(text)
        self.text = text
        self.class_id = class_id
        self.method_id = method_id

    @property
    def reply_text(self) -> str:
        """``NOT_FOUND - no queue 'q' in vhost '/'``, cut so that it fits a short string (255 octets of UTF-8): what
        is longer ends with "...", as in RabbitMQ.

        Octets that came as text and are none are shown as escapes: clients stumble over a reply text that is no UTF-8.
        """
        encoded = f"{self.name} - {self.text}".encode("utf-8", "backslashreplace")
        if len(encoded) > REPLY_TEXT_MAX:
            encoded = encoded[: REPLY_TEXT_MAX - 3] + b"..."
        return encoded.decode("utf-8", "ignore")


class SoftError(AMQPError):
    """Closes the channel it happened on; the connection and its other channels go on."""


class HardError(AMQPError):
    """Closes the connection."""


class ContentTooLarge(SoftError):
    code = 311
    name = "CONTENT_TOO_LARGE"


class NoRoute(SoftError):
    """Never closes a channel: basic.return carries its code for a mandatory message that reached no queue."""

    code = 312
    name = "NO_ROUTE"


class AccessRefused(SoftError):
    code = 403
    name = "ACCESS_REFUSED"


class NotFound(SoftError):
    code = 404
    name = "NOT_FOUND"


class ResourceLocked(SoftError):
    code = 405
    name = "RESOURCE_LOCKED"


class PreconditionFailed(SoftError):
    code = 406
    name = "PRECONDITION_FAILED"


class ConnectionForced(HardError):
    code = 320
    name = "CONNECTION_FORCED"


class InvalidPath(HardError):
    code = 402
    name = "INVALID_PATH"


class LoginRefused(HardError):
    """403 as RabbitMQ sends it before a connection is open, to clients that asked for
    ``authentication_failure_close``."""

    code = 403
    name = "ACCESS_REFUSED"


class FrameError(HardError):
    code = 501
    name = "FRAME_ERROR"


class MalformedArguments(HardError):
    code = 502
    name = "SYNTAX_ERROR"


class CommandInvalid(HardError):
    code = 503
    name = "COMMAND_INVALID"


class ChannelError(HardError):
    code = 504
    name = "CHANNEL_ERROR"


class UnexpectedFrame(HardError):
    code = 505
    name = "UNEXPECTED_FRAME"


class ResourceError(HardError):
    code = 506
    name = "RESOURCE_ERROR"


class NotAllowed(HardError):
    code = 530
    name = "NOT_ALLOWED"


class NotImplementedByServer(HardError):
    code = 540
    name = "NOT_IMPLEMENTED"


class InternalError(HardError):
    code = 541
    name = "INTERNAL_ERROR"
