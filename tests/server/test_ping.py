"""Finding a broker from outside: the time that it may take, and names with several addresses."""

import socket
import time
from collections.abc import Sequence

import pytest

from amqpd.server.ping import NoAnswer, ask_who

Address = tuple[str, int]


def known(monkeypatch: pytest.MonkeyPatch, *addresses: Address) -> None:
    """Every name has these addresses."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address) for address in addresses]

    def getaddrinfo(*_: object, **__: object) -> Sequence[object]:
        return found

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_all_addresses_of_a_name_have_one_limit_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]  # more than may wait to be accepted: who comes now hears nothing
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        known(monkeypatch, *[address] * 20)
        start = time.monotonic()
        with pytest.raises(NoAnswer, match=r"no answer within 0\.2 s"):
            ask_who("broker", address[1], 0.2)
        assert time.monotonic() - start < 2
        for each in waiting:
            each.close()


def test_an_address_where_nobody_listens_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = taken.getsockname()
        taken.close()
        known(monkeypatch, nobody, listening.getsockname())
        with pytest.raises(NoAnswer, match="no answer"):  # and not: refused
            ask_who("broker", nobody[1], 0.1)


def test_an_address_of_a_kind_that_the_system_does_not_have_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        here = listening.getsockname()
        found = [(family, socket.SOCK_STREAM, 0, "", here) for family in (-2, socket.AF_INET)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        with pytest.raises(NoAnswer, match="no answer"):
            ask_who("broker", here[1], 0.1)


def test_a_name_without_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    known(monkeypatch)
    with pytest.raises(NoAnswer, match="broker has no address"):
        ask_who("broker", 5672, 1.0)
