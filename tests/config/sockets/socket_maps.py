"""Random control sockets of Kea 3.0, most of them right, for pyd2 or for a real server beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

FILES = {"pw": "p q", "us": "u\n", "both": "u:p", "empty": "", "colon": "a:b"}
"""The files that clients may name, with their contents."""

_TEXTS = ("d2.sock", "127.0.0.1", "::1", "basic", "u", "pw", "both", "nope", ".", "", "a:b", "1234",
          "keatest", "/x", "/tmp/x", "\u00e9", 'a\\"b', "x y", "HTTP", " d2.sock ")
_SCALARS = ("0", "8000", "65536", "2147483648", "-1", "1.5", "true", "false", "null")


class SocketMaps:
    """Makes the text of a configuration file from random numbers. ``odd``: how likely a value is another."""

    def __init__(self, rng: random.Random, odd: float = 0.015) -> None:
        self._rng = rng
        self._odd = odd

    def file(self) -> str:
        """Return a file."""
        sockets = "[" + ", ".join(self._socket() for _ in range(self._rng.randrange(4))) + "]"
        members = self._maybe("control-sockets", sockets, 0.8)
        members += self._maybe("control-socket", self._socket(), 0.25)
        members += self._maybe("port", "53001", 0.5) + self._context()
        text = '{"DhcpDdns": {' + self._joined(members) + "}}"
        if self._rng.random() < self._odd:
            at = self._rng.randrange(len(text))
            text = text[:at] + self._one("", "{", "}", "[", ",", ":", '"', "1", "\n") + text[at + 1 :]
        return text

    def _socket(self) -> str:
        kind = self._rng.choice(("unix", "http", "http", "https"))
        members = self._maybe("socket-type", f'"{kind}"', 0.97)
        if kind == "unix":
            members += self._maybe("socket-name", self._one('"d2.sock"', self._text()), 0.95)
        else:
            members += self._maybe("socket-address", self._one('"127.0.0.1"', '"::1"', self._text()), 0.6)
            members += self._maybe("socket-port", self._one("8000", "0", "65535", "65536", "-1"), 0.6)
        members += self._maybe("authentication", self._authentication(), 0.1 if kind == "unix" else 0.4)
        tls = 0.95 if kind == "https" else 0.05
        for name in ("trust-anchor", "cert-file", "key-file"):
            members += self._maybe(name, self._one('"ca.pem"', '"x"', '""'), tls)
        members += self._maybe("cert-required", self._one("true", "false"), 0.15) + self._context()
        return "{" + self._joined(members) + "}"

    def _authentication(self) -> str:
        clients = "[" + ", ".join(self._client() for _ in range(self._rng.randrange(3))) + "]"
        members = self._maybe("type", '"basic"', 0.97) + self._maybe("realm", self._text(), 0.3)
        members += self._maybe("directory", self._one('"."', '""', '"/"'), 0.6)
        return "{" + self._joined(members + self._maybe("clients", clients, 0.8) + self._context()) + "}"

    def _client(self) -> str:
        members = self._maybe("user", self._one('"u"', '"admin"', self._text()), 0.8)
        members += self._maybe("password", self._one('"p"', '"s3cret"', self._text()), 0.5)
        members += self._maybe("user-file", self._one('"us"', '"nope"', '"colon"', '"empty"'), 0.15)
        members += self._maybe("password-file", self._one('"pw"', '"both"', '"nope"', '"empty"'), 0.2)
        return "{" + self._joined(members + self._context()) + "}"

    def _context(self) -> list[tuple[str, str]]:
        context = self._one('{"a": 1}', "{}", '{"comment": "x"}')
        return self._maybe("user-context", context, 0.1) + self._maybe("comment", '"c"', 0.08)

    def _maybe(self, name: str, value: str, likely: float) -> list[tuple[str, str]]:
        """Return a member, or none; now and then with another value or name, or twice."""
        if self._rng.random() >= likely:
            return []
        if self._rng.random() < self._odd:
            value = self._any()
        if self._rng.random() < self._odd / 3:
            name = self._one(name + "x", name.upper())
        return [(name, value)] * (2 if self._rng.random() < self._odd / 2 else 1)

    def _joined(self, members: list[tuple[str, str]]) -> str:
        if self._rng.random() < 0.5:
            self._rng.shuffle(members)
        return self._one(", ", ",\n  ").join(f'"{name}": {value}' for name, value in members)

    def _any(self) -> str:
        return self._one(self._text(), *_SCALARS, "{}", "[]", '{"a": [1]}', '["x"]')

    def _text(self) -> str:
        return f'"{self._rng.choice(_TEXTS)}"'

    def _one(self, *values: str) -> str:
        return self._rng.choice(values)
