"""What a node makes of servers that do not answer, or refuse: another server, or a message in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.queue.shared.interface import UnansweredError

if TYPE_CHECKING:
    from pyd2.cluster.link import Link
    from pyd2.messages import Log

LOGGED_FAILURE: Final = 4
"""The failure in a row that is logged."""


class Contact:
    """Counts failures in a row: the second call without an answer ends the connection.

    The fourth refusal is logged. A leader that has no followers any more may still answer what is read: so
    after a write without an answer only a write ends such a row, or a record that has changed.
    """

    def __init__(self, link: Link, log: Log, site: str) -> None:
        self._link = link
        self._log = log
        self._site = site
        self._unanswered = 0
        """Calls without an answer, in a row."""
        self._unwritten = False
        """Whether a write was among these."""
        self._refusals = 0
        """How often the record could not be read or written in a row, though a server has answered."""
        self._unwatched = 0
        """How often it could not be watched."""
        self._unread = 0
        """How often in a row the requests could not be read."""
        self._unremoved = 0
        """How often in a row what is done could not be removed."""

    @property
    def failing(self) -> bool:
        """Whether what was asked for last has failed, as far as is known."""
        return bool(self._unanswered or self._refusals)

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
        """Log what is wrong, once, if it does not pass soon."""
        self._refusals += 1
        if self._refusals == LOGGED_FAILURE:
            self._log.emit("PYD2_CLUSTER_RECORD_UNREADABLE", self._site, fault)

    def not_refused(self) -> None:
        """All that was asked for came about."""
        self._refusals = 0

    def unwatched(self, fault: str) -> None:
        """Log why the record cannot be watched, once, if it does not pass soon."""
        self._unwatched += 1
        if self._unwatched == LOGGED_FAILURE:
            self._log.emit("PYD2_CLUSTER_UNWATCHED", self._site, fault)

    def watched(self) -> None:
        """The record is watched."""
        self._unwatched = self._refusals = 0

    def unread(self, fault: str) -> None:
        """Log why the requests cannot be read, once, if it does not pass soon."""
        self._unread += 1
        if self._unread == LOGGED_FAILURE:
            self._log.emit("PYD2_CLUSTER_UNREAD", self._site, fault)

    def readable(self) -> None:
        """The requests can be read."""
        self._unread = 0

    def unremoved(self, fault: str) -> None:
        """Log why what is done cannot be removed, once, if it does not pass soon."""
        self._unremoved += 1
        if self._unremoved == LOGGED_FAILURE:
            self._log.emit("PYD2_CLUSTER_UNREMOVED", self._site, fault)

    def removed(self) -> None:
        """What is done was removed, as far as there was any."""
        self._unremoved = 0
