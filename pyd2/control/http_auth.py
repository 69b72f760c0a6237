"""Basic authentication of HTTP clients (RFC 7617), as in Kea 3.0 (its contract, section 8)."""

from __future__ import annotations

import base64
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyd2.config.model import Authentication, HttpClient
    from pyd2.messages import Log

_SHORTEST = 8
"""Characters of the header's value: the name of the scheme, a blank and something."""


class BasicAuthentication:
    """Knows the clients of a socket by their credentials."""

    def __init__(self, authentication: Authentication) -> None:
        self._clients = [(_credential(client), client) for client in authentication.clients]
        self.realm = authentication.realm

    def client(self, headers: Mapping[str, str]) -> HttpClient | None:
        """Return the client that sent these headers (names in lower case), None for a stranger."""
        return self._find(headers.get("authorization", ""))[0]

    def check(self, headers: Mapping[str, str], log: Log) -> HttpClient | None:
        """Do the same and log the outcome."""
        if "authorization" not in headers:
            log.emit("HTTP_CLIENT_REQUEST_NO_AUTH_HEADER")
            return None
        client, fault = self._find(headers["authorization"])
        if fault:
            log.emit("HTTP_CLIENT_REQUEST_BAD_AUTH_HEADER", fault)
        elif client is None:
            log.emit("HTTP_CLIENT_REQUEST_NOT_AUTHORIZED")
        else:
            log.emit("HTTP_CLIENT_REQUEST_AUTHORIZED", client.user)
        return client

    def _find(self, header: str) -> tuple[HttpClient | None, str]:
        """Return the client, and Kea's text when the header is no credential at all."""
        value = header.strip("\t ")
        if len(value) < _SHORTEST:
            return None, "header content is too short"
        if value[:5].lower() != "basic":
            return None, "not basic authentication"
        given = value[5:].strip("\t ").encode("latin-1", "replace")
        found = None
        for credential, client in self._clients:  # all of them: so the time does not show which one it is
            if hmac.compare_digest(credential, given) and found is None:
                found = client
        return found, ""


def _credential(client: HttpClient) -> bytes:
    """Return what the header of a client holds after the name of the scheme."""
    return base64.b64encode(f"{client.user}:{client.password}".encode("utf-8", "surrogateescape"))
