"""Who is connected: one client's sessions, and what is exclusively its own."""

from collections.abc import Callable, Collection

from amqpd.auth.permissions import Access
from amqpd.broker.receiver import Receiver
from amqpd.broker.session import Session
from amqpd.broker.topology.vhost import VHost
from amqpd.broker.totals import Totals


class Client:
    """A connected application: a user in a virtual host. Exclusive queues belong to it and go when it goes.

    ``dismissed`` is called with the reason when the broker shuts it out. ``name`` is that of its connection.
    """

    def __init__(
        self, vhost: VHost, user: str, access: Access, totals: Totals, tags: Collection[str] = (), name: str = ""
    ) -> None:
        self.vhost = vhost
        self.name = name
        self.user = user
        self.sessions: dict[Session, None] = {}
        self.dismissed: Callable[[str], None] = lambda reason: None
        self._access = access
        self._tags = tags
        self._totals = totals

    def open_session(self, receiver: Receiver, number: int = 0) -> Session:
        """``number`` tells it from others, as an AMQP channel's does."""
        session = Session(self.vhost, receiver, self, self.user, self._access, self._tags, number)
        self.sessions[session] = None
        self._totals.channels_opened += 1
        return session

    def close_session(self, session: Session) -> None:
        """End a session, once: see :meth:`Session.close`."""
        if session in self.sessions:
            del self.sessions[session]
            self._totals.channels_closed += 1
            session.close()

    def close(self) -> None:
        """The application has left: all its sessions end, and its exclusive queues go."""
        agenda = self.vhost.agenda
        agenda.hold()  # so that no session is handed what another one gives back
        try:
            for session in list(self.sessions):
                self.close_session(session)
            self.vhost.drop_owned(self)
        finally:
            agenda.release()
