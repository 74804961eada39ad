"""The topic exchange. In its patterns ``*`` is one word, ``#`` any number of words; words are what dots part.

The patterns form a trie of words. A routing key walks it as a set of nodes, one step a word: ``#`` stays in the set at
each step, so the cost is words times nodes reached, whatever the patterns. Backtracking would be exponential in the
number of ``#``. Empty words count: ``a..b`` has three; but the empty key has none, as in RabbitMQ, so that ``*`` does
not match it.
"""

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

from amqpd.broker.exchanges.exchange import Binding, BindingKey, Exchange
from amqpd.broker.host import Host
from amqpd.broker.message import Message
from amqpd.broker.records import ExchangeRecord
from amqpd.broker.sink import Sink

Key = TypeVar("Key", bound=Hashable)

ONE_WORD = "*"
ANY_WORDS = "#"


class TopicExchange(Exchange):
    """The binding's routing key is a pattern of words."""

    type = "topic"
    by_key = True

    def __init__(self, record: ExchangeRecord, host: Host) -> None:
        super().__init__(record, host)
        self._trie: TopicTrie[BindingKey] = TopicTrie()

    def match(self, routing_key: str, message: Message | None) -> Iterable[Sink | Exchange]:
        return (self.bindings[key].destination for key in self._trie.match(routing_key))

    def _index(self, key: BindingKey, binding: Binding) -> None:
        self._trie.add(binding.record.routing_key, key)

    def _unindex(self, key: BindingKey, binding: Binding) -> None:
        self._trie.remove(binding.record.routing_key, key)


class _Node(Generic[Key]):
    __slots__ = ("children", "keys", "repeats")

    def __init__(self, repeats: bool) -> None:
        self.children: dict[str, _Node[Key]] = {}
        self.keys: dict[Key, None] = {}
        self.repeats = repeats  # reached by "#": any further word stays here


class TopicTrie(Generic[Key]):
    """A multimap from patterns to keys."""

    def __init__(self) -> None:
        self._root: _Node[Key] = _Node(False)

    def add(self, pattern: str, key: Key) -> None:
        node = self._root
        for word in _words(pattern):
            child = node.children.get(word)
            if child is None:
                child = node.children[word] = _Node(word == ANY_WORDS)
            node = child
        node.keys[key] = None

    def remove(self, pattern: str, key: Key) -> None:
        """Take out what :meth:`add` put in, and the nodes that nothing needs any more. KeyError: it was not there."""
        path = [self._root]
        words = _words(pattern)
        for word in words:
            path.append(path[-1].children[word])
        del path[-1].keys[key]
        for word, parent, child in zip(reversed(words), reversed(path[:-1]), reversed(path[1:]), strict=True):
            if child.keys or child.children:
                return
            del parent.children[word]

    def match(self, routing_key: str) -> Iterable[Key]:
        """The keys of all patterns that the routing key matches."""
        reached = _with_zero_words({self._root: None})
        for word in _words(routing_key):
            following: dict[_Node[Key], None] = {}
            for node in reached:
                if node.repeats:
                    following[node] = None
                for step in (word, ONE_WORD):
                    child = node.children.get(step)
                    if child is not None:
                        following[child] = None
            reached = _with_zero_words(following)
        return [key for node in reached for key in node.keys]


def _words(key: str) -> list[str]:
    return key.split(".") if key else []


def _with_zero_words(nodes: dict[_Node[Key], None]) -> dict[_Node[Key], None]:
    """The nodes, and those behind a ``#`` that takes no word."""
    pending = list(nodes)
    for node in pending:  # grows while it is walked: "#.#"
        child = node.children.get(ANY_WORDS)
        if child is not None and child not in nodes:
            nodes[child] = None
            pending.append(child)
    return nodes
