"""Regular expressions as operators write them: in permissions, and in policies.

They are searched in a name, so one that means the whole name says so: ``^orders$``. RabbitMQ's are PCRE, these are
Python's; what operators write is nearly always both. What Python would read as something else is refused.
"""

import re
from collections.abc import Callable

Matcher = Callable[[str], object]
"""Answers whether something matches, as whatever is true or false."""


def matcher(pattern: str) -> Matcher:
    """Raises ``ValueError``, with the reason, for what is no regular expression."""
    if pattern == ".*":  # almost everybody's, and it shall cost nothing
        return _everything
    if "[[:" in pattern:
        raise ValueError("POSIX character classes are not understood: write [a-z] for [[:lower:]]")
    try:
        return re.compile(pattern).search
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _everything(_name: str) -> bool:
    return True
