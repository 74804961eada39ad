import pytest

from amqpd.auth.patterns import matcher


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("order", "pre-orders", "invoices"),
        ("^order", "orders", "pre-orders"),
        ("^orders$", "orders", "orders.eu"),
        (r"^orders\.(eu|us)$", "orders.us", "orders.uk"),
        ("(?i)^ORDERS", "orders", "order"),
        ("^[[:alpha:]]+$", "orders", "0rders"),
        (r"^\w+$", "orders", "bestellungen für heute"),
        ("^(?!amq\\.)", "orders", "amq.direct"),
    ],
)
def test_an_expression_is_searched_in_a_name(pattern: str, matching: str, other: str) -> None:
    matches = matcher(pattern)
    assert matches(matching)
    assert not matches(other)


@pytest.mark.parametrize("name", ["", "orders", "two\nlines", "\udcff"])
@pytest.mark.parametrize("pattern", [".*", ""])
def test_some_match_everything(pattern: str, name: str) -> None:
    assert matcher(pattern)(name)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "missing \\) at position 1"),
        ("a**", "multiple repeat"),
    ],
)
def test_what_is_no_regular_expression_is_told_why(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        matcher(pattern)


def test_one_that_would_take_for_ever_gives_up() -> None:
    assert not matcher("^(a+)+$")("a" * 200 + "!")
    assert matcher("^(a+)+$")("a" * 200)
