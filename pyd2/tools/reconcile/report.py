"""The report: text for people, JSON for programs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from pyd2.dns.names import name_text
from pyd2.tools.reconcile.difference import MEANINGS, Kind
from pyd2.tools.reconcile.lease import address_text
from pyd2.tools.reconcile.records import KEPT, data_text, type_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyd2.tools.reconcile.difference import Difference
    from pyd2.tools.reconcile.records import Node
    from pyd2.tools.reconcile.repair import Outcome

LISTED: Final = 20
"""Differences of a class that the text lists without ``--all``."""


@dataclass
class Report:
    """What was compared, and what differs."""

    zones: list[str] = field(default_factory=list)
    leases: int = 0
    """Held ones that want records."""
    names: int = 0
    """Names and reverse names with a DHCID."""
    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    outcome: Outcome | None = None
    undo: str = ""
    """The undo file; empty: nothing was changed."""

    def counts(self) -> dict[Kind, int]:
        """Return how many differences there are of each class."""
        found = Counter(difference.kind for difference in self.differences)
        return {kind: found[kind] for kind in Kind}

    def text(self, *, whole: bool) -> Iterator[str]:
        """Yield the lines of the report; ``whole`` lists every difference."""
        yield (f"{self.leases} leases want records; {self.names} names in "
               f"{', '.join(self.zones)} have a DHCID")
        for kind, count in self.counts().items():
            if count:
                yield ""
                yield f"{kind}: {count}, {MEANINGS[kind]}"
                of_kind = [difference for difference in self.differences if difference.kind == kind]
                for difference in of_kind if whole else of_kind[:LISTED]:
                    yield f"  {difference}"
                if not whole and count > LISTED:
                    yield f"  and {count - LISTED} more: --all lists them"
        if not self.differences:
            yield "leases and records are equal"
        if self.outcome is not None:
            yield ""
            yield from self._outcome(self.outcome)

    def _outcome(self, outcome: Outcome) -> Iterator[str]:
        yield (f"mended {len(outcome.mended)}, not mended {len(outcome.unmended)}, skipped "
               f"{len(outcome.skipped)}, left {outcome.postponed}")
        for difference in outcome.unmended:
            yield f"  not mended: {difference}: see the daemon's log"
        for difference, reason in outcome.skipped:
            yield f"  skipped: {difference}: {reason}"
        if self.undo:
            yield f"the undo file is {self.undo}"

    def json(self) -> bytes:
        """Return the report as JSON."""
        value: dict[str, Any] = {
            "zones": self.zones, "leases": self.leases, "names": self.names,
            "counts": {str(kind): count for kind, count in self.counts().items()},
            "differences": [_plain(difference) for difference in self.differences],
            "notes": [encodable(note) for note in self.notes],
        }
        if self.outcome is not None:
            value["repair"] = {
                "mended": [_brief(difference) for difference in self.outcome.mended],
                "not-mended": [_brief(difference) for difference in self.outcome.unmended],
                "skipped": [_brief(difference) | {"reason": reason}
                            for difference, reason in self.outcome.skipped],
                "left": self.outcome.postponed,
                "undo-file": self.undo,
            }
        return orjson.dumps(value, option=orjson.OPT_INDENT_2)


def encodable(text: str) -> str:
    """Return a text that may have octets of a lease file which are no UTF-8, with these as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _brief(difference: Difference) -> dict[str, Any]:
    return {"class": str(difference.kind), "name": name_text(difference.name),
            "address": address_text(difference.address)}


def _plain(difference: Difference) -> dict[str, Any]:
    plain = _brief(difference) | {"dhcid": difference.dhcid.hex().upper(), "note": difference.note,
                                  "dns": _records(difference.node)}
    if difference.lease is not None:
        lease = difference.lease
        plain["lease"] = {"address": address_text(lease.address), "name": name_text(lease.name),
                          "dhcid": lease.dhcid.hex().upper(), "forward": lease.forward,
                          "reverse": lease.reverse, "since": lease.since, "lifetime": lease.lifetime,
                          "subnet-id": lease.subnet}
    return plain


def _records(node: Node) -> list[dict[str, Any]]:
    return [{"name": name_text(node.owner), "ttl": rrset.ttl, "type": type_text(rdtype),
             "data": [data_text(rdtype, data) for data in rrset.data] if rdtype in KEPT else []}
            for rdtype, rrset in sorted(node.rrsets.items())]
