"""The compiled encoder of updates writes what the plain one writes, to the octet."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyd2.dns.constants import RRClass, RRType
from pyd2.dns.names import name_text, parse_name, reverse_name, reverse_name_wire
from pyd2.dns.update import A_OR_AAAA, Data, RecordTemplate, UpdateTemplate
from pyd2.packets.compiled import OUTPUT_SIZE, CompiledZone, prepare_template
from pyd2.packets.wire import ffi, lib
from pyd2.update.model.kinds import KINDS, NAME_ADD, Step
from tests.packets.layers import COMPILED, PLAIN, outcome

ZONES = ("example.com.", ".", "com.", "a.b.c.d.e.f.", "2.0.192.in-addr.arpa.", "8.B.D.0.1.0.0.2.ip6.arpa.",
         "arpa.", "eXample.com.", r"od\.d.\000\255.test.", ".".join(["z" * 61] * 4) + ".")  # fmt: skip
PREPARED = [(PLAIN.zone(zone), CompiledZone(zone)) for zone in ZONES]
STEPS = [step for kind in KINDS for step in kind.steps.values()]

LABELS = (b"a", b"B", b"b", b"com", b"COM", b"example", b"eXaMple", b"2", b"0", b"192", b"in-addr", b"arpa",
          b"ip6", b"test", b"x" * 63, b"\0\xff.", b"@[")  # fmt: skip
labels = st.lists(st.sampled_from(LABELS), max_size=12)
names = labels.map(lambda found: b"".join(bytes((len(label),)) + label for label in found) + b"\0").filter(
    lambda wire: len(wire) <= 255
)
below_a_zone = st.builds(
    lambda front, zone: front[:-1] + parse_name(zone), names, st.sampled_from(ZONES)
).filter(lambda wire: len(wire) <= 255)  # fmt: skip
owners = names | below_a_zone
addresses = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)
dhcids = st.binary(max_size=70) | st.integers(0, 3000).map(bytes)
ttls = st.integers(0, 2**32 - 1)
records = st.builds(
    RecordTemplate, st.sampled_from([A_OR_AAAA, *RRType]), st.sampled_from(RRClass),
    st.sampled_from([data for data in Data if data is not Data.OTHER_DHCID]), st.booleans(), st.just(False),
)  # fmt: skip
"""Those that the compiled layer knows; ``UpdateTemplate.plain_only`` are the others."""
some_records = st.lists(records, max_size=4).map(tuple)
templates = st.builds(UpdateTemplate, some_records, some_records)


def check_update(template: UpdateTemplate, zone: int, *arguments: Any) -> None:
    plain, compiled = PREPARED[zone]
    wanted = outcome(PLAIN.encode_update, template, plain, *arguments)
    assert outcome(COMPILED.encode_update, template, compiled, *arguments) == wanted


@settings(max_examples=400)
@given(templates, st.integers(0, len(ZONES) - 1), owners, owners, addresses, dhcids, ttls)
def test_updates(
    template: UpdateTemplate, zone: int, owner: bytes, target: bytes, address: bytes, dhcid: bytes, ttl: int
) -> None:
    check_update(template, zone, owner, target, address, dhcid, ttl)


@given(st.sampled_from(STEPS), st.integers(0, len(ZONES) - 1), owners, addresses, dhcids, ttls)
def test_the_steps_of_all_kinds(
    step: Step, zone: int, target: bytes, address: bytes, dhcid: bytes, ttl: int
) -> None:
    for owner in (target, b"", reverse_name_wire(address)):
        check_update(step.template, zone, owner, target, address, dhcid, ttl)


@settings(max_examples=300)
@given(owners, st.integers(0, 10), st.integers(0, len(ZONES) - 1), addresses)
def test_targets_that_share_labels_with_the_owner(owner: bytes, cut: int, zone: int, address: bytes) -> None:
    at = 0
    for _ in range(cut):
        at += 1 + owner[at] if owner[at] else 0
    target = b"\3new" + owner[at:]
    if len(target) <= 255:
        template = UpdateTemplate((), (RecordTemplate(RRType.PTR, RRClass.IN, Data.TARGET),) * 2)
        check_update(template, zone, owner, target.swapcase(), address, b"", 0)


@given(addresses)
@example(bytes(4))
@example(bytes((9, 10, 99, 100)))
@example(b"\xff" * 16)
def test_reverse_names(address: bytes) -> None:
    name: Any = ffi.new("wire_name *")
    assert lib.wire_name_set_reverse(name, address, len(address)) == 0
    wire = ffi.buffer(name.wire)[: name.size]
    assert wire == reverse_name_wire(address)
    assert name_text(wire) == reverse_name(address)


@pytest.mark.parametrize("wire", [
    b"", b"\1a", b"\1", b"\0\0", b"\1a\0\0", b"\x40" + b"a" * 64 + b"\0", b"\xc0\x0c", b"\3ab\0",
    b"\1a" * 127 + b"\0\0", b"\1a" * 128 + b"\0",
])  # fmt: skip
def test_names_that_are_none(wire: bytes) -> None:
    assert lib.wire_name_set(ffi.new("wire_name *"), wire, len(wire)) == lib.WIRE_BAD_NAME


def test_a_message_that_does_not_fit_is_declined() -> None:
    step = NAME_ADD.first_reverse
    template = prepare_template(step.template)
    zone = PREPARED[0][1].prepared
    arguments: Any = (template, zone, b"\1a\0", 3, b"\1a\0", 3, bytes(4), 4, b"dhcid", 5, 1)
    buffer = ffi.new("uint8_t[]", OUTPUT_SIZE)
    size = lib.wire_update_write(*arguments, buffer, OUTPUT_SIZE)
    whole = ffi.buffer(buffer)[:size]
    for less in range(size):
        buffer[less] = 0xAA
        assert lib.wire_update_write(*arguments, buffer, less) == lib.WIRE_NO_SPACE
        assert buffer[less] == 0xAA
    assert lib.wire_update_write(*arguments, buffer, size) == size
    assert ffi.buffer(buffer)[:size] == whole
