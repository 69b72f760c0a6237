"""Reads requests over HTTP: bytes in, whole requests out, one after the other (Kea 3.0, section 8).

``Head`` reads a head by Kea's grammar. h11 then gets the same head in the form of RFC 9112 and frames the
body: a request that it cannot read unambiguously, such as one with two lengths, is refused.
"""

from __future__ import annotations

from enum import Enum, auto
from io import BytesIO
from typing import TYPE_CHECKING, Final, NamedTuple

import h11

from pyd2.control.framing import MAX_REQUEST
from pyd2.control.http_head import MAX_HEAD, MAX_HEADERS, Head, HeadState

if TYPE_CHECKING:
    from collections.abc import Callable

STRANGER_BODY: Final = 64 * 1024
"""The longest body in bytes that is read before its client is known. Kea has no limit."""

LONG_BODIES: Final = 4 * MAX_REQUEST
"""Bytes that all bodies longer than STRANGER_BODY may take while they come. Kea has no limit."""


class Bodies:
    """The memory for long bodies, which all connections share: short ones need none of it."""

    def __init__(self, free: int = LONG_BODIES) -> None:
        self._free = free

    def take(self, length: int) -> bool:
        """Take so many bytes; return whether there were as many."""
        enough = length <= self._free
        self._free -= length if enough else 0
        return enough

    def give_back(self, length: int) -> None:
        """Give back what was taken."""
        self._free += length


class Verdict(Enum):
    """What a request is, as far as HTTP goes."""

    GOOD = auto()
    BROKEN = auto()
    """Its grammar is broken behind the headers that it needs; Kea takes it for one with an empty body."""
    BAD = auto()
    """Kea refuses it: 400."""
    AMBIGUOUS = auto()
    """Kea takes it, but others might see another end of it: 400."""
    LONG_HEAD = auto()
    LONG_BODY = auto()
    NO_MEMORY = auto()
    """Its body is long, and so are too many others that are coming."""
    STRANGER = auto()
    """Its body is long and its client not known."""


class Request(NamedTuple):
    """A request, or as much of one as there is to be judged."""

    head: Head
    verdict: Verdict
    reason: str
    """Why it is not good, for the log."""
    body: bytes = b""


class RequestReader:
    """Reads the requests of a connection.

    ``knows`` returns whether the client of a head is authenticated. Long bodies take their memory from
    ``bodies``. With ``pages`` a GET is a request, too.
    """

    def __init__(self, knows: Callable[[Head], bool], bodies: Bodies, *, pages: bool = False) -> None:
        self._knows = knows
        self._bodies = bodies
        self._taken = 0
        """Bytes that the body which is coming has taken of these."""
        self.pages = pages
        self._rest = b""
        """What has come behind the last request."""
        self._begin()

    @property
    def begun(self) -> bool:
        """Whether a part of a request has come."""
        return self.head.begun

    @property
    def in_body(self) -> bool:
        """Whether a head is complete and its body is not."""
        return self._framing is not None

    def feed(self, data: bytes) -> Request | None:
        """Read the next bytes; return a request when it is whole, and leave what comes behind it.

        After a request call it again, also without any bytes.
        """
        data = self._rest + data if self._rest else data
        self._rest = b""
        if self._framing is None:
            at = self.head.feed(data)
            if self.head.state is HeadState.NEEDS_DATA:
                return None
            request = self._judge()
            if request is not None:
                # Where a request ends that is not good is not known, so what comes behind it is lost.
                self._rest = data[at:] if request.verdict is Verdict.GOOD else b""
                return self._end(request)
            data = data[at:]
        return self._read_body(data)

    def stop(self) -> None:
        """Give back the memory of a body whose rest is not read any more."""
        self._bodies.give_back(self._taken)
        self._taken = 0
        self._body = BytesIO()

    def close(self) -> None:
        """Read no more, and forget who asked for it: a ring of references would keep both for hours."""
        self.stop()
        self._knows = lambda _: False

    def drop_rest(self) -> None:
        """Forget what has come behind the last request: its length was not as meant."""
        self._rest = b""

    def _begin(self) -> None:
        self.head = Head()
        self._framing: h11.Connection | None = None
        self._body = BytesIO()

    def _end(self, request: Request) -> Request:
        self.stop()
        self._begin()
        return request

    def _judge(self) -> Request | None:
        """Return what is to be refused at its head, or is whole without a body; else prepare for the body."""
        head = self.head
        if head.state is HeadState.TOO_LONG:
            reason = f"the head is longer than {MAX_HEAD} bytes or has more than {MAX_HEADERS} headers"
            return Request(head, Verdict.LONG_HEAD, reason)
        if self.pages and head.method == "GET" and head.state is HeadState.COMPLETE:
            if head.headers.get("content-length", "0") == "0" and "transfer-encoding" not in head.headers:
                return Request(head, Verdict.GOOD, "")
            return Request(head, Verdict.BAD, "a GET request must not have a body")
        if fault := head.fault():
            return Request(head, Verdict.BAD, fault)
        if head.state is HeadState.FAILED:
            return Request(head, Verdict.BROKEN, "HTTP message parsing failed")
        if "transfer-encoding" in head.headers:
            return Request(head, Verdict.AMBIGUOUS, "it has both Content-Length and Transfer-Encoding")
        lengths = {value for name, value in head.raw_headers if name.lower() == b"content-length"}
        if len(lengths) > 1:
            return Request(head, Verdict.AMBIGUOUS, "it has more than one Content-Length")
        if not head.length:
            verdict = Verdict.GOOD if head.length_is_plain else Verdict.BROKEN
            return Request(head, verdict, "" if head.length_is_plain else "Content-Length is not a number")
        if head.length > MAX_REQUEST:
            return Request(head, Verdict.LONG_BODY, f"the body is longer than {MAX_REQUEST} bytes")
        if head.length > STRANGER_BODY and not self._knows(head):
            reason = f"the body is longer than {STRANGER_BODY} bytes, and the client is not authenticated"
            return Request(head, Verdict.STRANGER, reason)
        if head.length > STRANGER_BODY:
            if not self._bodies.take(head.length):
                reason = f"no memory for {head.length} bytes beside the long bodies of other requests"
                return Request(head, Verdict.NO_MEMORY, reason)
            self._taken = head.length
        self._framing = h11.Connection(h11.SERVER)
        return self._read_head(self._framing)

    def _read_head(self, framing: h11.Connection) -> Request | None:
        """Have h11 read the head; return the request when h11 refuses what Kea takes."""
        head = self.head
        lines = [b"%b: %b" % header for header in head.raw_headers if header[0].lower() != b"content-length"]
        lines.append(b"Content-Length: %d" % head.length)
        if "host" not in head.headers:
            lines.append(b"Host: localhost")
        try:
            framing.receive_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % b"\r\n".join(lines))
            framing.next_event()
        except h11.RemoteProtocolError as fault:
            return Request(head, Verdict.AMBIGUOUS, str(fault))
        return None

    def _read_body(self, data: bytes) -> Request | None:
        framing = self._framing
        assert framing is not None
        if data:
            framing.receive_data(data)
        while True:
            event = framing.next_event()
            if isinstance(event, h11.Data):
                self._body.write(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self._rest = framing.trailing_data[0]
                body = self._body.getvalue()  # no copy, which would hold all threads up
                return self._end(Request(self.head, Verdict.GOOD, "", body))
            else:
                return None
