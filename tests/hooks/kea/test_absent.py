"""The bridge is not there, or does not fit: a clear error for compiled libraries, no cost without them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pyd2.data.element import BigInteger, Element, Position
from pyd2.errors import BridgeError, HookError
from pyd2.hooks.kea import bridge, building, start
from pyd2.hooks.kea.elements import decode, encode
from tests.kit import kea
from tests.kit.kea import check_libraries, load_chain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyd2.config.model import HookLibrary

    from .conftest import BridgeLog

    Probe = Callable[..., HookLibrary]


def test_without_a_compiled_library_nothing_of_the_bridge_is_imported(tmp_path: Path) -> None:
    library = tmp_path / "lib.py"
    library.write_text("def version(): return 20603\ndef select_key(handle): pass\n")
    program = f"""
import json, sys
import pyd2.daemon
from pyd2.config.model import HookLibrary
from pyd2.hooks.choice import check_libraries, load_chain
from pyd2.observe.log import MessageLog
from pyd2.profiles.kea_2_6 import KEA_2_6
environ = {{"KEA_LOCKFILE_DIR": "none", "KEA_LOGGER_SEVERITY": "ERROR"}}
log = MessageLog(KEA_2_6.messages, KEA_2_6.log, environ)
entries = [HookLibrary({str(library)!r}, None)]
assert check_libraries(entries, log) == []
load_chain(entries, log).unload()
with open("/proc/self/maps") as maps:
    print(json.dumps([[name for name in sys.modules if "hooks.kea_" in name], "libkea" in maps.read()]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[], False]


@pytest.mark.parametrize("reason", [building.absent(20603), "the bridge was built for another Kea"])
def test_a_compiled_library_without_a_bridge_that_fits(
    probe: Probe, log: BridgeLog, monkeypatch: pytest.MonkeyPatch, reason: str,
) -> None:
    def fail(_: int) -> bridge.Shim:
        raise BridgeError(reason)

    monkeypatch.setattr(start, "shim", fail)
    entry = probe("A")
    expected = f"HOOKS_OPEN_ERROR failed to open hook library {entry.library}: {entry.library}: {reason}"
    assert check_libraries([entry], log) == [entry.library]
    assert log.lines() == [expected]
    with pytest.raises(HookError, match="One or more hook libraries failed to load"):
        load_chain([entry], log)
    assert log.lines() == [expected]


def test_versions_are_compared() -> None:
    assert building.release_of(20603) == "2.6.3"
    assert building.release_of(30004) == "3.0.4"
    built, present = bridge.versions(kea.shim())
    assert built == present


# Values.

def through_kea(element: Element) -> Element | None:
    shim = kea.shim()
    pointer = shim.lib.kb_element_read(encode(element), len(encode(element)))
    assert pointer
    return shim.value(pointer)


def test_every_kind_of_value_goes_through_with_its_place() -> None:
    at = Position("/etc/kea/d2.json", 7, 33)
    value = Element({
        "": Element(None, at), "a": Element(True), "b": Element(-(1 << 63), at), "c": Element(1.5e300),
        "d": Element("nul \0 and \udcff", at), "e": Element(BigInteger(1 << 100)),
        "f": Element([Element([]), Element({}), Element(False)], Position("other", 0, 4294967295)),
    }, at)
    assert through_kea(value) == value
    assert decode(encode(value)) == value


@pytest.mark.parametrize("block", [b"", b"\1\0\0\0", b"\0\0\0\0x", encode(Element("abc"))[:-1],
                                   encode(Element([Element(1)]))[:-5], b"\xff\xff\xff\xff"])
def test_a_malformed_block_is_refused_on_both_sides(block: bytes) -> None:
    shim = kea.shim()
    assert not shim.lib.kb_element_read(block, len(block))
    with pytest.raises(BridgeError):
        decode(block)
