"""Random configuration files, good and bad, from a seed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

TOKEN = re.compile(rb'"(?:[^"\\\n]|\\.)*"|[-+.0-9eE]+|true|false|null|/\*.*?\*/|[#/][^\n]*|\s+|.', re.DOTALL)

KEYWORDS = [
    "DhcpDdns", "ip-address", "port", "dns-server-timeout", "ncr-protocol", "ncr-format", "user-context",
    "comment", "forward-ddns", "reverse-ddns", "ddns-domains", "key-name", "dns-servers", "hostname",
    "tsig-keys", "algorithm", "digest-bits", "secret", "secret-file", "control-socket", "socket-type",
    "socket-name", "hooks-libraries", "library", "parameters", "loggers", "name", "output-options",
    "output_options", "output", "debuglevel", "severity", "flush", "maxsize", "maxver", "pattern", "bogus",
    "Port",
]  # fmt: skip

STRINGS = [
    '""', '"x"', '"udp"', '"Tcp"', '"JSON"', '"json"', '"::1"', '"127.0.0.1"', '"nope"', '"k"', '"K"',
    '"\\u00e9"', '"\\u0100"', '"a\\u12"', '"a\\u1"', '"a\\x"', '"a\\"', '"a\tb"', '"a\nb"', '"a\\u00',
    '"\\n\\t\\/"', '"\\\\"', '"a\\u000"', '"a\\ug"', '"\x01', '"\\"\\"', "'a'", '"un', '"\u00e9\u20ac"',
    '"\\q\\"b"', '"a\\\nb"', '"a\x00b"', '"\\u0000"', '"a\\u0000b"',
]  # fmt: skip
NUMBERS = [
    "0", "1", "-1", "53", "65535", "65536", "4294967295", "4294967296", "9223372036854775807",
    "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "1.5", ".5", "5.", "+5", "1e3",
    "1E-3", "1e999", "-", "+", ".", "e5", "e", "1.2.3", "--1", "007", "-0", "80", "81", "128", "0x1f",
    "1e", "-.e1", "00000000000000000000000000000001",
]  # fmt: skip
WORDS = ["true", "false", "null", "True", "NULL", "FALSE", "nul", "truefalse", "nulltrue"]
MARKS = ["{", "}", "[", "]", ",", ":", ",,", "{}", "[]", "{,}", "[,]"]
SPACES = [
    " ", "\n", "\t", "\r\n", "  ", "/* c */", "/* c  */", "/*\n*/", "// c\n", "# c\n", "# c", "/* open",
    "/", "/**/ /**/", '<?include "part.inc"?>', '<?include "comma.inc" ?>', '<?include "nothere"?>',
    '<?include "self.inc"?>', '<?include "."?>', "<?include", "<?inc", "<", '<?include "empty.inc"',
    '<?include "empty.inc"?>', '<?include ""?>', '<?include "value.inc"?>', "\x00", "\x0b", "\xff", "@",
]  # fmt: skip
POOL = [KEYWORDS, STRINGS, NUMBERS, WORDS, MARKS, SPACES]

INCLUDED = {
    "part.inc": b'"port": 53002\n',
    "comma.inc": b'"comment": "i",',
    "self.inc": b'<?include "self.inc"?>',
    "empty.inc": b"",
    "value.inc": b" 5",
}


def random_token(rng: random.Random) -> bytes:
    pool = rng.choice(POOL)
    text = rng.choice(pool)
    if pool is KEYWORDS:
        return f'"{text}"'.encode()
    return text.encode("latin-1") if text == "\xff" else text.encode()


def mutate(text: bytes, rng: random.Random) -> bytes:
    """Return the text with one to three of its tokens, or one byte, changed."""
    tokens = TOKEN.findall(text)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        at = rng.randrange(len(tokens)) if tokens else 0
        kind = rng.randrange(7)
        if kind == 0 and tokens:
            del tokens[at]
        elif kind == 1 and tokens:
            tokens.insert(rng.randrange(len(tokens)), tokens[at])
        elif kind == 2 and tokens:
            other = rng.randrange(len(tokens))
            tokens[at], tokens[other] = tokens[other], tokens[at]
        elif kind == 3:
            tokens.insert(at, random_token(rng))
        elif kind == 4 and tokens:
            tokens[at] = random_token(rng)
        elif kind == 5 and tokens:
            # Among values of one kind, faults of logic are likelier than those of grammar.
            alike = [i for i, token in enumerate(tokens) if token[:1] == tokens[at][:1] and token.strip()]
            if alike:
                tokens[rng.choice(alike)] = tokens[at]
        elif rng.random() < 0.3:
            whole = bytearray(b"".join(tokens))
            whole.insert(rng.randint(0, len(whole)), rng.randrange(256))
            tokens = TOKEN.findall(bytes(whole))
        else:
            tokens = TOKEN.findall(b"".join(tokens)[: rng.randint(0, len(text))])
    return b"".join(tokens)


ADDRESSES = [
    "127.0.0.1", "::1", "2001:DB8:0:0::1", "::ffff:1.2.3.4", "0.0.0.0", "fe80::1%lo", "fe80::1%x",
    "2001:db8::1%7", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.4 ", " ::1", "", ":::", "1::2::3",
    "::1.2.3.4", "ff02::1%lo", "::1%-1", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "::1%", "%", "fe80::1%1",
    "1.2.3.4%1", "::1%5x", "\u00e9",
]  # fmt: skip
NAMES = [
    "k", "K", "k.", "a..b", ".", "@", ".a", "a:b", "a b", "x" * 64, "x" * 63, ".".join(["x" * 63] * 4),
    "a\\\\.b", "a:b:c", "a\\\\", "\\u00e9", "a\\\\300", "*", "example.com", "example.com.", "*.",
    "a\\\\1x",
]  # fmt: skip
SECRETS = [
    "QUJD", "QUI=", "QQ==", "QUJ", "QUJDR", "A", "====", "QU=D", "Q Q = =", "QQ=", "QR==", "QUJDRA", "!",
    "QU:D", " ", "QUJDREVGRw==", "QUJD\\n", "x" * 65 + ":", "QQ===", "a:b:c", "\\u00e9",
]  # fmt: skip
ALGORITHMS = ["HMAC-MD5", "hmac-sha1", "Hmac-Sha224", "HMAC-SHA256", "HMAC-SHA384", "hmac-sha512", "x"]
PATHS = [
    "x", "/x", "/nope/x", "", "/", "a/", " x ", "x.so", "..", "./x", "\\t", "@DIR@/x", "@DIR@//x",
    "x\\u0000y",
]  # fmt: skip
BITS = [0, 8, 72, 80, 88, 104, 112, 120, 128, 184, 192, 248, 256, 512, 4096, 1 << 32, (1 << 32) + 8, 81, -8]
SECRET_FILES = ["k.secret", "empty.secret", "nothere", ".", "k\\u0000"]
CONTEXTS = ['{ "a": [ 1, 2.5e3 ] }', '{ "comment": "c" }', '{ "n": null }']
TIMEOUTS = [1, 500, 0, -1, 2**31, 2**32 - 1, 2**32, 2**63 - 1]


class Generator:
    """Writes configurations whose grammar is nearly always right and whose values often are not.

    A careful one has far fewer faults; one of strict JSON has no commas too many.
    """

    def __init__(self, rng: random.Random, *, careful: bool = False, strict: bool = False) -> None:
        self.rng = rng
        self.strict = strict
        self.careful = careful

    def odd(self, usual: list[str]) -> str:
        """Return one of the usual, once in a hundred times anything."""
        if not self.careful and self.rng.random() < 0.01:
            return random_token(self.rng).decode("utf-8", "surrogateescape")
        return self.rng.choice(usual)

    def quoted(self, usual: list[str]) -> str:
        return self.odd([f'"{text}"' for text in usual])

    def numbers(self, usual: list[int]) -> str:
        return self.odd([str(number) for number in usual])

    def map_of(self, **members: str | None) -> str:
        items = [f'"{key.replace("_", "-")}": {value}' for key, value in members.items() if value is not None]
        self.rng.shuffle(items)
        commas = [self.rng.choice([", ", ",\n ", ",", " , "]) for _ in items]
        if self.strict or self.rng.random() < 0.9:
            commas[-1:] = [""] if items else []
        return "{ " + "".join(item + comma for item, comma in zip(items, commas, strict=True)) + "}"

    def list_of(self, *items: str) -> str:
        more = "" if self.strict or not items else self.rng.choice(["", "", "", ",", ", ,"])
        return "[ " + ", ".join(items) + more + " ]"

    def maybe(self, text: str, share: float = 0.7) -> str | None:
        wanted = self.rng.random() < share or (self.careful and share > 0.9)
        return text if wanted else None

    def mostly(self, good: list[str], odd: list[str]) -> list[str]:
        return good if self.careful or self.rng.random() < 0.85 else odd

    def context(self) -> dict[str, str | None]:
        return {
            "user_context": self.maybe(self.rng.choice(CONTEXTS), 0.1),
            "comment": self.maybe(self.quoted(["text", ""]), 0.1),
        }

    def key(self, name: str) -> str:
        return self.map_of(
            name=self.maybe(self.quoted(self.mostly([name], NAMES)), 0.97),
            algorithm=self.maybe(self.quoted(self.mostly(ALGORITHMS[:6], ALGORITHMS)), 0.97),
            digest_bits=self.maybe(self.numbers(self.rng.choice([[0, 256, 512], BITS])), 0.4),
            secret=self.maybe(self.quoted(self.mostly(["QUJD"], SECRETS)), 0.95),
            secret_file=self.maybe(self.quoted(SECRET_FILES), 0.04),
            **self.context(),
        )

    def server(self) -> str:
        return self.map_of(
            ip_address=self.maybe(self.quoted(self.mostly(ADDRESSES[:5], ADDRESSES)), 0.97),
            port=self.maybe(self.numbers([53, 5300, 65535]), 0.4),
            hostname=self.maybe(self.quoted(["", "", "h"]), 0.1),
            key_name=self.maybe(self.quoted(self.mostly(["k", ""], ["k", "K", "q"])), 0.2),
            **self.context(),
        )

    def domain(self, name: str) -> str:
        servers = [self.server() for _ in range(self.rng.choice([1, 1, 2]))]
        return self.map_of(
            name=self.maybe(self.quoted(self.mostly([name], NAMES)), 0.97),
            key_name=self.maybe(self.quoted(self.mostly(["k", ""], ["k", "K", "q"])), 0.2),
            dns_servers=self.maybe(self.list_of(*servers), 0.99),
            **self.context(),
        )

    def direction(self) -> str:
        domains = [self.domain(name) for name in ("c.", "B.", "b.a.")[: self.rng.randrange(4)]]
        return self.map_of(ddns_domains=self.maybe(self.list_of(*domains), 0.9))

    def logger(self) -> str:
        options = [
            self.map_of(
                output=self.maybe(self.quoted(self.mostly(["stdout", "stderr", "syslog"], PATHS)), 0.97),
                flush=self.maybe(self.odd(["true", "false"]), 0.3),
                maxsize=self.maybe(self.numbers([0, 1, -5, 2**40, 2**63 - 1]), 0.2),
                maxver=self.maybe(self.numbers([0, 8, 2**31 - 1, 2**31, -(2**31)]), 0.2),
                pattern=self.maybe(self.quoted(["", "%m"]), 0.2),
            )
            for _ in range(self.rng.choice([1, 1, 2]))
        ]
        return self.map_of(
            name=self.maybe(self.quoted(["kea-dhcp-ddns", "x", ""]), 0.97),
            severity=self.quoted(self.mostly(["DEBUG", "info", "Warn", "NONE"], ["x", ""])),
            debuglevel=self.maybe(self.numbers(self.rng.choice([[0, 99], [0, 99, 100, -1, 2**40]])), 0.5),
            output_options=self.maybe(self.list_of(*options), 0.7),
            **self.context(),
        )

    def library(self) -> str:
        return self.map_of(
            library=self.maybe(self.quoted(PATHS), 0.97),
            parameters=self.maybe('{ "a": { "b": [ ] } }', 0.5),
        )

    def whole(self) -> bytes:
        rng = self.rng
        keys = [self.key(name) for name in ("k", "K", "m")[: rng.randrange(4)]]
        socket = self.map_of(socket_type='"unix"', socket_name='"s"', **self.context())
        libraries = [self.library() for _ in range(rng.choice([0, 0, 0, 1]))]
        loggers = [self.logger() for _ in range(rng.choice([1, 1, 2]))]
        text = self.map_of(
            ip_address=self.maybe(self.quoted(self.mostly(ADDRESSES[:5], ADDRESSES)), 0.4),
            port=self.maybe(self.numbers([1, 53001, 65535]), 0.4),
            dns_server_timeout=self.maybe(self.numbers(TIMEOUTS if rng.random() < 0.3 else [1, 500]), 0.4),
            ncr_protocol=self.maybe(self.quoted(["UDP", "udp", "UDP", "Tcp"]), 0.2),
            ncr_format=self.maybe(self.quoted(["JSON", "json", "Json"]), 0.2),
            tsig_keys=self.maybe(self.list_of(*keys), 0.8),
            forward_ddns=self.maybe(self.direction(), 0.8),
            reverse_ddns=self.maybe(self.direction(), 0.4),
            control_socket=self.maybe(socket, 0.3),
            hooks_libraries=self.maybe(self.list_of(*libraries), 0.3),
            loggers=self.maybe(self.list_of(*loggers), 0.3),
            **self.context(),
        )  # fmt: skip
        return self.map_of(DhcpDdns=text).encode("utf-8", "surrogateescape")
