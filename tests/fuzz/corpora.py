"""What the fuzzers begin with: the inputs of the recorded cases."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

_DATA = Path(__file__).parents[1] / "conformance" / "data"


def _cases(kind: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((_DATA / kind).glob("*.json"))]


@cache
def datagrams() -> list[bytes]:
    """Return the recorded NCR datagrams, and the requests of the recorded transactions."""
    requests = [ncr for case in _cases("transactions") for ncr in case["ncr"]]
    texts = [json.dumps(ncr, separators=(",", ":")).encode() for ncr in requests]
    found = [bytes.fromhex(case["datagram_hex"]) for case in _cases("ncr")]
    return found + sorted({len(text).to_bytes(2, "big") + text for text in texts})


@cache
def reply_actions() -> list[dict[str, Any]]:
    """Return how the scripted servers of the recorded transactions answer, each way once."""
    actions = [action for case in _cases("transactions") for action in case["replies"]]
    return [json.loads(text) for text in sorted({json.dumps(action, sort_keys=True) for action in actions})]


@cache
def configurations() -> list[bytes]:
    """Return the recorded configuration files, good and bad."""
    return good_configurations() + _files("bad")


@cache
def good_configurations() -> list[bytes]:
    """Return those that the real server takes."""
    return _files("ok")


def _files(folder: str) -> list[bytes]:
    found = [path.read_bytes() for path in sorted((_DATA / "configs" / folder).rglob("*.json"))]
    assert len(found) > 20
    return found


@cache
def command_requests() -> list[bytes]:
    """Return the recorded control requests; and for each good configuration, one that carries it."""
    found = [
        "".join(step["chunks"]).encode()
        for case in _cases("commands")
        for step in case["steps"]
        if "chunks" in step
    ]
    for text in configurations():
        try:
            body = json.loads(text)
        except ValueError:
            continue
        found += [
            json.dumps({"command": name, "arguments": body}).encode()
            for name in ("config-test", "config-set")
        ]
    return [request for request in dict.fromkeys(found) if len(request) < 20000]
