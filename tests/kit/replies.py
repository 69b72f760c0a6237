"""Builds the reply that a script asks for: right, or wrong in one of the listed ways.

An action is a JSON map (contract, section "Conformance data"): `rcode`; `mutate`, one of the names
below; `raw`, a whole message in hex; and for a signed request `sign`, `maclen`, `skew`, `tsig_error`, and
`odd` (see odd_signatures.py).
"""

import struct
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import dns.name

from tests.kit import odd_signatures
from tests.kit.dnswire import Keys, Message, Tsig, append_tsig, sign

Action = Mapping[str, Any]

_OTHER_ZONE = b"\x05other\x04test\x00\x00\x06\x00\x01"
_MD5 = dns.name.from_text("hmac-md5.sig-alg.reg.int.")

_FLAGS = {"qr0": 0x2800, "opcode-query": 0x8000, "tc": 0xAA00}  # in place of 0xA800: UPDATE, QR
_CUTS = {"header-only-11": 11, "one-byte": 1, "two-bytes": 2}


def _body(request: Message, action: Action) -> bytes:
    mutation = action.get("mutate")
    flags = _FLAGS.get(mutation or "", 0xA800) | action.get("rcode", 0) & 0xF
    reply_id = struct.pack("!H", request.id ^ 0x5555 if mutation == "wrong-id" else request.id)
    if mutation == "full-echo":
        return reply_id + struct.pack("!H", flags) + request.unsigned[4:]
    zone = request.wire[12:request.zone_end]
    zones = {"no-zone": (0, b""), "two-zones": (2, zone + zone), "other-zone": (1, _OTHER_ZONE)}
    count, zone = zones.get(mutation or "", (1, zone))
    prerequisites = 3 if mutation == "count-lie" else 0
    body = reply_id + struct.pack("!5H", flags, count, prerequisites, 0, 0) + zone
    return body + (b"\xde\xad\xbe\xef" if mutation == "trailing-junk" else b"")


def _signed(body: bytes, request: Message, tsig: Tsig, action: Action, keys: Keys) -> bytes:
    how = action.get("sign", "good")
    secret = keys.get(tsig.name.to_text().lower(), b"x")
    (reply_id,) = struct.unpack_from("!H", body)
    answer = replace(tsig, time_signed=int(time.time()) + action.get("skew", 0), fudge=300, other=b"",
                     error=action.get("tsig_error", 0), original_id=reply_id)
    if how == "other-key":
        answer = replace(answer, name=dns.name.from_text("other.key."))
    if how == "other-alg":
        sha1 = dns.name.from_text("hmac-sha1.")
        other = sha1 if tsig.algorithm != sha1 else dns.name.from_text("hmac-sha224.")
        answer = replace(answer, algorithm=other)
    full = sign(secret, answer, body, tsig.mac).mac
    mac = full[:action.get("maclen", len(tsig.mac))]
    if how == "bad":
        mac = bytes([mac[0] ^ 1]) + mac[1:]
    if how == "empty":
        mac = b""
    return append_tsig(body, replace(answer, mac=mac))


def build(request: Message, action: Action, keys: Keys) -> bytes | None:
    """Return the reply to a request, or None for `drop`."""
    if action.get("drop"):
        return None
    if "raw" in action:
        raw = bytes.fromhex(action["raw"])
        return request.wire[:2] + raw[2:] if action.get("patch_id", True) else raw
    if "odd" in action:
        return odd_signatures.build(request, action["odd"], keys)
    body = _body(request, action)
    cut = _CUTS.get(action.get("mutate", ""))
    if cut is not None:
        return body[:cut]
    how = action.get("sign", "good")
    if request.tsig is not None and how != "none":
        return _signed(body, request, request.tsig, action, keys)
    if request.tsig is None and how == "forced":
        forged = Tsig(0, dns.name.from_text("key."), _MD5, int(time.time()), 300, b"\1" * 16, request.id, 0,
                      b"")
        return append_tsig(body, forged)
    return body
