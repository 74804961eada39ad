"""What an expression asks for, found by its looks: enough for the expressions that there are here."""

import re

LISTS = re.compile(r"\b(?:by|on|group_left)\s*\(([^)]*)\)")
SELECTOR = re.compile(r"\{([^}]*)\}")
STRING = re.compile(r'"[^"]*"')
METRIC = re.compile(r"\b(?:(?:amqpd|python|process|scrape)_\w+|up|ALERTS)\b")
LABEL = re.compile(r"\b(\w+)\s*(?:=~|!~|!=|=)")
VARIABLE = re.compile(r"\$\{?(?!__)(\w+)")
"""One that a dashboard declares; those of Grafana itself begin with two underscores."""


def metrics(expression: str) -> set[str]:
    return set(METRIC.findall(LISTS.sub("", SELECTOR.sub("", STRING.sub('""', expression)))))


def labels(expression: str) -> set[str]:
    """All that are named: selected, grouped or joined by."""
    plain = STRING.sub('""', expression)
    listed = {label.strip() for found in LISTS.findall(plain) for label in found.split(",")}
    selected = {label for found in SELECTOR.findall(plain) for label in LABEL.findall(found)}
    return listed | selected


def kept(expression: str) -> set[str] | None:
    """The labels that the result has; None: all that the series have."""
    lists = re.findall(r"\b(?:sum|max|min)\s+by\s*\(([^)]*)\)", expression)
    if not lists:
        return set() if re.match(r"(sum|max|min|count|histogram_quantile)\b", expression) else None
    return {label.strip() for label in lists[0].split(",")}


def variables(text: str) -> set[str]:
    return set(VARIABLE.findall(text))
