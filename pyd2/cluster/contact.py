"""What a node makes of servers that do not answer, or refuse: another server, or a message in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.queue.shared.interface import UnansweredError

if TYPE_CHECKING:
    from pyd2.cluster.link import Link
    from pyd2.messages import Log

LOGGED_FAILURE: Final = 4
"""The failure in a row that is logged."""


class _Refusals:
    """Counts refusals of one kind in a row, and logs the fourth: the first ones may pass."""

    def __init__(self, log: Log, site: str, message: str) -> None:
        self._log = log
        self._site = site
        self._message = message
        self.count = 0

    def add(self, fault: str) -> None:
        """Count one more."""
        self.count += 1
        if self.count == LOGGED_FAILURE:
            self._log.emit(self._message, self._site, fault)

    def end(self) -> None:
        """Begin again: what was refused has come about."""
        self.count = 0


class Contact:
    """Counts failures in a row: the second call without an answer ends the connection.

    The fourth refusal is logged. A leader that has no followers any more may still answer what is read: so
    after a write without an answer only a write ends such a row, or a record that has changed.
    """

    def __init__(self, link: Link, log: Log, site: str) -> None:
        self._link = link
        self._unanswered = 0
        """Calls without an answer, in a row."""
        self._unwritten = False
        """Whether a write was among these."""
        self._refusals = _Refusals(log, site, "PYD2_CLUSTER_RECORD_UNREADABLE")
        """The record cannot be read or written, though a server has answered."""
        self._unwatched = _Refusals(log, site, "PYD2_CLUSTER_UNWATCHED")
        self._unread = _Refusals(log, site, "PYD2_CLUSTER_UNREAD")
        self._unremoved = _Refusals(log, site, "PYD2_CLUSTER_UNREMOVED")

    @property
    def failing(self) -> bool:
        """Whether what was asked for last has failed, as far as is known."""
        return bool(self._unanswered or self._refusals.count)

    def unanswered(self, fault: str) -> None:
        """No server has answered."""
        # The first failure may be a slow disk: a new connection would end the reading, too.
        if self._unanswered:
            self._link.go_to_next(fault)
        self._unanswered += 1

    def unwritten(self, error: BaseException) -> None:
        """A write has failed; if it was not answered, ``unanswered`` follows."""
        self._unwritten = self._unwritten or isinstance(error, UnansweredError)

    def written(self) -> None:
        """A write was answered."""
        self._unanswered, self._unwritten = 0, False

    def read(self, *, changed: bool) -> None:
        """The record was read; ``changed``: it is another one than before."""
        if changed or not self._unwritten:
            self.written()

    def refused(self, fault: str) -> None:
        """Log why the record cannot be read or written, once, if it does not pass soon."""
        self._refusals.add(fault)

    def not_refused(self) -> None:
        """All that was asked for came about."""
        self._refusals.end()

    def unwatched(self, fault: str) -> None:
        """Log why the record cannot be watched, once, if it does not pass soon."""
        self._unwatched.add(fault)

    def watched(self) -> None:
        """The record is watched."""
        self._unwatched.end()
        self._refusals.end()

    def unread(self, fault: str) -> None:
        """Log why the requests cannot be read, once, if it does not pass soon."""
        self._unread.add(fault)

    def readable(self) -> None:
        """The requests can be read."""
        self._unread.end()

    def unremoved(self, fault: str) -> None:
        """Log why what is done cannot be removed, once, if it does not pass soon."""
        self._unremoved.add(fault)

    def removed(self) -> None:
        """What is done was removed, as far as there was any."""
        self._unremoved.end()
