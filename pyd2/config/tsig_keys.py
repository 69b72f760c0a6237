"""The ``tsig-keys`` and the files with their secrets (contract, section 2.2)."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Final

from pyd2.config.grammar import BLANK_SECRET_FAULT
from pyd2.config.lexer import MAX_FILE_SIZE
from pyd2.config.model import TsigKey
from pyd2.config.values import UINT32_MAX, get_integer, get_string, position_of, reason
from pyd2.data.counted import counted
from pyd2.data.secrets import HIDDEN, may_be_secret
from pyd2.dns.names import name_text, parse_name
from pyd2.dns.tsig import ALGORITHMS
from pyd2.errors import ConfigError, DomainNameError
from pyd2.regular import UnfitFileError, read_regular

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.data.element import Element

    SecretReader = Callable[[str], str]

_BASE64: Final = {
    char: value
    for value, char in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
}
_SPACES: Final = frozenset(" \t\n\v\f\r")
_FIRST_WORD: Final = re.compile(rb"[^ \t-\r]+")


def parse_tsig_keys(keys: Element, read_secret: SecretReader) -> dict[str, TsigKey]:
    """Return the keys by their names as typed, in the order of the list; raises ConfigError."""
    result: dict[str, TsigKey] = {}
    for entry in keys.list_value():
        key = _key(entry, read_secret)
        if key.name in result:
            raise ConfigError(
                f"Duplicate TSIG key name specified : {key.name} ({position_of(entry, 'name')})"
            )
        result[key.name] = key
    return result


def read_secret_file(path: str) -> str:
    """Return the first word of a file, empty if it has none; raises ConfigError with Kea's reason."""
    name = path.partition("\0")[0]  # for Kea the path is a C string
    try:
        mode = os.stat(name).st_mode  # noqa: PTH116  Path("") would be the working directory
    except OSError:
        raise ConfigError(f"Expected a file at path '{path}'") from None
    if not stat.S_ISREG(mode):
        raise ConfigError(f"Expected '{path}' to be a regular file")
    try:
        content = read_regular(name, MAX_FILE_SIZE)
    except UnfitFileError:
        raise ConfigError(f"Expected '{path}' to be a regular file") from None
    except OSError:
        raise ConfigError(f"Cannot open '{path}") from None
    word = _FIRST_WORD.search(content)
    return "" if word is None else word.group().decode("utf-8", "surrogateescape")


def _key(entry: Element, read_secret: SecretReader) -> TsigKey:
    name = get_string(entry, "name")
    algorithm = get_string(entry, "algorithm")
    # Kea keeps 32 bits of it.
    digest_bits = get_integer(entry, "digest-bits") & UINT32_MAX
    secret_text, secret_file = _secret(entry, read_secret)
    known = ALGORITHMS.get(algorithm.lower())
    if known is None:
        shown = HIDDEN if may_be_secret(algorithm) else algorithm
        raise ConfigError(
            f"tsig-key : Unknown TSIG Key algorithm: {shown} ({position_of(entry, 'algorithm')})"
        )
    if 0 < digest_bits < known.least_bits:
        raise ConfigError(f"tsig-key: digest-bits too small : ({position_of(entry, 'digest-bits')})")
    try:
        secret = _make(name, secret_text, known.wire_name, digest_bits)
    except (ConfigError, DomainNameError) as error:
        raise ConfigError(f"Cannot make D2TsigKey: {reason(error)} ({entry.position})") from None
    return TsigKey(
        name=name,
        algorithm=algorithm,
        digest_bits=digest_bits,
        secret=secret,
        secret_text=None if secret_file else secret_text,
        secret_file=secret_file or None,
        user_context=entry.get("user-context"),
        position=entry.position,
    )


def _secret(entry: Element, read_secret: SecretReader) -> tuple[str, str]:
    """Return the base64 text and the name of its file; the name is empty without a file."""
    if entry.get("secret-file") is None:
        text = get_string(entry, "secret")
        if not text:
            raise ConfigError(f"{BLANK_SECRET_FAULT} ({position_of(entry, 'secret')})")
        return text, ""
    path = get_string(entry, "secret-file")
    try:
        text, fault = read_secret(path), ""
    except ConfigError as error:
        text, fault = "", reason(error)
    if text:
        return text, path
    fault = fault or f"Expected '{path}' to not be empty"
    if may_be_secret(path):
        fault = fault.replace(path, HIDDEN)
    raise ConfigError(f"tsig-key : {fault} ({position_of(entry, 'secret-file')})")


def _make(name: str, secret: str, algorithm: str, digest_bits: int) -> bytes:
    """Return the secret's bytes if Kea can make a key of these; raises ConfigError or DomainNameError.

    Kea joins them with colons and splits the text again. After a colon in the name it reads the algorithm as
    the number of bits, and refuses the key.
    """
    if ":" in name_text(parse_name(name)):
        bits = f":{digest_bits}" if digest_bits else ""
        raise ConfigError(f"TSIG key with non-numeric digestbits: {algorithm}{bits}")
    return decode_base64(secret)


def decode_base64(text: str) -> bytes:
    """Return the bytes of a base64 text, which may hold white space; raises ConfigError.

    The text is a secret: errors have Kea's words, but name the place where Kea shows the text. Places count
    from 1, white space included.
    """
    digits = padding = number = bits = 0
    result = bytearray()
    for place, char in enumerate(text, start=1):
        if char in _SPACES:
            continue
        digits += 1
        if char == "=":
            padding += 1
            continue
        value = _BASE64.get(char)
        if value is None:
            where = f"character {place} of {len(text)} is {_kind(char)}"
            raise ConfigError(f"attempt to decode a value not in base64 char set: {where}")
        if padding:
            where = f"character {place} of {len(text)} comes after a '='"
            raise ConfigError(f"pad mixed with digits in base64: {where}")
        number = number << 6 | value
        bits += 6
        if bits >= 8:
            bits -= 8
            result.append(number >> bits)
            number &= (1 << bits) - 1
    count = counted(digits, "character")
    if number:
        what = "and the last one is wrong or others are missing"
        raise ConfigError(f"non-zero bits left over: {count}, {what}")
    if padding > 2:
        raise ConfigError(f"too many pad characters for base64: {padding} of {count} are '='")
    if digits % 4:
        raise ConfigError(f"Incomplete input for base64: {count}, which is no multiple of 4")
    return bytes(result)


def _kind(char: str) -> str:
    return f"'{char}'" if char.isascii() and char.isprintable() else f"U+{ord(char):04X}"
