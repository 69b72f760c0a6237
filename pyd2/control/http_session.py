"""One connection to an HTTP control socket, without the socket: bytes of requests in, responses out.

The order of the checks is Kea's: method and headers, the JSON of the body, authentication, hook libraries,
and then the command (contract of Kea 3.0, section 8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from pyd2.config.redact import redact_request
from pyd2.control import roles
from pyd2.control.answer import error
from pyd2.control.executor import MAX_VALUES
from pyd2.control.http_auth import BasicAuthentication
from pyd2.control.http_hooks import request_map, response_map, response_of
from pyd2.control.http_later import Later
from pyd2.control.http_request import Bodies, Request, RequestReader, Verdict
from pyd2.control.http_response import Response, answer, challenge, in_header, refusal, with_headers
from pyd2.control.http_sites import OtherSites
from pyd2.data.element import Element, let_go
from pyd2.data.json import from_json
from pyd2.data.text import to_text
from pyd2.errors import BridgeError, HookError, JsonError, TooManyValuesError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.config.model import HttpClient, HttpSocket
    from pyd2.control.http_head import Head
    from pyd2.control.http_later import Awaited
    from pyd2.control.http_pages import HttpPages
    from pyd2.messages import Log

_LOGGED: Final = 1024
"""Characters of a request or response that a message shows, as with Kea."""

_OTHER_SITE: Final = "a browser sends it for another site, or under a host name that is not in 'web-hosts'"

_BAD: Final = "HTTP_BAD_CLIENT_REQUEST_RECEIVED"
"""What Kea refuses, too, and logs for debugging only."""
_REFUSED: Final = "PYD2_HTTP_REQUEST_REFUSED"
"""What Kea would have carried out, or would have kept in memory."""

_STATUS: Final = {
    Verdict.BAD: 400,
    Verdict.AMBIGUOUS: 400,
    Verdict.LONG_HEAD: 431,
    Verdict.LONG_BODY: 413,
    Verdict.NO_MEMORY: 503,
    Verdict.STRANGER: 401,
}
"""The status of requests that end their connection."""


class HttpUse(Protocol):
    """What hook libraries do with one request; ``pyd2.hooks.interface.HttpUse``."""

    @property
    def over(self) -> bool:
        """Whether its libraries have been unloaded."""

    def auth(self, request: Element, response: Element | None) -> tuple[Element, Element | None]:
        """Return the request to carry out, and the response to send in its place, if any."""

    def response(self, request: Element, response: Element) -> Element:
        """Return the response to send in place of the server's."""

    def end(self) -> None:
        """End the use."""


class HttpService:
    """What the connections of an HTTP control socket share.

    ``process`` takes a command and returns its answer, None for none. ``written`` returns when all that was
    logged is written; it is called before a response is sent. ``hooks`` begins the use of hook libraries for
    a request, if one of them has a callout. ``working`` is called before each step of work.
    """

    def __init__(
        self,
        config: HttpSocket,
        process: Callable[[Element], Element | None],
        log: Log,
        *,
        written: Callable[[], None] = lambda: None,
        hooks: Callable[[], HttpUse | None] = lambda: None,
        pages: HttpPages | None = None,
        bodies: Bodies | None = None,
        working: Callable[[], None] = lambda: None,
    ) -> None:
        found = config.authentication
        # As with Kea, authentication without any client lets every client in.
        self.authentication = BasicAuthentication(found) if found is not None and found.clients else None
        self.headers = tuple((in_header(name), in_header(value)) for name, value in config.headers)
        self.process = process
        self.log = log
        self.written = written
        self.hooks = hooks
        self.pages = pages
        """What the socket shows by GET; None: nothing, as with Kea."""
        self.sites = OtherSites(config.pages.web_hosts)
        self.bodies = bodies or Bodies()
        self.working = working

    def session(self, peer: str, *, tls: bool) -> HttpSession:
        """Return the session of a new connection from an address."""
        return HttpSession(self, peer, tls=tls)

    def adopt(self, session: object) -> None:
        """Make a session of another service one of this: its next request is judged by this one."""
        assert isinstance(session, HttpSession)
        session.join(self)


class HttpSession:
    """Reads requests and has them carried out, one after the other."""

    def __init__(self, service: HttpService, peer: str, *, tls: bool) -> None:
        self.service = service
        """May be replaced between two requests: a new configuration counts for open connections, too."""
        self.closing = False
        """Whether the connection ends with the last response."""
        self.deaf = False
        """Whether the connection stays open without being read, until its client notices."""
        self._peer = peer
        self._tls = tls
        self._served = False
        self._body: list[Element] = []
        """The body that was read last, until it is answered."""
        self._reader = RequestReader(self._knows, service.bodies, pages=service.pages is not None)

    def join(self, service: HttpService) -> None:
        """Answer the requests from now on by another service, that of a new configuration."""
        self.service = service
        self._reader.pages = service.pages is not None

    @property
    def idle(self) -> bool:
        """Whether a request was answered and no part of the next one has come."""
        return self._served and (self.deaf or not self._reader.begun)

    @property
    def in_body(self) -> bool:
        """Whether the head of a request is complete and its body is not."""
        return self._reader.in_body and not self.deaf

    @property
    def keeps_place(self) -> bool:
        """Whether the body of a known client is coming: its connection does not give way to a new one."""
        return self.in_body and self._has_shown_itself(self._reader.head)

    def receive(self, data: bytes) -> bytes | Later | None:
        """Read the next bytes; return None if more must come, else the response."""
        self.service.working()
        self.service.log.emit("HTTP_DATA_RECEIVED", len(data), self._peer)
        return None if self.deaf else self._answer(self._reader.feed(data))

    def resume(self) -> bytes | Later | None:
        """Continue with what had come before the last response was sent."""
        self.service.working()
        return None if self.deaf else self._answer(self._reader.feed(b""))

    def timed_out(self) -> bytes:
        """Return the response to a request whose next bytes do not come."""
        self.service.log.emit("HTTP_CLIENT_REQUEST_TIMEOUT_OCCURRED", self._peer)
        head = self._reader.head
        # As with Kea, the connection stays open behind a complete head. The rest of the body may still come,
        # so nothing is read from it any more: it would be taken for a request.
        self.deaf = self._served = self.in_body and head.keeps
        self._reader.stop()
        self.closing = not self.deaf
        return self._sent(refusal(408), head.version)

    def close(self) -> None:
        """Read no more: the connection has ended."""
        self._reader.close()

    def _knows(self, head: Head) -> bool:
        """Say whether a long body may come: from a known client, or a stranger that libraries may let in."""
        if self._has_shown_itself(head):
            return True
        use = self.service.hooks()
        if use is not None:
            use.end()
        return use is not None

    def _has_shown_itself(self, head: Head) -> bool:
        """Say whether the client is known, without libraries; where there are no passwords, each is."""
        authentication = self.service.authentication
        return authentication is None or authentication.client(head.headers) is not None

    def _answer(self, request: Request | None) -> bytes | Later | None:
        if request is None:
            return None
        self._served = True
        head = request.head
        self.closing = request.verdict in _STATUS or not head.keeps
        # As with Kea, the connection stays open. But where the request ends is not known, so what may come is
        # not read: it could be its body, which another client has written, and be taken for a request.
        self.deaf = request.verdict is Verdict.BROKEN and not self.closing
        if request.verdict in {Verdict.GOOD, Verdict.BROKEN}:
            response = self._respond(request)
            let_go(self._body)
        else:
            response = self._refuse(request)
        if isinstance(response, Response):
            return self._sent(response, head.version)
        return Later(response, lambda made: self._sent(made, head.version))

    def _refuse(self, request: Request) -> Response:
        """Return the response to a request that ends the connection."""
        self._log_refusal(_BAD if request.verdict is Verdict.BAD else _REFUSED, request, request.reason)
        authentication = self.service.authentication
        if request.verdict is not Verdict.STRANGER or authentication is None:
            return refusal(_STATUS[request.verdict])
        authentication.check(request.head.headers, self.service.log)
        return challenge(authentication.realm)

    def _sent(self, response: Response, version: tuple[int, int]) -> bytes:
        service = self.service
        response = with_headers(response, service.headers)
        self.closing |= response.body is None
        octets = response.octets(version)
        service.log.emit("HTTP_SERVER_RESPONSE_SEND", response.brief(version), self._peer)
        if "HTTP_SERVER_RESPONSE_SEND_DETAILS" in service.log.on:
            if isinstance(response.body, Element):
                response = response._replace(body=_redacted(response.body))
            text = response.octets(version).decode("utf-8", "replace")
            service.log.emit("HTTP_SERVER_RESPONSE_SEND_DETAILS", self._peer, _shortened(text))
        service.written()
        return octets

    def _respond(self, request: Request) -> Response | Awaited:
        """Return the response to a request with a good head."""
        if request.head.method == "GET":
            return self._page(request)
        log = self.service.log
        refused = self._refused_site(request)
        if refused is not None:
            return refused
        body = None
        if request.body:
            try:
                body = from_json(request.body, max_values=MAX_VALUES)
            except TooManyValuesError as fault:
                self._log_refusal(_REFUSED, request, fault)
                return refusal(413)
            except JsonError as fault:
                self._reader.drop_rest()
                self._log_refusal(_BAD, request, f"unable to parse the body of the HTTP request: {fault}")
                return refusal(400)
            self._body = [body]
            if isinstance(body.value, dict):
                body.value["remote-address"] = Element(self._peer)
        log.emit("HTTP_CLIENT_REQUEST_RECEIVED", self._peer)
        if "HTTP_CLIENT_REQUEST_RECEIVED_DETAILS" in log.on:
            log.emit("HTTP_CLIENT_REQUEST_RECEIVED_DETAILS", self._peer, _shown(request, body))
        return self._authenticate(request, body)

    def _refused_site(self, request: Request) -> Response | None:
        """Return the refusal of a command that a browser sends for another site; only browsers say an origin.

        Where clients have passwords and there is no page, such a site has none, and all is as with Kea.
        """
        service = self.service
        is_as_kea = service.pages is None and service.authentication is not None
        if is_as_kea or "origin" not in request.head.headers:
            return None
        refused = service.sites.refused(request.head)
        if refused is not None:
            self._log_refusal(_REFUSED, request, _OTHER_SITE)
        return refused

    def _page(self, request: Request) -> Response | Awaited:
        """Return the response to a GET; hook libraries know commands only, and do not see it."""
        head, log = request.head, self.service.log
        log.emit("HTTP_CLIENT_REQUEST_RECEIVED", self._peer)
        if "HTTP_CLIENT_REQUEST_RECEIVED_DETAILS" in log.on:
            log.emit("HTTP_CLIENT_REQUEST_RECEIVED_DETAILS", self._peer, _shown(request, None))
        pages, authentication = self.service.pages, self.service.authentication
        client = None if authentication is None else authentication.check(head.headers, log)
        if authentication is not None and client is None:
            return challenge(authentication.realm)
        role = roles.ALL if client is None else client.role
        return self.service.sites.refused(head) or (
            refusal(404) if pages is None else pages.respond(head, role)
        )

    def _authenticate(self, request: Request, body: Element | None) -> Response:
        """Authenticate the client and run the callouts of hook libraries; then carry the command out."""
        service = self.service
        client, response = None, None
        authentication = service.authentication
        if authentication is not None:
            client = authentication.check(request.head.headers, service.log)
            response = challenge(authentication.realm) if client is None else None
        use = service.hooks()
        if use is None:
            return response or self._command(client, body)
        try:
            user = "" if client is None else client.user
            seen = request_map(request.head, body, self._peer, user, tls=self._tls)
            seen, refused = use.auth(seen, None if response is None else response_map(response))
            if refused is not None:
                return response_of(refused)
            changed = seen.map_value()["body"]
            made = self._command(client, None if changed.value is None else changed)
            if use.over:  # by the command; the libraries that there are now see the response
                use.end()
                use = service.hooks()
            if use is None or made.status != 200:
                return made
            return response_of(use.response(seen, response_map(made)))
        except (BridgeError, HookError) as fault:
            service.log.emit("PYD2_HOOK_HTTP_FAULT", self._peer, fault)
            return refusal(500)
        finally:
            if use is not None:
                use.end()

    def _command(self, client: HttpClient | None, body: Element | None) -> Response:
        """Carry a command out."""
        if body is None:
            return answer(error("Command processing failed: NULL command parameter"))
        role = roles.ALL if client is None else client.role
        if not roles.allows(role, body):
            assert client is not None
            name = body.map_value()["command"].value
            self.service.log.emit("PYD2_HTTP_FORBIDDEN", name, client.user, self._peer, role)
            return refusal(403)
        made = self.service.process(body)
        return refusal(500) if made is None else answer(roles.shown(role, made))

    def _log_refusal(self, message_id: str, request: Request, reason: object) -> None:
        """Log a refusal once, and for debugging the request."""
        log = self.service.log
        log.emit(message_id, self._peer, reason)
        if "HTTP_BAD_CLIENT_REQUEST_RECEIVED_DETAILS" in log.on:
            log.emit("HTTP_BAD_CLIENT_REQUEST_RECEIVED_DETAILS", self._peer, _shown(request, None))


def _shown(request: Request, body: Element | None) -> str:
    """Return a request for a message, without credentials and secrets."""
    head = request.head
    major, minor = head.version
    lines = [f"{head.method} {head.target} HTTP/{major}.{minor}"]
    for name, value in head.raw_headers:
        hidden = name.lower() in {b"authorization", b"proxy-authorization", b"cookie"}
        lines.append(f"{name.decode('latin-1')}: {'*****' if hidden else value.decode('latin-1')}")
    text = "" if body is None else to_text(_redacted(body))
    return _shortened("\r\n".join([*lines, "", text]))


def _redacted(body: Element) -> Element:
    if isinstance(body.value, list):
        return Element([redact_request(item) for item in body.value])
    return redact_request(body)


def _shortened(text: str) -> str:
    if len(text) <= _LOGGED:
        return text
    return f"{text[:_LOGGED]}.........\n(truncating HTTP message larger than {_LOGGED} characters)\n"
