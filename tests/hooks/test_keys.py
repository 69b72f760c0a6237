"""Keys that libraries make."""

from __future__ import annotations

import base64

import pytest

from pyd2.dns.tsig import ALGORITHMS, HmacKey
from pyd2.errors import HookError
from pyd2.hooks import TsigKey

SECRET = b"sixteen octets.."


@pytest.mark.parametrize("algorithm", [name.upper() for name in ALGORITHMS])
@pytest.mark.parametrize(
    "secret", [SECRET, base64.b64encode(SECRET).decode(), " c2l4dGVlbi\nBvY3RldHMuLg== "],
)
def test_a_key_signs_as_the_configurations_do(algorithm: str, secret: bytes | str) -> None:
    made = TsigKey("Key.Example", algorithm, secret)
    twin = HmacKey("key.example.", algorithm.lower(), SECRET)
    assert (made.name, made.algorithm) == (twin.name, twin.algorithm)
    message = bytes(range(12)) + b"body"
    assert made.create_context().sign(message, 9, 99) == twin.create_context().sign(message, 9, 99)


def test_digest_bits_cut_the_mac() -> None:
    assert TsigKey("k.", "HMAC-SHA256", SECRET, 128).mac_size == 16


@pytest.mark.parametrize(("arguments", "reason"), [
    (("k.", "HMAC-SHA3", SECRET), "Unknown TSIG Key algorithm: HMAC-SHA3"),
    (("k.", None, SECRET), "Unknown TSIG Key algorithm: None"),
    (("k..k", "HMAC-MD5", SECRET), "duplicate period in k..k"),
    (("k.", "HMAC-MD5", "not base64!"), "the secret of key k. is not base64"),
    (("k.", "HMAC-MD5", "caf\u00e9"), "the secret of key k. is not base64"),
    (("k.", "HMAC-MD5", ""), "the secret of key k. is empty"),
    (("k.", "HMAC-MD5", b""), "the secret of key k. is empty"),
])
def test_what_makes_no_key(arguments: tuple[str, str, bytes], reason: str) -> None:
    with pytest.raises(HookError) as caught:
        TsigKey(*arguments)
    assert reason in str(caught.value)
