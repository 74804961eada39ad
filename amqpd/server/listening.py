"""Sockets that listen, and enough files for what they will accept."""

import errno
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

BACKLOG = 4096
"""Connections the kernel may hold until they are accepted: all workers of a large deployment reconnect at once."""


class CannotListen(Exception):
    """An address cannot be listened on; the text says which setting and why."""


def shown(address: tuple[Any, ...]) -> str:
    """``host:port`` of a socket's address; of IPv6 as ``[host]:port``, so that one can tell where the host ends."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextmanager
def listen(key: str, host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens on the address of the setting ``key``; port 0 takes a free one. Raises CannotListen."""
    try:
        (family, _, _, _, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        both = family == socket.AF_INET6 and host == "::" and socket.has_dualstack_ipv6()  # "::" is every address
        listening = socket.create_server(address, family=family, backlog=BACKLOG, dualstack_ipv6=both)
    except OSError as error:
        # A resolver's error has a number of its own kind; to the others' text create_server adds the address once more.
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        taken = error.errno == errno.EADDRINUSE
        hint = f"; another program has it (setting {key} takes another, 0 a free one)" if taken else ""
        raise CannotListen(f"cannot listen on {shown((host, port))}: {reason}{hint}") from None
    except ValueError as error:  # the host cannot be a name
        raise CannotListen(f"cannot listen on {shown((host, port))}: {error}") from None
    with listening:
        yield listening


def raise_file_limit(connections: int) -> None:
    """Let the process have a file for each connection, and some: the soft limit is often 1024.

    Not above the hard one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + 100
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
