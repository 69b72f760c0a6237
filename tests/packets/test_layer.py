"""Which packet layer there is."""

import subprocess
import sys

import pytest

from pyd2.interpreter import GIVE_WAY_AFTER
from pyd2.packets import compiled, layer
from pyd2.packets.compiled import CompiledLayer, CompiledZone
from pyd2.packets.layer import DomainNumbers, make_layer
from pyd2.packets.plain import PlainLayer
from pyd2.packets.wire import ffi, lib


def test_the_compiled_layer_is_preferred() -> None:
    assert type(make_layer()) is CompiledLayer


@pytest.mark.parametrize(("name", "kind"), [("plain", PlainLayer), ("compiled", CompiledLayer)])
def test_a_layer_can_be_chosen(name: str, kind: type) -> None:
    made = make_layer(name)
    assert type(made) is kind
    assert made.name == name


def test_a_name_of_no_layer_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no packet layer Plain: choose compiled or plain"):
        make_layer("Plain")


@pytest.fixture
def not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyd2.packets.compiled", None)


@pytest.mark.usefixtures("not_built")
def test_without_a_compiler_the_plain_layer_does_the_work() -> None:
    assert type(make_layer()) is PlainLayer


@pytest.mark.usefixtures("not_built")
def test_a_layer_that_was_not_built_is_not_replaced_in_silence() -> None:
    with pytest.raises(ImportError):
        make_layer("compiled")


def test_the_plain_layer_needs_nothing_compiled() -> None:
    program = (
        "import sys\n"
        "sys.modules['pyd2.packets.wire'] = None\n"
        "from pyd2.packets.layer import make_layer\n"
        "assert make_layer().name == 'plain'\n"
        "assert '_cffi_backend' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_each_layer_has_its_name() -> None:
    assert {make_layer(name).name for name in layer.NAMES} == set(layer.NAMES)


def test_who_prepares_very_much_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call into C releases the interpreter, but for too short a time for a waiting thread."""
    pauses: list[int] = []
    monkeypatch.setattr(compiled, "give_way", lambda: pauses.append(1))
    made = CompiledLayer()
    for number in range(GIVE_WAY_AFTER):
        made.zone(f"z{number}.test.")
    assert pauses
    pauses.clear()
    for number in range(GIVE_WAY_AFTER):
        made.key(f"k{number}.", "HMAC-SHA256", bytes(32), 0)
    assert len(pauses) > 1
    pauses.clear()
    names = {f"z{number}.test.": number for number in range(1, 2 * GIVE_WAY_AFTER + 1)}
    made.make_index(DomainNumbers(names, {}, {}, 0, 0))
    assert len(pauses) == 2


@pytest.mark.parametrize(
    "name", [".", "test.", "Mixed.Case.TEST.", f"{'a' * 63}.b.", "1." * 127, r"\255\000.z."]
)
def test_a_zone_is_prepared_as_c_does_it(name: str) -> None:
    zone = CompiledZone(name)
    wanted = ffi.new("wire_name *")
    assert lib.wire_name_set(wanted, zone.wire, len(zone.wire)) == 0
    assert ffi.buffer(zone.prepared)[:] == ffi.buffer(wanted)[:]
