"""Where reasons apply: what a step is, by its records and its kind (``reasons.py``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.dns.constants import RRType

if TYPE_CHECKING:
    from pyd2.update.model.kinds import Kind, Step


def everywhere(_kind: Kind, _step: Step) -> bool:
    """Whether it is any step."""
    return True


def with_dhcid(kind: Kind, step: Step) -> bool:
    """Whether an update of the kind has a DHCID."""
    records = (*step.template.prerequisites, *step.template.updates)
    return any(record.type == RRType.DHCID for record in records) or guards(kind)


def guards(kind: Kind) -> bool:
    """Whether names are guarded by DHCIDs."""
    return kind.mode.value.endswith("with-dhcid")


def replaces_own(kind: Kind, step: Step) -> bool:
    """Whether the name must be the client's own."""
    return step.name == "REPLACING_FWD_ADDRS" and kind.mode.value == "check-with-dhcid"


def replaces_guarded(kind: Kind, step: Step) -> bool:
    """Whether the name must be any client's."""
    return step.name == "REPLACING_FWD_ADDRS" and kind.mode.value == "check-exists-with-dhcid"


def removes_rest(_kind: Kind, step: Step) -> bool:
    """Whether it is the second step of a removal."""
    return step.name == "REMOVING_FWD_RRS" and bool(step.template.prerequisites)


def removes(_kind: Kind, step: Step) -> bool:
    """Whether it removes something."""
    return step.name.startswith("REMOVING")


def asks(_kind: Kind, step: Step) -> bool:
    """Whether it is the question of a policy."""
    return step.asks is not None


def reverse(_kind: Kind, step: Step) -> bool:
    """Whether it is in the reverse direction."""
    return not step.forward
