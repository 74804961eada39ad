"""SASL mechanisms: from the response of connection.start-ok to a name and a password.

PLAIN is RFC 4616. AMQPLAIN is the specification's own: a field table without its length, with LOGIN and PASSWORD.
"""

from collections.abc import Callable

from amqpd.errors import MalformedArguments
from amqpd.wire.tables import decode_fields


class BadResponse(Exception):
    """The response does not have the mechanism's form."""


def plain(response: bytes) -> tuple[str, bytes]:
    """``authzid NUL authcid NUL password``; the first, whom one acts for, is not used."""
    parts = response.split(b"\0")
    if len(parts) != 3:
        raise BadResponse("a PLAIN response has three parts, with a NUL between each two")
    return parts[1].decode("utf-8", "surrogateescape"), parts[2]


def amqplain(response: bytes) -> tuple[str, bytes]:
    try:
        fields = decode_fields(response)
    except MalformedArguments as error:
        raise BadResponse(f"an AMQPLAIN response is a field table: {error}") from None
    login, password = fields.get("LOGIN"), fields.get("PASSWORD")
    if not isinstance(login, str) or not isinstance(password, str):
        raise BadResponse("an AMQPLAIN response has LOGIN and PASSWORD, both strings")
    return login, password.encode("utf-8", "surrogateescape")


MECHANISMS: dict[str, Callable[[bytes], tuple[str, bytes]]] = {
    "PLAIN": plain,
    "AMQPLAIN": amqplain,
}
