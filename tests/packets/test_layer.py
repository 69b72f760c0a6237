"""What the compiled layer prepares."""

import pytest

from pyd2.interpreter import GIVE_WAY_AFTER
from pyd2.packets import compiled
from pyd2.packets.compiled import CompiledLayer, CompiledZone
from pyd2.packets.layer import DomainNumbers
from pyd2.packets.wire import ffi, lib


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
