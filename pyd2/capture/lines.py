"""The lines of a capture. ``pyd2ctl replay`` reads them."""

from __future__ import annotations

import re
from binascii import b2a_base64
from typing import Final

_PAIR: Final = rb' ?"[a-z-]{1,32}": ?(?:"[ !#-\[\]-~]*"|[1-9][0-9]{0,9}|0|true|false) ?'
_PLAIN: Final = re.compile(rb"\{%s(?:,%s)*\}" % (_PAIR, _PAIR))
"""A map in one line that every reader of JSON reads alike; DHCP servers write requests so."""


def request_line(at: float, datagram: bytes) -> bytes:
    """Return the line of a request: its text as it came, or else the whole datagram in base64.

    ``at`` is seconds since the epoch. The text is kept if it is as long as the datagram says, and plain JSON.
    """
    text = datagram[2:]
    if len(text) == int.from_bytes(datagram[:2], "big") and _PLAIN.fullmatch(text):
        return b'{"at":%.6f,"request":%s}\n' % (at, text)
    return b'{"at":%.6f,"datagram":"%s"}\n' % (at, b2a_base64(datagram, newline=False))


def update_line(at: float, server: str, update: bytes, reply: bytes | None = None, ms: float = 0.0) -> bytes:
    """Return the line of an update to a DNS server, with its reply after ``ms`` milliseconds, if one came."""
    line = b'{"at":%.6f,"server":"%s","update":"%s"' % (
        at, server.encode(), b2a_base64(update, newline=False),
    )  # fmt: skip
    if reply is None:
        return line + b"}\n"
    return line + b',"reply":"%s","ms":%.3f}\n' % (b2a_base64(reply, newline=False), ms)
