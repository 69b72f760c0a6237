"""Statistics both ways (cbridge/kea/stats.h): compiled libraries' in the server's, the server's in theirs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pyd2.data.element import Element
    from pyd2.hooks.kea.bridge import Shim


class Sample(NamedTuple):
    """A statistic and one sample of it; see ``pyd2.observe.statistics.Sample``."""

    name: str
    value: int | float | str
    changed: float


class OwnStatistics(Protocol):
    """The server's own statistics."""

    def own_values(self) -> Iterable[tuple[str, int]]:
        """Return all of them, by name."""

    def adjust(self, name: str, by: int) -> None:
        """Add to one of them."""

    def library_keys(self) -> list[str]:
        """Return the names of the keys of hook libraries that are counted."""

    def forget_library_key(self, name: str) -> None:
        """Forget the statistics of such a key."""


class LeftStatistics:
    """What compiled libraries that are gone have left in Kea's StatsMgr; a provider as well.

    As in Kea, it stays until the server ends. What has the name of one of the server's own is not shown.
    """

    def __init__(self, shim: Shim) -> None:
        self._shim = shim

    def samples(self) -> Iterator[Sample]:
        """Return all statistics of the StatsMgr with their samples, the newest first."""
        return _all_samples(self._shim)

    def reset(self, name: str | None) -> bool:
        """Set one, or all when the name is None, to its neutral value; False if there is none such."""
        if self._shim.told is not None:
            self._shim.told.clear()
        text = self._shim.ffi.NULL if name is None else self._shim.bytes(name)
        return self._shim.check(self._shim.lib.kb_stats_reset(text)) > 0


class KeaStatistics(LeftStatistics):
    """What is in Kea's StatsMgr; a provider of ``pyd2.observe.statistics``."""

    def __init__(self, shim: Shim, own: OwnStatistics, forget_unused: Callable[[], None]) -> None:
        """``forget_unused`` lets go of keys that libraries hold no more."""
        super().__init__(shim)
        self._own = own
        if shim.told is None:  # Kea has just set all of these to zero
            shim.told = {name: 0 for name, _ in own.own_values() if not name.startswith("key[")}
        self._told = shim.told
        self._forget_unused = forget_unused
        self._number = shim.ffi.new("int64_t *")

    def tell(self) -> None:
        """Bring the server's own statistics in the StatsMgr up to date, before libraries run.

        What libraries have made of them meanwhile is taken over. A key's statistics end with it: Kea's key
        removes its own from the StatsMgr.
        """
        for key in self._own.library_keys():
            if self._value(f"key[{key}].update-sent") is None:
                self._own.forget_library_key(key)
        for name, told in self._told.items():
            # Those of keys are begun anew by Kea's keys at each reconfiguration; the server's own go on.
            value = None if name.startswith("key[") else self._value(name)
            if value is not None and value != told:
                self._told[name] = value
                self._own.adjust(name, value - told)
        for name, value in self._own.own_values():
            if self._told.get(name) != value:
                self._shim.check(self._shim.lib.kb_stats_set(self._shim.bytes(name), value))
                self._told[name] = value

    def _value(self, name: str) -> int | None:
        value = self._number
        found = self._shim.lib.kb_stats_value(self._shim.bytes(name), value)
        return int(value[0]) if found > 0 else None

    def samples(self) -> Iterator[Sample]:
        """Return all statistics of the StatsMgr with their samples, the newest first."""
        self._forget_unused()  # their statistics end with them, and not some time after
        self.tell()
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
