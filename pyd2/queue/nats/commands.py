"""Writes what a client sends in NATS's protocol: values in, octets out.

A text that would break the protocol is a ValueError.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

PING: Final = b"PING\r\n"
PONG: Final = b"PONG\r\n"

_SUBJECT: Final = re.compile(r"[!-~]+")
_NAME: Final = re.compile(r"[!-9;-~]+")
_VALUE: Final = re.compile(r"[ -~]*")


def connect(options: Mapping[str, object]) -> bytes:
    """Return the first command of a client."""
    return b"CONNECT %b\r\n" % orjson.dumps(options)


def subscribe(subject: str, sid: int) -> bytes:
    """Return the command that asks for the messages of a subject, under a number."""
    return b"SUB %b %d\r\n" % (_checked(subject), sid)


def unsubscribe(sid: int) -> bytes:
    """Return the command that ends a subscription."""
    return b"UNSUB %d\r\n" % sid


def publish(subject: str, payload: bytes, *, reply: str = "", header: bytes = b"") -> bytes:
    """Return the command that sends a message; answers go to ``reply``."""
    to = _checked(subject) + (b" " + _checked(reply) if reply else b"")
    if not header:
        return b"PUB %b %d\r\n%b\r\n" % (to, len(payload), payload)
    return b"HPUB %b %d %d\r\n%b%b\r\n" % (to, len(header), len(header) + len(payload), header, payload)


def write_header(fields: Mapping[str, str]) -> bytes:
    """Return the header with these fields."""
    lines = []
    for name, value in fields.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"this cannot be in a header: {name!r}: {value!r}")
        lines.append(f"{name}: {value}\r\n")
    return f"NATS/1.0\r\n{''.join(lines)}\r\n".encode()


def _checked(subject: str) -> bytes:
    if not _SUBJECT.fullmatch(subject):
        raise ValueError(f"this cannot be a subject: {subject!r}")
    return subject.encode()
