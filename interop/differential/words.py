"""Short words for what many scenarios declare."""

from typing import Any


def arguments(**named: Any) -> dict[str, Any]:
    """Arguments by their names without x-: ``max_length=2`` is x-max-length."""
    return {f"x-{name.replace('_', '-')}": value for name, value in named.items()}


def dead_letters_to(queue: str, **others: Any) -> dict[str, Any]:
    """The arguments of a queue whose dead letters go to this other one, and more."""
    return arguments(dead_letter_exchange="", dead_letter_routing_key=queue, **others)
