"""Field values as Erlang prints its terms: RabbitMQ's errors show them so, and clients match on the texts."""

from amqpd.wire.tables import FieldValue, type_name


def erlang_term(value: FieldValue) -> str:
    """``<<"text">>``, ``true``, ``1``, ``[{signedint,1}]``, ``[{<<"key">>,signedint,1}]``; a void is ``undefined``."""
    if value is None:
        return "undefined"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return erlang_term(value.decode("utf-8", "backslashreplace"))
    if isinstance(value, str):
        return f'<<"{value}">>' if value else "<<>>"
    if isinstance(value, list):
        return f"[{','.join(f'{{{type_name(item)},{erlang_term(item)}}}' for item in value)}]"
    if isinstance(value, dict):
        fields = (f"{{{erlang_term(key)},{type_name(item)},{erlang_term(item)}}}" for key, item in value.items())
        return f"[{','.join(fields)}]"
    return str(value)
