"""The ``tsig-keys`` (contract, section 2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.config.grammar import BLANK_SECRET_FAULT
from pyd2.config.model import TsigKey
from pyd2.config.values import UINT32_MAX, get_integer, get_string, position_of, reason
from pyd2.dns.names import name_text, parse_name
from pyd2.errors import ConfigError, DomainNameError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.data.element import Element

    SecretReader = Callable[[str], str]

ALGORITHMS: Final = {
    "HMAC-MD5": "hmac-md5.sig-alg.reg.int.",
    "HMAC-SHA1": "hmac-sha1.",
    "HMAC-SHA224": "hmac-sha224.",
    "HMAC-SHA256": "hmac-sha256.",
    "HMAC-SHA384": "hmac-sha384.",
    "HMAC-SHA512": "hmac-sha512.",
}
"""The algorithms' names on the wire (RFC 8945, section 6), by what the configuration calls them."""

_LEAST_BITS: Final = {"HMAC-SHA224": 112, "HMAC-SHA256": 128, "HMAC-SHA384": 192, "HMAC-SHA512": 256}
"""Half of the digest; 80 bits for the others (RFC 8945, section 5.2.2.1)."""

_BASE64: Final = {
    char: value
    for value, char in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
}
_SPACES: Final = frozenset(" \t\n\v\f\r")


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


def _key(entry: Element, read_secret: SecretReader) -> TsigKey:
    name = get_string(entry, "name")
    algorithm = get_string(entry, "algorithm")
    # Kea keeps 32 bits of it.
    digest_bits = get_integer(entry, "digest-bits") & UINT32_MAX
    secret_text, secret_file = _secret(entry, read_secret)
    wire_algorithm = ALGORITHMS.get(algorithm.upper())
    if wire_algorithm is None:
        raise ConfigError(
            f"tsig-key : Unknown TSIG Key algorithm: {algorithm} ({position_of(entry, 'algorithm')})"
        )
    if 0 < digest_bits < _LEAST_BITS.get(algorithm.upper(), 80):
        raise ConfigError(f"tsig-key: digest-bits too small : ({position_of(entry, 'digest-bits')})")
    try:
        secret = _make(name, secret_text, wire_algorithm, digest_bits)
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
    """Return the base64 text and the name of the file it came from, which is empty if it came from none."""
    if entry.get("secret-file") is None:
        text = get_string(entry, "secret")
        if not text:
            raise ConfigError(f"{BLANK_SECRET_FAULT} ({position_of(entry, 'secret')})")
        return text, ""
    path = get_string(entry, "secret-file")
    try:
        return read_secret(path), path
    except ConfigError as error:
        raise ConfigError(f"tsig-key : {reason(error)} ({position_of(entry, 'secret-file')})") from None


def _make(name: str, secret: str, algorithm: str, digest_bits: int) -> bytes:
    """Return the secret's bytes if Kea could make a key of these; raises ConfigError or DomainNameError.

    Kea joins all with colons and takes the text apart again, so a colon in the name or in the secret moves
    what follows it one place on, and what should be the number of bits is none.
    """
    fields = [name_text(parse_name(name)), secret, algorithm, *([str(digest_bits)] if digest_bits else [])]
    found = ":".join(fields).split(":", 3)
    if found != fields:
        if found[2]:
            parse_name(found[2])
        raise ConfigError(f"TSIG key with non-numeric digestbits: {found[3].partition(chr(10))[0]}")
    return decode_base64(secret)


def decode_base64(text: str) -> bytes:
    """Return the bytes of a base64 text, in which white space counts for nothing; raises ConfigError."""
    digits = [char for char in text if char not in _SPACES]
    padding = 0
    number = bits = 0
    result = bytearray()
    for char in digits:
        if char == "=":
            padding += 1
            continue
        value = _BASE64.get(char)
        if value is None:
            raise ConfigError(f"attempt to decode a value not in base64 char set: {text}")
        if padding:
            raise ConfigError(f"pad mixed with digits in base64: {text}")
        number = number << 6 | value
        bits += 6
        if bits >= 8:
            bits -= 8
            result.append(number >> bits)
            number &= (1 << bits) - 1
    if number:
        raise ConfigError(f"non-zero bits left over {text}")
    if padding > 2:
        raise ConfigError(f"too many pad characters for base64: {text}")
    if len(digits) % 4:
        raise ConfigError(f"Incomplete input for base64: {text}")
    return bytes(result)
