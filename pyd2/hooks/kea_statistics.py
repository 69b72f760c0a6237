"""Statistics both ways (cbridge/kea/stats.h): compiled libraries' in the server's, the server's in theirs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyd2.data.element import Element
    from pyd2.hooks.kea_bridge import Shim


class Sample(NamedTuple):
    """A statistic and its last sample; see ``pyd2.observe.statistics.Sample``."""

    name: str
    value: int | float | str
    changed: float


class OwnStatistics(Protocol):
    """The server's own statistics."""

    def own_values(self) -> Iterable[tuple[str, int]]:
        """Return all of them, by name."""

    def library_keys(self) -> list[str]:
        """Return the names of the keys of hook libraries that are counted."""

    def forget_library_key(self, name: str) -> None:
        """Forget the statistics of such a key."""


class KeaStatistics:
    """What is in Kea's StatsMgr; a provider of ``pyd2.observe.statistics``."""

    def __init__(self, shim: Shim, own: OwnStatistics) -> None:
        self._shim = shim
        self._own = own
        self._told: dict[str, int] = {}

    def tell(self) -> None:
        """Bring the server's own statistics in the StatsMgr up to date, before libraries run.

        A key's statistics end with it: Kea's key removes its own from the StatsMgr.
        """
        for key in self._own.library_keys():
            if not self._shim.check(self._shim.lib.kb_stats_present(f"key[{key}].update-sent".encode())):
                self._own.forget_library_key(key)
        for name, value in self._own.own_values():
            if self._told.get(name) != value:
                self._shim.check(self._shim.lib.kb_stats_set(self._shim.bytes(name), value))
                self._told[name] = value

    def samples(self) -> Iterator[Sample]:
        """Return all statistics of the StatsMgr, each with its last sample."""
        all_of_them = self._shim.value(self._shim.lib.kb_stats_all())
        assert all_of_them is not None
        for name, samples in all_of_them.map_value().items():
            yield _sample(name, samples.list_value()[0].list_value())

    def reset(self, name: str | None) -> bool:
        """Set one, or all when the name is None, to its neutral value; False if there is none such."""
        text = self._shim.ffi.NULL if name is None else self._shim.bytes(name)
        self._told.clear()
        return self._shim.check(self._shim.lib.kb_stats_reset(text)) > 0


def _sample(name: str, fields: list[Element]) -> Sample:
    value, changed = fields[0].value, fields[1].string_value()
    assert isinstance(value, int | float | str)
    # Kea shows local time without its zone.
    when = datetime.strptime(changed, "%Y-%m-%d %H:%M:%S.%f").astimezone()
    return Sample(name, value, when.timestamp())
