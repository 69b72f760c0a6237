"""Packed requests say what NameChangeRequests say, and C finds the domains that Python finds."""

from __future__ import annotations

import gc
from struct import Struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyd2.dns.names import parse_name
from pyd2.ncr import ConflictResolutionMode, NameChangeRequest, RequestKind
from pyd2.packets import compiled
from pyd2.packets.batch import to_batch
from pyd2.packets.layer import DomainNumbers
from pyd2.packets.packed import _FQDN_SIZE, _HEAD, _KIND, _WAYS, PackedRequest
from pyd2.packets.wire import ffi, lib
from pyd2.update.model.zones import Matcher, ReverseMatcher
from tests.packets.layers import COMPILED, PLAIN
from tests.update.support import datagram, request

INTERFACE = ("change_type", "conflict_resolution_mode", "kind", "forward_change", "reverse_change", "dhcid",
             "fqdn_wire", "fqdn", "address", "address_text", "lease_expires_on", "lease_length", "request_id",
             "number", "read_at", "facts")
MODES = [str(mode) for mode in ConflictResolutionMode]

labels = st.sampled_from(["a", "B", "ab", "com", "Com", "x-y", "_z", "a1"])
names = st.lists(labels, min_size=1, max_size=6).map(lambda parts: "".join(part + "." for part in parts))
addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
requests = st.builds(
    request, change_type=st.integers(0, 1), fqdn=names, ip_address=addresses,
    lease_length=st.integers(0, 10**8),
    conflict_resolution_mode=st.sampled_from(MODES), dhcid=st.binary(min_size=1, max_size=300).map(bytes.hex),
)


@given(requests, st.integers(0, 2**64 - 1))
def test_the_same_interface(fields: dict[str, Any], number: int) -> None:
    data = datagram(fields)
    plain = PLAIN.decode(data)
    (read,) = COMPILED.read_requests([data], None)
    assert isinstance(read, PackedRequest)
    for packed in (read, PackedRequest.pack(plain)):
        assert packed == read
        said, expected = ([getattr(ncr, name) for name in INTERFACE] for ncr in (packed, plain))
        assert said == expected
        assert packed.text() == plain.text()
        assert packed.without_forward().text() == plain.without_forward().text()
        assert packed.without_reverse().text() == plain.without_reverse().text()
    _, numbered = COMPILED.read_requests([data, data], None, [0, number])
    assert isinstance(numbered, PackedRequest)
    assert (numbered.number, numbered.text()) == (number, plain.text())
    assert numbered.without_forward().number == number


@given(st.lists(requests, min_size=1, max_size=5), st.text(max_size=9), st.integers(1, 60))
def test_lines_of_many_are_made_at_once(several: list[dict[str, Any]], frame: str, times: int) -> None:
    found = COMPILED.read_requests([datagram(fields) for fields in several], None)
    read = [ncr for ncr in found if isinstance(ncr, PackedRequest)] * times
    assert len(read) == times * len(several)
    assert PackedRequest.show_many(read, frame, "\udcff: ", "\n") == [
        f"{frame}{request.request_id}\udcff: {request.text()}\n" for request in read
    ]


@pytest.mark.parametrize("changes", [
    {"fqdn": "."}, {"fqdn": "a\\.b.example."}, {"ip_address": "fe80::1%1"},
])
def test_what_does_not_fit_stays_an_object(changes: dict[str, Any]) -> None:
    (read,) = COMPILED.read_requests([datagram(request(**changes))], None)
    assert isinstance(read, NameChangeRequest)
    assert read.text() == PLAIN.decode(datagram(request(**changes))).text()
    assert COMPILED.match(read, None) is read


def test_an_unusual_spelling_is_packed_all_the_same() -> None:
    fields = dict(reversed(request().items()))
    (read,) = COMPILED.read_requests([datagram(fields)], None)
    assert isinstance(read, PackedRequest)
    assert read.text() == PLAIN.decode(datagram(request())).text()


forward_domains = st.lists(st.one_of(names, st.just("*"), st.just("a\\.com.")), max_size=6, unique=True)
reverse_domains = st.lists(
    st.one_of(
        addresses.map(lambda text: PLAIN.decode(datagram(request(ip_address=text)))).flatmap(
            lambda ncr: st.integers(0, 4 if len(ncr.address) == 4 else 32).map(
                lambda kept: reverse_suffix(ncr.address, kept))),
        st.sampled_from(["*", "arpa.", "in-addr.arpa.", "ip6.arpa.", "example.com."]),
    ), max_size=6, unique=True)


def reverse_suffix(address: bytes, kept: int) -> str:
    """Return the reverse domain of the first octets or nibbles of an address."""
    parts = [str(octet) for octet in address] if len(address) == 4 else list(address.hex())
    zone = "in-addr.arpa." if len(address) == 4 else "ip6.arpa."
    return "".join(part + "." for part in reversed(parts[:kept])) + zone


@given(st.lists(requests, min_size=1, max_size=5), forward_domains, reverse_domains)
def test_c_finds_what_python_finds(
    several: list[dict[str, Any]], forward: list[str], reverse: list[str]
) -> None:
    forward += [several[0]["fqdn"].upper()]
    numbers = {name: number for number, name in enumerate(dict.fromkeys((*forward, *reverse)), 1)}
    one = Matcher([(name, name) for name in forward])
    other = ReverseMatcher([(name, name) for name in reverse])
    found, forward_wildcard = one.numbers(numbers.__getitem__)
    octets, nibbles, reverse_wildcard = other.address_numbers(numbers.__getitem__)
    index = COMPILED.make_index(DomainNumbers(found, octets, nibbles, forward_wildcard, reverse_wildcard))
    datagrams = [datagram(fields) for fields in several]
    for data, read in zip(datagrams, COMPILED.read_requests(to_batch(datagrams), index), strict=True):
        ncr = PLAIN.decode(data)
        names_found = one.find(ncr.fqdn), other.find_address(ncr.address)
        expected = tuple(numbers.get(name or "", 0) for name in names_found)
        assert isinstance(read, PackedRequest)
        assert read.domains == expected
        packed = PackedRequest.pack(ncr)
        assert packed is not None
        again = COMPILED.match(packed, index)
        assert isinstance(again, PackedRequest)
        assert again.domains == expected


def test_a_way_that_is_not_asked_for_has_no_domain() -> None:
    index = COMPILED.make_index(DomainNumbers({"example.com.": 1}, {b"": 2}, {}, 3, 4))
    for ways, expected in (((True, False), (1, 0)), ((False, True), (0, 2)), ((True, True), (1, 2))):
        (read,) = COMPILED.read_requests(
            [datagram(request(forward_change=ways[0], reverse_change=ways[1]))], index
        )
        assert isinstance(read, PackedRequest)
        assert read.domains == expected


def test_names_as_long_as_can_be() -> None:
    name = ".".join(["x" * 63] * 3 + ["y" * 61]) + "."
    assert len(parse_name(name)) == 255
    index = COMPILED.make_index(DomainNumbers({name: 1, "z" * 256 + ".": 2}, {}, {}, 0, 0))
    (read,) = COMPILED.read_requests([datagram(request(fqdn=name))], index)
    assert isinstance(read, PackedRequest)
    assert read.domains == (1, 0)


def test_python_and_c_have_the_same_layout() -> None:
    """Each member stands where Python's format has it; C asserts where it has it when it is compiled."""
    fields = ffi.typeof("wire_packed").fields
    assert fields is not None
    names = ("number", "lease_length", "forward", "reverse", "kind", "ways", "dhcid_size", "fqdn_size",
             "address_size", "expires", "address", "read_at")
    assert [name for name, _ in fields] == list(names)
    items = ["Q", "I", "I", "I", "B", "B", "H", "B", "B", "14s", "16s", "d"]
    assert _HEAD.format == "=QIIIBBHBB14s16sd"
    places = {name: Struct("=" + "".join(items[:at])).size for at, name in enumerate(names)}
    assert {name: field.offset for name, field in fields} == places
    assert _HEAD.size == ffi.sizeof("wire_packed") == 64
    assert places["fqdn_size"] == _FQDN_SIZE
    assert places["kind"] == _KIND
    assert places["ways"] == _WAYS


@pytest.mark.parametrize("kind", RequestKind)
def test_python_and_c_have_the_same_kinds(kind: RequestKind) -> None:
    fields = request(change_type=int(kind.change_type), conflict_resolution_mode=str(kind.mode))
    (read,) = COMPILED.read_requests([datagram(fields)], None)
    assert isinstance(read, PackedRequest)
    assert (read.kind, read.change_type, read.conflict_resolution_mode) == (kind, kind.change_type, kind.mode)
    assert kind == kind.change_type * lib.WIRE_MODES + list(ConflictResolutionMode).index(kind.mode)


def test_a_kind_that_c_does_not_know_is_not_taken_for_another_one() -> None:
    """A fifth mode gets a number of its own: C declines it, and so does Python where C has more of them."""
    assert len(RequestKind) == lib.WIRE_REQUEST_KINDS
    (read,) = COMPILED.read_requests([datagram(request())], None)
    assert isinstance(read, PackedRequest)
    octets = bytearray(read)
    octets[_KIND] = lib.WIRE_REQUEST_KINDS
    text = ffi.new("uint8_t[]", lib.WIRE_SHOWN_MAX)
    assert lib.wire_request_show(bytes(octets), len(octets), text, len(text)) == lib.WIRE_UNUSUAL
    with pytest.raises(IndexError):
        _ = PackedRequest(octets).conflict_resolution_mode


class Memory:
    """Stands for the C library: memory for domains, or none; what is freed is counted."""

    def __init__(self, *, enough: bool) -> None:
        self._enough = enough
        self.freed = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(lib, name)

    def wire_domains_new(self, *arguments: int) -> object:
        return lib.wire_domains_new(*arguments) if self._enough else ffi.NULL

    def wire_domains_free(self, table: object) -> None:
        self.freed += 1
        lib.wire_domains_free(table)


def test_a_layer_without_memory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "lib", Memory(enough=False))
    with pytest.raises(MemoryError, match="no memory for the domains"):
        compiled.CompiledLayer()


def test_a_layer_frees_what_it_has_made(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(enough=True)
    monkeypatch.setattr(compiled, "lib", memory)
    layer = compiled.CompiledLayer()
    index = layer.make_index(DomainNumbers({"example.com.": 1}, {}, {}, 0, 0))
    del layer, index
    gc.collect()
    assert memory.freed == 2


def test_a_table_that_is_over_filled_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(enough=True)
    monkeypatch.setattr(memory, "wire_domains_new", lambda *_: lib.wire_domains_new(1, 0, 0))
    monkeypatch.setattr(compiled, "lib", memory)
    with pytest.raises(ValueError, match="domain 2 does not fit"):
        compiled.CompiledLayer().make_index(DomainNumbers({"a.": 1, "b.": 2}, {}, {}, 0, 0))
