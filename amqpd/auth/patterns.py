"""Regular expressions as operators write them: in permissions, and in policies.

They are searched in a name, so one that means the whole name says so: ``^orders$``. RabbitMQ's are PCRE; the package
regex reads them as that does, POSIX classes like ``[[:alpha:]]`` too, and, unlike Python's own, gives up in time: the
operator writes the expression, but clients choose the names.
"""

from collections.abc import Callable

import regex

Matcher = Callable[[str], object]
"""Answers whether something matches, as whatever is true or false."""

TIMEOUT_S = 0.02
"""What one search may take. A sane expression needs a thousandth of it; ``^(a+)+$`` could take for ever, and everybody
would wait. Whatever was not found by then does not match."""


def matcher(pattern: str) -> Matcher:
    """Raises ``ValueError``, with the reason, for what is no regular expression."""
    if pattern == ".*":  # almost everybody's, and it shall cost nothing
        return _everything
    try:
        pattern.encode("utf-8", "surrogateescape")  # as it is kept
        search = regex.compile(pattern, regex.ASCII).search
    except (regex.error, UnicodeEncodeError, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from None

    def matches(name: str) -> object:
        try:
            return search(name, timeout=TIMEOUT_S)
        except TimeoutError:
            return None

    return matches


def _everything(_name: str) -> bool:
    return True
