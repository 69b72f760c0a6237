"""The compiled layer signs as the plain one does, to the octet."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyd2.dns.names import name_text, parse_name
from pyd2.dns.tsig import ALGORITHMS, HmacKey
from pyd2.dns.update import Zone
from pyd2.packets.compiled import OUTPUT_SIZE, CompiledContext, CompiledKey
from pyd2.packets.wire import ffi, lib
from tests.packets.layers import COMPILED, PLAIN

MESSAGE = b"\0\0\x28\0\0\1\0\0\0\0\0\0" + Zone("example.com.").section
HUGE = 2**48 - 1
NOW = 1_700_000_000

NAMES = (".", "k.", "Key.Example.", r"\000\255.a\.b.", "x" * 63 + ".y.")
names = st.sampled_from([parse_name(name) for name in NAMES])


def keys(
    algorithm: str, secret: bytes = b"secret", bits: int = 0, name: str = "Key.Example"
) -> list[HmacKey]:
    return [layer.key(name, algorithm, secret, bits) for layer in (PLAIN, COMPILED)]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 127, 128, 129, 1000])
def test_secrets_shorter_and_longer_than_a_block(algorithm: str, size: int) -> None:
    secret = random.Random(size).randbytes(size)
    plain, compiled = (key.create_context() for key in keys(algorithm.upper(), secret))
    assert type(compiled) is CompiledContext
    assert compiled.sign(MESSAGE, 0x1234, NOW) == plain.sign(MESSAGE, 0x1234, NOW)
    assert compiled._request_mac == plain._request_mac


@given(st.sampled_from(sorted(ALGORITHMS)), st.binary(max_size=200), st.integers(0, 600), names,
       st.binary(max_size=600), st.integers(0, 65535), st.integers(0, HUGE))  # fmt: skip
def test_signed_messages(
    algorithm: str, secret: bytes, bits: int, name: bytes, tail: bytes, query_id: int, wall: int
) -> None:
    plain, compiled = (key.create_context() for key in keys(algorithm, secret, bits, name_text(name)))
    for _ in range(2):  # the saved states must not have changed
        assert compiled.sign(MESSAGE + tail, query_id, wall) == plain.sign(MESSAGE + tail, query_id, wall)
        assert compiled._request_mac == plain._request_mac
        assert compiled.length == plain.length


def test_a_message_too_long_for_c_is_signed_all_the_same() -> None:
    plain, compiled = (key.create_context() for key in keys("hmac-sha512"))
    for size in (OUTPUT_SIZE - 300, OUTPUT_SIZE - 100, OUTPUT_SIZE, 65000):
        assert compiled.sign(MESSAGE + bytes(size), 7, NOW) == plain.sign(MESSAGE + bytes(size), 7, NOW)
        assert compiled._request_mac == plain._request_mac


def test_a_digest_that_libcrypto_lacks_is_left_to_python() -> None:
    wire = b"\1a\0"
    assert lib.wire_key_new(wire, 3, wire, 3, b"no-such-digest", b"s", 1, 10) == ffi.NULL
    key = CompiledKey("k.", "hmac-sha256", b"s", 0)
    key.prepared = None
    plain = PLAIN.key("k.", "hmac-sha256", b"s", 0)
    assert key.create_context().sign(MESSAGE, 1, NOW) == plain.create_context().sign(MESSAGE, 1, NOW)


@pytest.mark.parametrize(("digest", "size", "good"), [
    (b"sha256", 0, False), (b"sha256", 15, False), (b"sha256", 16, True), (b"sha256", 32, True),
    (b"sha256", 33, False), (b"md5", 9, False), (b"md5", 10, True), (b"md5", 16, True), (b"md5", 17, False),
])
def test_no_key_makes_macs_shorter_or_longer_than_they_may_be(digest: bytes, size: int, good: bool) -> None:
    wire = b"\1a\0"
    key = lib.wire_key_new(wire, 3, wire, 3, digest, b"s", 1, size)
    assert (key != ffi.NULL) == good
    lib.wire_key_free(key)
