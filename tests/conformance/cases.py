"""The recorded cases, read from data/."""

import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).with_name("data")


def configs() -> dict[str, dict[str, Any]]:
    """Return the configuration cases by name."""
    cases: dict[str, dict[str, Any]] = json.loads((DATA / "configs/expected.json").read_text())
    return cases


def load(kind: str, name: str) -> dict[str, Any]:
    """Return one case of another kind."""
    case: dict[str, Any] = json.loads((DATA / kind / f"{name}.json").read_text())
    return case


def names(kind: str) -> list[str]:
    """Return the names of the cases of a kind; those with the same configuration stand together."""
    if kind == "configs":
        return sorted(configs())
    found = [path.stem for path in (DATA / kind).glob("*.json")]
    return sorted(found, key=lambda name: (json.dumps(load(kind, name).get("config")), name))
