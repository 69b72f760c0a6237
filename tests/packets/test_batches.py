"""The compiled encoder of batches writes what the plain one writes, to the octet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyd2.ncr import RequestKind
from pyd2.packets.compiled import CompiledZone, prepare_template
from pyd2.packets.packed import PackedRequest
from pyd2.packets.wire import ffi, lib
from pyd2.update.model.kinds import KINDS
from tests.packets.layers import COMPILED, PLAIN
from tests.update.support import datagram, request

if TYPE_CHECKING:
    from pyd2.packets.layer import Request

ZONES = ("example.com.", ".", "com.", "2.0.192.in-addr.arpa.", "8.B.D.0.1.0.0.2.ip6.arpa.", "eXample.com.")
LABELS = st.sampled_from(["a", "B", "b", "host", "x" * 63, "com"])
NAMES = st.builds(
    lambda labels, zone: ".".join([*labels, zone]), st.lists(LABELS, min_size=1, max_size=2),
    st.sampled_from(["example.com.", "EXAMPLE.com.", "com.", "a.b.test."]),
)
ADDRESSES = st.integers(0, 255).map(lambda n: f"192.0.2.{n}") | st.integers(0, 65535).map(
    lambda n: f"2001:db8::{n:x}"
)


@st.composite
def packed(draw: st.DrawFn) -> Request:
    kind = draw(st.sampled_from(RequestKind))
    (found,) = COMPILED.read_requests([datagram(request(
        fqdn=draw(NAMES), ip_address=draw(ADDRESSES), change_type=int(kind.change_type),
        dhcid=draw(st.binary(min_size=1, max_size=60)).hex(), lease_length=draw(st.integers(0, 2**32 - 1)),
        conflict_resolution_mode=kind.mode.value,
    ))], None)
    assert isinstance(found, PackedRequest)
    return found


@pytest.mark.parametrize("forward", [True, False])
@given(requests=st.lists(packed(), min_size=1, max_size=12), zone=st.sampled_from(ZONES), data=st.data())
def test_batches(forward: bool, requests: list[Request], zone: str, data: st.DataObject) -> None:
    updates = []
    for each in requests:
        steps = [step for step in KINDS[each.kind].steps.values() if step.forward == forward]
        updates.append((data.draw(st.sampled_from(steps)).template, each))
    wanted = PLAIN.encode_batch(PLAIN.zone(zone), updates, forward=forward)
    assert COMPILED.encode_batch(CompiledZone(zone), updates, forward=forward) == wanted
    unpacked = [(template, each.unpacked()) for template, each in updates]  # type: ignore[union-attr]
    assert COMPILED.encode_batch(CompiledZone(zone), unpacked, forward=forward) == wanted


@pytest.mark.parametrize("forward", [True, False])
def test_a_large_batch(forward: bool) -> None:
    """Beyond 16 KB pointers do not reach, and names are spelled."""
    found = COMPILED.read_requests([
        datagram(request(
            fqdn=f"host{number}.z{number % 20}.example.com.",
            ip_address=f"10.0.{number // 256}.{number % 256}",
        ))
        for number in range(500)
    ], None)
    kind = KINDS[0]
    step = kind.first_forward if forward else kind.first_reverse
    zone = "example.com." if forward else "10.in-addr.arpa."
    updates = [(step.template, each) for each in found]
    wanted = PLAIN.encode_batch(PLAIN.zone(zone), updates, forward=forward)  # type: ignore[arg-type]
    assert len(wanted) > 0x8000
    assert COMPILED.encode_batch(CompiledZone(zone), updates, forward=forward) == wanted  # type: ignore[arg-type]


def test_what_c_declines() -> None:
    """Too many owners for its table, and requests that end too early: Python does all that is possible."""
    (one,) = COMPILED.read_requests([datagram(request())], None)
    template = KINDS[0].first_forward.template
    many = [(template, one)] * (lib.WIRE_UPDATES_MAX + 1)
    wanted = PLAIN.encode_batch(PLAIN.zone("example.com."), many, forward=True)  # type: ignore[arg-type]
    assert COMPILED.encode_batch(CompiledZone("example.com."), many, forward=True) == wanted  # type: ignore[arg-type]
    zone = CompiledZone("example.com.")
    buffer = ffi.new("uint8_t[]", 2000)
    assert isinstance(one, PackedRequest)
    templates = ffi.new("wire_template *[]", [prepare_template(template)])
    for size in range(len(one)):
        written = lib.wire_batch_write(zone.prepared, templates, 1, bytes(one), size, True, buffer, 2000)
        assert written == lib.WIRE_UNUSUAL
    size = lib.wire_batch_write(zone.prepared, templates, 1, bytes(one), len(one), True, buffer, 2000)
    for less in range(size):
        written = lib.wire_batch_write(zone.prepared, templates, 1, bytes(one), len(one), True, buffer, less)
        assert written == lib.WIRE_NO_SPACE
