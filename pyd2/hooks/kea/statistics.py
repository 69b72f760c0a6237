"""Statistics of compiled libraries for the server, and the server's for them (cbridge/kea/stats.h)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pyd2.hooks.interface import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyd2.data.element import Element
    from pyd2.hooks.interface import Statistics
    from pyd2.hooks.kea.bridge import Shim


class LeftStatistics:
    """The statistics in Kea's StatsMgr of compiled libraries that are no longer loaded; a provider.

    As in Kea, they stay until the server ends. A name of the server's own statistics is not shown.
    """

    def __init__(self, shim: Shim) -> None:
        self._shim = shim

    def samples(self) -> Iterator[Sample]:
        """Return all statistics of the StatsMgr with their samples, the newest first."""
        return _all_samples(self._shim)

    def reset(self, name: str | None) -> bool:
        """Set one statistic, or all if ``name`` is None, to its neutral value; False if it does not exist."""
        if self._shim.reported is not None:
            self._shim.reported.clear()
        text = self._shim.ffi.NULL if name is None else self._shim.bytes(name)
        return self._shim.check(self._shim.lib.kb_stats_reset(text)) > 0


class KeaStatistics(LeftStatistics):
    """The statistics in Kea's StatsMgr; a provider of ``pyd2.observe.statistics``."""

    def __init__(self, shim: Shim, own: Statistics, forget_unused: Callable[[], None]) -> None:
        """``forget_unused`` forgets the keys that no library holds."""
        super().__init__(shim)
        self._own = own
        if shim.reported is None:  # Kea has just set all of these to zero
            shim.reported = {name: 0 for name, _ in own.own_values() if not name.startswith("key[")}
        self._reported = shim.reported
        self._forget_unused = forget_unused
        self._number = shim.ffi.new("int64_t *")

    def update(self) -> None:
        """Bring the server's own statistics in the StatsMgr up to date, before libraries run.

        First add what libraries changed there to the server's. The statistics of a key end with it: Kea's key
        removes its own from the StatsMgr.
        """
        for key in self._own.library_keys():
            if self._value(f"key[{key}].update-sent") is None:
                self._own.forget_library_key(key)
        for name, reported in self._reported.items():
            # Kea's keys restart theirs at each reconfiguration; the server's own continue.
            value = None if name.startswith("key[") else self._value(name)
            if value is not None and value != reported:
                self._reported[name] = value
                self._own.adjust(name, value - reported)
        for name, value in self._own.own_values():
            if self._reported.get(name) != value:
                self._shim.check(self._shim.lib.kb_stats_set(self._shim.bytes(name), value))
                self._reported[name] = value

    def _value(self, name: str) -> int | None:
        value = self._number
        found = self._shim.lib.kb_stats_value(self._shim.bytes(name), value)
        return int(value[0]) if found > 0 else None

    def samples(self) -> Iterator[Sample]:
        """Return all statistics of the StatsMgr with their samples, the newest first."""
        self._forget_unused()  # their statistics end with them
        self.update()
        return super().samples()


def _all_samples(shim: Shim) -> Iterator[Sample]:
    all_of_them = shim.value(shim.lib.kb_stats_all())
    assert all_of_them is not None
    for name, samples in all_of_them.map_value().items():
        for sample in samples.list_value():
            yield _sample(name, sample.list_value())


def _sample(name: str, fields: list[Element]) -> Sample:
    value, changed = fields[0].value, fields[1].string_value()
    assert isinstance(value, int | float | str)
    # Kea shows local time without its zone.
    when = datetime.strptime(changed, "%Y-%m-%d %H:%M:%S.%f").astimezone()
    return Sample(name, value, when.timestamp())
