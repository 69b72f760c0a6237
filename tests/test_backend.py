"""Which back end there is, and that its parts belong together."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyd2 import daemon
from pyd2.backend import NAMES, Backend, make_backend
from pyd2.daemon import PACKET_LAYER
from pyd2.net.datagrams import PythonDatagrams
from pyd2.net.native import NativeDatagrams
from pyd2.packets.compiled import CompiledLayer
from pyd2.packets.plain import PlainLayer
from pyd2.update.inflight.native import NativeTries
from pyd2.update.inflight.python import PythonTries

KINDS = {
    "compiled": (CompiledLayer, NativeTries, NativeDatagrams),
    "plain": (PlainLayer, PythonTries, PythonDatagrams),
}


def kinds(backend: Backend) -> tuple[type, ...]:
    return type(backend.packets), type(backend.tries), type(backend.datagrams)


def test_the_compiled_back_end_is_preferred() -> None:
    assert kinds(make_backend()) == KINDS["compiled"]
    assert NAMES[0] == "compiled"


@pytest.mark.parametrize("name", NAMES)
def test_all_parts_are_of_one_kind(name: str) -> None:
    made = make_backend(name)
    assert kinds(made) == KINDS[name]
    assert made.name == made.packets.name == name


def test_a_name_of_no_back_end_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no packet layer Plain: choose compiled or plain"):
        make_backend("Plain")


PARTS = ["pyd2.packets.compiled", "pyd2.packets.wire", "pyd2.net.native", "pyd2.net.wire_io"]


def run_without(part: str, program: str) -> None:
    """Run a program where a compiled part was not built."""
    program = f"import sys; sys.modules[{part!r}] = None\nfrom pyd2.backend import make_backend\n{program}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("part", PARTS)
def test_without_one_part_all_is_plain(part: str) -> None:
    run_without(part, "assert make_backend().name == 'plain'")


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_was_not_built_is_not_replaced_in_silence(part: str) -> None:
    run_without(part, "try: make_backend('compiled')\nexcept ImportError: pass\nelse: raise SystemExit(1)")


def test_the_plain_back_end_needs_nothing_compiled() -> None:
    program = "assert make_backend('plain').name == 'plain'; assert '_cffi_backend' not in sys.modules"
    run_without("pyd2.packets.wire", program)


@pytest.mark.parametrize(
    ("value", "name"), [(None, "compiled"), ("", "compiled"), ("compiled", "compiled"), ("plain", "plain")]
)
def test_the_choice(monkeypatch: pytest.MonkeyPatch, value: str | None, name: str) -> None:
    monkeypatch.delenv(PACKET_LAYER, raising=False)
    if value is not None:
        monkeypatch.setenv(PACKET_LAYER, value)
    assert daemon._choose_backend().name == name


def test_a_wrong_choice_ends_the_start(tmp_path: Path) -> None:
    config = tmp_path / "d2.json"
    config.write_text('{ "DhcpDdns": {} }')
    environment = {"KEA_PIDFILE_DIR": str(tmp_path), "KEA_LOCKFILE_DIR": "none", PACKET_LAYER: "fast"}
    command = [sys.executable, "-m", "pyd2", "-c", str(config)]
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == (
        "Service failed: PYD2_PACKET_LAYER is fast: there is no packet layer fast: choose compiled or plain\n"
    )
    assert list(tmp_path.iterdir()) == [config]


def test_a_layer_that_was_not_built_cannot_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PACKET_LAYER, "compiled")
    monkeypatch.setitem(sys.modules, "pyd2.packets.compiled", None)
    with pytest.raises(daemon.LaunchError, match="PYD2_PACKET_LAYER is compiled: import of"):
        daemon._choose_backend()
