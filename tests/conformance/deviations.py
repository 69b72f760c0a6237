"""Where pyd2 differs on purpose."""
from typing import Any
def applies_to(report: str) -> bool:
    return "pyd2" in report
def expected(kind: str, name: str, recorded: dict[str, Any]) -> dict[str, Any]:
    return recorded
