"""One request over HTTP, and the whole response, whatever its status."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def fetch(
    url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None, timeout: float = 20
) -> tuple[int, dict[str, str], str]:
    """Return status, headers and text of the response to a GET, or with a ``body`` to a POST."""
    asked = urllib.request.Request(url, body, {**(headers or {})})
    try:
        with urllib.request.urlopen(asked, timeout=timeout) as response:
            return response.status, dict(response.headers), response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read().decode()
