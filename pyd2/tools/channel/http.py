"""One command over a control socket of type http or https."""

from __future__ import annotations

import base64
import contextlib
import http.client
from typing import TYPE_CHECKING

from pyd2.tools.channel.unix import LONGEST

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

JSON = {"Content-Type": "application/json"}
"""The header that Kea wants."""


def basic(pair: bytes) -> dict[str, str]:
    """Return the header for ``user:password`` (RFC 7617)."""
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def ask_http(
    place: tuple[str, int | None], command: bytes, headers: Mapping[str, str], timeout: float,
    tls: ssl.SSLContext | None,
) -> bytes:
    """Return the body of the answer of a host and port; None: the usual port. ``timeout`` is in seconds.

    Raises OSError or HTTPException without an answer, ValueError for a status other than 200 and for more
    than LONGEST octets.
    """
    connection: http.client.HTTPConnection
    if tls is None:
        connection = http.client.HTTPConnection(*place, timeout=timeout)
    else:
        connection = http.client.HTTPSConnection(*place, timeout=timeout, context=tls)
    with contextlib.closing(connection):
        connection.request("POST", "/", command, dict(headers))
        response = connection.getresponse()
        answer = response.read(LONGEST + 1)
    if response.status != http.client.OK:
        raise ValueError(f"HTTP status {response.status} {response.reason}")
    if len(answer) > LONGEST:
        raise ValueError(f"longer than {LONGEST} octets")
    return answer
