import resource
import socket
from collections.abc import Iterator

import pytest

from amqpd.server.listening import CannotListen, listen, raise_file_limit


def test_port_0_takes_a_free_one() -> None:
    with listen("port", "127.0.0.1", 0) as one, listen("port", "127.0.0.1", 0) as two:
        ports = [listening.getsockname()[1] for listening in (one, two)]
        assert 0 not in ports
        assert ports[0] != ports[1]
        with socket.create_connection(one.getsockname()):
            pass


def test_the_socket_is_closed_in_the_end() -> None:
    with listen("port", "127.0.0.1", 0) as listening:
        address = listening.getsockname()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_a_port_can_be_taken_again_at_once() -> None:
    with listen("port", "127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = listening.accept()
            accepted.close()
    with listen("port", "127.0.0.1", port):
        pass


def test_a_port_that_is_taken() -> None:
    with listen("port", "127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(CannotListen) as caught, listen("metrics_port", "127.0.0.1", port):
            pass
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use; "
        "another program has it (setting metrics_port takes another, 0 a free one)"
    )


def test_an_address_of_another_machine() -> None:
    with pytest.raises(CannotListen) as caught, listen("port", "192.0.2.1", 0):
        pass
    assert str(caught.value) == "cannot listen on 192.0.2.1:0: Cannot assign requested address"


@pytest.mark.parametrize("host", ["host.invalid", "no..name", "n" * 70, "nul\0"])
def test_a_host_that_is_none(host: str) -> None:
    with pytest.raises(CannotListen, match=r"^cannot listen on "), listen("port", host, 0):
        pass


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on this machine")
def test_ipv6() -> None:
    with listen("port", "::1", 0) as listening:
        assert listening.family is socket.AF_INET6
        with socket.create_connection(listening.getsockname()[:2]):
            pass


@pytest.fixture
def file_limit() -> Iterator[int]:
    """The soft limit is 300 in the test. The hard limit, which cannot be taken back, is what it is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_there_is_a_file_for_each_connection_and_some_more(file_limit: int) -> None:
    raise_file_limit(400)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 500


def test_a_limit_that_is_high_enough_stays(file_limit: int) -> None:
    raise_file_limit(100)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 300


def test_the_hard_limit_is_the_most(file_limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (300, 450))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: wanted.append(limits))
    raise_file_limit(400)
    assert wanted == [(450, 450)]
