"""Where a broker is, and who one is there: ``amqp://user:password@host:port/vhost``."""

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True, slots=True)
class BrokerURL:
    host: str
    port: int
    user: str
    password: str
    vhost: str

    def __str__(self) -> str:
        """Where it is, without the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.vhost == "/" else f"{host}:{self.port}/{self.vhost}"


def parse_url(url: str) -> BrokerURL:
    """``amqp://user:password@host:port/vhost``; what is missing is RabbitMQ's default. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme != "amqp":
        raise ValueError(f"{url!r} does not begin with amqp://")
    return BrokerURL(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 5672,
        user=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
        vhost=unquote(parts.path[1:]) or "/",
    )
