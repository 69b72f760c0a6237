"""Domain matching: a dictionary look-up that must agree with Kea's comparison of texts, pair by pair."""

from hypothesis import given
from hypothesis import strategies as st

from pyd2.dns.names import reverse_name
from pyd2.update.model.zones import Matcher, ReverseMatcher, with_final_dot


def kea_match(name: str, domains: list[str]) -> str | None:
    """The contract's words (section 4), one domain after the other, in byte order of the raw names."""
    ordered = sorted(domains, key=lambda domain: domain.encode())
    if ordered == ["*"]:
        return "*"
    best, best_length = None, 0
    for domain in ordered:
        tail = name[len(name) - len(domain):]
        if len(domain) > len(name) or tail.lower() != domain.lower():
            continue
        if len(domain) == len(name):
            return domain
        if name[len(name) - len(domain) - 1] == "." and len(domain) > best_length:
            best, best_length = domain, len(domain)
    if best is None and "*" in domains:
        return "*"
    return best


def matcher(*domains: str) -> Matcher[str]:
    return Matcher([(domain, domain) for domain in domains])


labels = st.sampled_from(["a", "A", "b", "ab", "com", "Com", "x\\.y", "*", "\\000"])
names = st.lists(labels, max_size=4).map(lambda parts: "".join(part + "." for part in parts) or ".")
domains = st.lists(st.one_of(names, st.just("*")), max_size=6, unique=True)


@given(names, domains)
def test_agrees_with_the_comparison_of_texts(name: str, configured: list[str]) -> None:
    assert matcher(*configured).find(name) == kea_match(name, configured)


@given(names, st.lists(names.filter(lambda name: name not in {".", "*."}), max_size=6, unique=True))
def test_a_missing_final_dot_changes_nothing(name: str, configured: list[str]) -> None:
    bare = [domain[:-1] for domain in configured]
    found = matcher(*bare).find(name)
    whole = kea_match(name, configured)
    assert (found and found.lower() + ".") == (whole and whole.lower())


def test_a_domain_with_its_dot_goes_before_one_without() -> None:
    assert matcher("example.com", "example.com.").find("h.example.com.") == "example.com."


def test_only_at_a_dot() -> None:
    assert matcher("two.net.").find("onetwo.net.") is None
    assert matcher("two.net.").find("one.two.net.") == "two.net."


def test_escapes_stay_escaped() -> None:
    assert matcher("com.").find("a\\.com.") == "com."


def test_only_ascii_characters_fold() -> None:
    # The Kelvin sign is a k in lower case, for Python.
    assert matcher("\u212a.").find("k.") is None


def test_wildcard_is_the_last_resort() -> None:
    assert matcher("*", "com.").find("x.org.") == "*"
    assert matcher("*", "com.").find("x.com.") == "com."
    assert matcher("*").find("anything.") == "*"


def test_truth_is_whether_there_are_domains() -> None:
    assert not matcher()
    assert matcher("*")
    assert matcher("com.")


def test_the_cost_does_not_grow_with_the_domains() -> None:
    """A million domains of one length are one look-up."""

    class CountingName(str):
        looked_up = 0
        __slots__ = ()

        def lower(self) -> "CountingName":
            return self

        def __getitem__(self, key: object) -> str:
            if isinstance(key, slice):
                CountingName.looked_up += 1
            return str(self).__getitem__(key)  # type: ignore[index]

    many = matcher(*(f"zone-{number:06}.example." for number in range(20_000)))
    assert many.find(CountingName("host.zone-000777.example.")) == "zone-000777.example."
    assert CountingName.looked_up == 1


def test_final_dot() -> None:
    assert [with_final_dot(name) for name in ("a", "a.", "*")] == ["a.", "a.", "*"]


# Reverse names.

addresses = st.one_of(
    st.tuples(*[st.sampled_from([0, 1, 10, 100, 255])] * 4).map(bytes),
    st.lists(st.sampled_from([0, 1, 0x10, 0xAB, 0xFF]), min_size=16, max_size=16).map(bytes),
)
odd_zones = st.sampled_from([
    "*", ".", "arpa.", "ARPA", "in-addr.arpa.", "ip6.arpa.", "IP6.Arpa.", "addr.arpa.", "in-addr.arpa",
    "arpa.arpa.", "010.in-addr.arpa.", "256.in-addr.arpa.", "\u0661.in-addr.arpa.", "1.1.1.1.1.in-addr.arpa.",
    "g.ip6.arpa.", "10.ip6.arpa.", "1..ip6.arpa.", "x.test.", "in-addr.", "1\\.10.in-addr.arpa.",
    "0/25.10.10.10.in-addr.arpa.",
])
suffixes = st.builds(
    lambda address, cut, upper: ".".join((reverse_name(address).upper() if upper else reverse_name(address))
                                         .split(".")[cut:]),
    addresses, st.integers(0, 34), st.booleans(),
).filter(bool)  # fmt: skip


@given(addresses, st.lists(odd_zones | suffixes, max_size=8, unique=True), st.integers(0, 36))
def test_an_address_finds_what_its_name_finds(address: bytes, zones: list[str], cut: int) -> None:
    own = ".".join(reverse_name(address).split(".")[cut:])
    for configured in (zones, [*zones, own] if own else zones):
        found = ReverseMatcher([(zone, zone) for zone in configured])
        assert found.find_address(address) == found.find(reverse_name(address)), configured


def test_a_reverse_zone_for_each_length() -> None:
    for address in (bytes((192, 0, 2, 1)), bytes.fromhex("20010db8000000000000000000000001")):
        labels = reverse_name(address).split(".")[:-1]
        zones = [".".join(labels[cut:]) + "." for cut in range(len(labels))]
        for cut, zone in enumerate(zones):
            assert ReverseMatcher([(name, name) for name in zones[cut:]]).find_address(address) == zone
