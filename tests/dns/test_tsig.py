"""TSIG: dnspython verifies what we sign, and we verify what it signs; then every way to fail."""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from pathlib import Path
from typing import Any

import dns.message
import dns.name
import dns.rcode
import dns.tsig
import dns.update
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyd2.dns.names import parse_name
from pyd2.dns.reply import parse_reply, read_reply
from pyd2.dns.tsig import ALGORITHMS, HmacContext, HmacKey
from pyd2.dns.update import Zone, encode_update
from pyd2.errors import DomainNameError, ReplyError
from tests.dns.kinds import ADD_NEW

CASES = Path(__file__).parents[1] / "conformance" / "data" / "transactions"
SECRET = b"secret-secret-secret-secret"
NOW = 1_800_000_000
ZONE = Zone("example.com.")
HOST = parse_name("host.example.com.")
MESSAGE = encode_update(ADD_NEW, ZONE, HOST, HOST, bytes([192, 0, 2, 10]), bytes(35), 3600)
SIZES = dict(zip(ALGORITHMS, (16, 20, 28, 32, 48, 64), strict=True))


def u16(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}H", *numbers)


def signed_reply(
    key: HmacKey,
    request_mac: bytes,
    *,
    secret: bytes = SECRET,
    name: bytes | None = None,
    algorithm: bytes | None = None,
    time: int = NOW,
    fudge: int = 300,
    size: int | None = None,
    mac: bytes | None = None,
    error: int = 0,
    other: bytes = b"",
    body: bytes = u16(4711, 0xA800, 1, 0, 0, 0) + ZONE.section,
    original_id: int = 4711,
) -> bytes:
    """Return a reply signed as RFC 8945 says, by other code than the one under test."""
    digest = ALGORITHMS[next(text for text in ALGORITHMS if key.algorithm.startswith(f"{text}."))].digest
    variables = (
        key.name_wire + u16(255, 0, 0) + key.algorithm_wire
        + time.to_bytes(6, "big") + u16(fudge, error, len(other)) + other
    )
    if mac is None:
        signed = u16(len(request_mac)) + request_mac + u16(original_id) + body[2:] + variables
        mac = hmac.digest(secret, signed, digest)[:size]
    data = (
        (key.algorithm_wire if algorithm is None else algorithm) + time.to_bytes(6, "big")
        + u16(fudge, len(mac)) + mac + u16(original_id, error, len(other)) + other
    )
    record = (key.name_wire if name is None else name) + u16(250, 255, 0, 0, len(data)) + data
    return body[:10] + u16(int.from_bytes(body[10:12], "big") + 1) + body[12:] + record


def asked(algorithm: str = "HMAC-SHA256", digest_bits: int = 0) -> tuple[HmacKey, HmacContext, bytes]:
    """Return a key, a context that has signed a request, and the request's MAC."""
    key = HmacKey("K.Example", algorithm, SECRET, digest_bits)
    context = key.create_context()
    tsig = parse_reply(context.sign(MESSAGE, 4711, NOW)).tsig
    assert tsig is not None
    return key, context, tsig.mac


def keyring(key: HmacKey) -> dict[dns.name.Name, dns.tsig.Key]:
    name = dns.name.from_text(key.name)
    return {name: dns.tsig.Key(name, SECRET, key.algorithm)}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make dnspython's clock show NOW."""
    monkeypatch.setattr("time.time", lambda: float(NOW))


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_dnspython_accepts_our_signature_and_we_its_answer(algorithm: str) -> None:
    key = HmacKey("K.Example", algorithm.upper(), SECRET)
    context = key.create_context()
    sent = context.sign(MESSAGE, 4711, NOW)
    assert len(sent) == len(MESSAGE) + context.length
    assert sent[:2] == u16(4711)
    request = dns.message.from_wire(sent, keyring=keyring(key))
    assert isinstance(request, dns.update.UpdateMessage)
    assert request.had_tsig
    assert len(request.mac or b"") == SIZES[algorithm]
    reply = dns.message.make_response(request)
    reply.set_rcode(dns.rcode.YXDOMAIN)
    assert read_reply(reply.to_wire(), context, NOW) == 6


@settings(deadline=None)
@given(
    algorithm=st.sampled_from(list(ALGORITHMS)), secret=st.binary(min_size=1, max_size=200),
    body=st.binary(max_size=300), qid=st.integers(0, 0xFFFF), wall=st.integers(0, 2**48 - 1),
)
def test_signature_is_that_of_the_rfc(
    algorithm: str, secret: bytes, body: bytes, qid: int, wall: int
) -> None:
    key = HmacKey("k.example", algorithm, secret)
    message = bytes(12) + body
    sent = key.create_context().sign(message, qid, wall)
    tsig = sent[len(message):]
    end = len(tsig) - 6
    mac = tsig[end - key.mac_size : end]
    # RFC 8945, section 4.3: the message as it was, with its ID, then the variables.
    time = wall.to_bytes(6, "big")
    signed = (
        u16(qid) + message[2:] + parse_name("k.example") + u16(255, 0, 0)
        + parse_name(key.algorithm) + time + u16(300, 0, 0)
    )
    assert mac == hmac.digest(secret, signed, ALGORITHMS[algorithm].digest)
    assert sent[:12] == u16(qid) + bytes(8) + u16(1)
    assert sent[12 : len(message)] == body
    assert tsig.endswith(time + u16(300, key.mac_size) + mac + u16(qid, 0, 0))


@pytest.mark.parametrize(("algorithm", "bits", "size"), [
    ("hmac-sha256", 0, 32), ("hmac-sha256", 128, 16), ("hmac-sha256", 120, 32), ("hmac-sha256", 256, 32),
    ("hmac-sha256", 264, 32), ("hmac-sha256", 4096, 32), ("hmac-sha256", 129, 17), ("hmac-md5", 80, 10),
    ("hmac-md5", 72, 16), ("hmac-md5", 64, 16), ("hmac-sha1", 80, 10), ("hmac-sha1", 72, 20),
    ("hmac-sha512", 256, 32), ("hmac-sha512", 248, 64), ("hmac-sha224", 112, 14), ("hmac-sha384", 192, 24),
])
def test_digest_bits_cut_the_mac_as_in_kea(algorithm: str, bits: int, size: int) -> None:
    key, context, mac = asked(algorithm, bits)
    assert key.mac_size == len(mac) == size
    assert read_reply(signed_reply(key, mac, size=size), context, NOW) == 0


def test_names_of_key_and_algorithm_are_canonical() -> None:
    key = HmacKey("K.Ex ample", "HMAC-MD5", SECRET)
    assert (key.name, key.algorithm) == ("k.ex\\032ample.", "hmac-md5.sig-alg.reg.int.")
    assert HmacKey("K", "HMAC-SHA1", SECRET).algorithm == "hmac-sha1."
    assert "secret" not in repr(key)


def test_a_key_needs_a_name_and_a_known_algorithm() -> None:
    with pytest.raises(DomainNameError, match=r"duplicate period in k\.\.k"):
        HmacKey("k..k", "HMAC-MD5", SECRET)
    with pytest.raises(KeyError):
        HmacKey("k", "HMAC-SHA3", SECRET)


def test_each_second_has_its_own_signature() -> None:
    key = HmacKey("k.example", "hmac-sha256", SECRET)
    signatures = [key.create_context().sign(MESSAGE, 1, NOW + second) for second in (0, 1, 1, 0)]
    assert signatures[0] == signatures[3] != signatures[1] == signatures[2]


def recorded_facts() -> list[Any]:
    found = []
    for path in sorted(CASES.glob("*.json")):
        case = json.loads(path.read_text())
        keys = {f"{key['name'].lower()}.": key for key in case["config"]["DhcpDdns"].get("tsig-keys", [])}
        found += [
            pytest.param(keys[update["tsig"]["name"]], update, id=path.stem)
            for update in case["result"]["updates"][:1]
            if "tsig" in update and update["tsig"]["name"] in keys
        ]
    return found


@pytest.mark.parametrize(("config", "update"), recorded_facts())
def test_recorded_record_is_reproduced_but_for_time_id_and_mac(
    config: dict[str, Any], update: dict[str, Any]
) -> None:
    key = HmacKey(config["name"], config["algorithm"], SECRET, config.get("digest-bits", 0))
    ours = key.create_context().sign(MESSAGE, 0, 0)[len(MESSAGE):]
    theirs = bytes.fromhex(update["hex"])[-len(ours):]
    end = len(ours) - 6
    assert len(theirs) == len(ours)
    assert theirs == ours[: end - key.mac_size] + bytes(key.mac_size) + ours[end:]


@settings(deadline=None)
@given(
    algorithm=st.sampled_from(list(ALGORITHMS)), rcode=st.integers(0, 15), fudge=st.integers(0, 0xFFFF),
    skew=st.integers(-300, 300), error=st.integers(0, 0xFFFF), other=st.binary(max_size=20),
    original_id=st.integers(0, 0xFFFF),
)
def test_any_good_signature_is_accepted(
    algorithm: str, rcode: int, fudge: int, skew: int, error: int, other: bytes, original_id: int,
) -> None:
    key, context, mac = asked(algorithm)
    body = u16(4711, 0xA800 | rcode, 0, 0, 0, 0)
    reply = signed_reply(
        key, mac, body=body, time=NOW + skew, fudge=fudge, error=error, other=other, original_id=original_id
    )
    assert read_reply(reply, context, NOW) == rcode


def test_names_in_the_reply_may_be_spelled_otherwise() -> None:
    key, context, mac = asked("hmac-md5")
    reply = signed_reply(key, mac, name=b"\x01K\x07EXAMPLE\0", algorithm=parse_name("HMAC-md5"))
    assert read_reply(reply, context, NOW) == 0


def test_the_key_name_may_be_compressed() -> None:
    key = HmacKey("k.example.com", "hmac-sha256", SECRET)
    context = key.create_context()
    tsig = parse_reply(context.sign(MESSAGE, 4711, NOW)).tsig
    assert tsig is not None
    assert read_reply(signed_reply(key, tsig.mac, name=b"\x01k\xc0\x0c"), context, NOW) == 0


FAILURES: list[tuple[str, dict[str, Any]]] = [
    ("BADKEY", {"name": b"\x01x\0"}),
    ("BADKEY", {"algorithm": parse_name("hmac-sha1")}),
    ("BADKEY", {"name": b"\x01x\0", "time": 0, "mac": b""}),
    ("BADTIME", {"time": NOW - 301}),
    ("BADTIME", {"time": NOW + 301}),
    ("BADTIME", {"time": NOW + 301, "mac": b""}),
    ("BADSIG", {"mac": b""}),
    ("BADSIG", {"mac": b"", "error": 18}),
    ("BADSIG", {"mac": b"", "error": 16}),
    ("BADKEY", {"mac": b"", "error": 17}),
    ("FORMERR", {"mac": bytes(33)}),
    ("FORMERR", {"mac": bytes(9)}),
    ("FORMERR", {"mac": bytes(15)}),
    ("BADTRUNC", {"size": 16}),
    ("BADTRUNC", {"size": 31}),
    ("BADSIG", {"mac": bytes(32)}),
    ("BADSIG", {"secret": b"another"}),
]


@pytest.mark.parametrize(("error", "faults"), FAILURES)
def test_failure_has_keas_name(error: str, faults: dict[str, Any]) -> None:
    key, context, mac = asked()
    with pytest.raises(ReplyError) as caught:
        read_reply(signed_reply(key, mac, **faults), context, NOW)
    assert str(caught.value) == f"TSIG verification failed: {error}"


@pytest.mark.parametrize(("algorithm", "size", "error"), [
    ("hmac-sha512", 31, "FORMERR"), ("hmac-sha512", 32, None), ("hmac-sha512", 63, None),
    ("hmac-sha512", 64, None), ("hmac-sha1", 9, "FORMERR"),
])
def test_a_cut_key_takes_what_is_at_least_as_long(algorithm: str, size: int, error: str | None) -> None:
    key, context, mac = asked(algorithm, 256 if algorithm == "hmac-sha512" else 80)
    reply = signed_reply(key, mac, size=size)
    if error is None:
        assert read_reply(reply, context, NOW) == 0
    else:
        with pytest.raises(ReplyError, match=error):
            read_reply(reply, context, NOW)


def test_a_reply_without_signature_is_a_format_error() -> None:
    _, context, _ = asked()
    reply = u16(4711, 0xA809, 0, 0, 0, 0)
    assert read_reply(reply, None, NOW) == 9
    with pytest.raises(ReplyError, match=r"^TSIG verification failed: FORMERR$"):
        read_reply(reply, context, NOW)


def test_the_signature_is_judged_before_the_header() -> None:
    key, context, mac = asked()
    query = u16(4711, 0, 0, 0, 0, 0)
    with pytest.raises(ReplyError, match="BADSIG"):
        read_reply(signed_reply(key, mac, body=query, secret=b"x"), context, NOW)
    with pytest.raises(ReplyError, match="not a DDNS update"):
        read_reply(signed_reply(key, mac, body=query), context, NOW)


def test_what_follows_the_signature_spoils_it() -> None:
    key, context, mac = asked()
    with pytest.raises(ReplyError, match="BADSIG"):
        read_reply(signed_reply(key, mac) + b"\0", context, NOW)


def test_a_reply_belongs_to_its_request() -> None:
    key, _, mac = asked()
    other = key.create_context()
    other.sign(MESSAGE, 4712, NOW)
    with pytest.raises(ReplyError, match="BADSIG"):
        read_reply(signed_reply(key, mac), other, NOW)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_changed_octet_goes_unnoticed(place: int, difference: int) -> None:
    key, context, mac = asked()
    reply = bytearray(signed_reply(key, mac))
    # The query ID is not signed; what is signed is the original ID.
    place = 2 + place % (len(reply) - 2)
    reply[place] ^= difference
    changed = bytes(reply)
    try:
        read_reply(changed, context, NOW)
    except ReplyError:
        return
    # Only the spelling of the two names is not signed.
    assert changed.lower() == signed_reply(key, mac).lower()


def test_algorithms_are_those_of_hashlib() -> None:
    digests = {text: hashlib.new(algorithm.digest) for text, algorithm in ALGORITHMS.items()}
    assert {text: digest.digest_size for text, digest in digests.items()} == SIZES
