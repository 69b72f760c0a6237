"""Configurations that differ from a base in one value."""

import copy
from typing import Any


def changed(base: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return a copy with the value at a path such as ``loggers/0/name`` set; None removes it."""
    whole = copy.deepcopy(base)
    place: Any = whole
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("/"))
    for part in parents:
        place = place[part]
    if value is None:
        del place[last]
    elif isinstance(last, int) and last == len(place):
        place.append(value)
    else:
        place[last] = value
    return whole
