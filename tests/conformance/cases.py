"""The recorded cases, read from data/ and data_more/."""

import json
from pathlib import Path
from typing import Any

from tests.kit.transactions import may_time_out

DATA = Path(__file__).with_name("data")
MORE = Path(__file__).with_name("data_more")


def configs(data: Path = DATA) -> dict[str, dict[str, Any]]:
    """Return the configuration cases by name."""
    cases: dict[str, dict[str, Any]] = json.loads((data / "configs/expected.json").read_text())
    return cases


def load(kind: str, name: str, data: Path = DATA) -> dict[str, Any]:
    """Return one case of another kind."""
    case: dict[str, Any] = json.loads((data / kind / f"{name}.json").read_text())
    return case


def names(kind: str, data: Path = DATA) -> list[str]:
    """Return the names of the cases of a kind; those that can use the same server stand together."""
    if kind == "configs":
        return sorted(configs(data))
    found = [path.stem for path in (data / kind).glob("*.json")]
    return sorted(found, key=lambda name: (*_server(kind, load(kind, name, data)), name))


def _server(kind: str, case: dict[str, Any]) -> tuple[str, bool]:
    return json.dumps(case.get("config")), kind == "transactions" and "result" in case and may_time_out(case)
