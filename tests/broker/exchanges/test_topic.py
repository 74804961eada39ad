from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.exchanges.topic import TopicTrie


def matches(pattern: str, routing_key: str) -> bool:
    trie: TopicTrie[str] = TopicTrie()
    trie.add(pattern, "key")
    return list(trie.match(routing_key)) == ["key"]


# Which of these keys a pattern matches, as RabbitMQ 3.10.8 does it.
KEYS = ["", "a", ".", "a.", ".a", "a.b", "a..b", ".."]
MATCHES = {
    "*": ["a"],
    "#": ["", "a", ".", "a.", ".a", "a.b", "a..b", ".."],
    "": [""],
    "#.*": ["a", ".", "a.", ".a", "a.b", "a..b", ".."],
    "*.#": ["a", ".", "a.", ".a", "a.b", "a..b", ".."],
    "#.#": ["", "a", ".", "a.", ".a", "a.b", "a..b", ".."],
    "a.#": ["a", "a.", "a.b", "a..b"],
    "a.*": ["a.", "a.b"],
    "*.*": [".", "a.", ".a", "a.b"],
    "a": ["a"],
    "..": [".."],
    "#.a": ["a", ".a"],
    ".": ["."],
}


def test_patterns_match_what_they_match_in_rabbitmq() -> None:
    assert {pattern: [key for key in KEYS if matches(pattern, key)] for pattern in MATCHES} == MATCHES


def test_wildcards_in_a_routing_key_are_words_like_others() -> None:
    assert matches("*.b", "#.b")
    assert not matches("a.b", "#.b")
    assert not matches("a.b", "*.b")


def naive(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(naive(pattern[1:], words[taken:]) for taken in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and naive(pattern[1:], words[1:])


def split(key: str) -> list[str]:
    return key.split(".") if key else []


patterns = st.lists(st.sampled_from(["a", "b", "", "*", "#"]), max_size=6).map(".".join)
routing_keys = st.lists(st.sampled_from(["a", "b", "c", "", "*"]), max_size=7).map(".".join)


@given(st.lists(patterns, max_size=8), st.lists(st.integers(0, 7)), routing_keys)
def test_the_trie_finds_what_one_by_one_comparing_finds(added: list[str], removed: list[int], key: str) -> None:
    trie: TopicTrie[int] = TopicTrie()
    bound = dict(enumerate(added))
    for number, pattern in bound.items():
        trie.add(pattern, number)
    for number in removed:
        if number in bound:
            trie.remove(bound.pop(number), number)
    found = list(trie.match(key))
    assert sorted(found) == [number for number, pattern in bound.items() if naive(split(pattern), split(key))]


@given(st.lists(patterns, max_size=8))
def test_a_trie_that_lost_all_its_patterns_has_no_nodes_left(added: list[str]) -> None:
    trie: TopicTrie[int] = TopicTrie()
    for number, pattern in enumerate(added):
        trie.add(pattern, number)
    for number, pattern in enumerate(added):
        trie.remove(pattern, number)
    assert trie._root.children == {}
    assert list(trie.match("")) == []


def test_one_pattern_may_have_many_keys_and_comes_once_each() -> None:
    trie: TopicTrie[str] = TopicTrie()
    for key in ("x", "y"):
        trie.add("#.a.#", key)
    trie.add("a.a", "z")
    assert sorted(trie.match("a.a.a")) == ["x", "y"]
    assert sorted(trie.match("a.a")) == ["x", "y", "z"]


def test_many_hashes_do_not_explode() -> None:
    pattern = ".".join(["#", "a"] * 20)  # by backtracking, more ways than anyone can count
    assert not matches(pattern, ".".join(["a"] * 100 + ["b"]))
    assert matches(pattern, ".".join(["a"] * 100))
