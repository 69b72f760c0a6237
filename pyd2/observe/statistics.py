"""The statistics as the statistic-* commands show them (contract, sections 8 and 9)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pyd2.data.element import Element
from pyd2.data.text import string_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from pyd2.counters import Counter, Counters


class Sample(NamedTuple):
    """A statistic and one sample of it."""

    name: str
    value: int | float | str
    changed: float
    """Wall-clock seconds of its last change."""


class Provider(Protocol):
    """Further statistics, such as those of a hook library."""

    def samples(self) -> Iterable[Sample]:
        """Return all of them; the samples of one follow each other, the newest first."""

    def reset(self, name: str | None) -> bool:
        """Set one, or all when the name is None, to a neutral value; False if there is none of that name."""


class Statistics:
    """The counters of the daemon, and what providers add.

    ``shown`` are the names of the counters that Kea has. ``clock`` returns wall-clock seconds.
    ``consistently`` calls a function while no thread counts, and returns its result. ``providers`` may change
    at any time. A name that the counters have hides the same name of a provider.
    """

    def __init__(
        self, counters: Counters, shown: Collection[str], clock: Callable[[], float],
        consistently: Callable[[Callable[[], Any]], Any] = lambda function: function(),
    ) -> None:
        self.providers: list[Provider] = []
        self._counters = counters
        self._shown = shown
        self._clock = clock
        self._consistently = consistently

    def get(self, name: str) -> Element:
        """Return a map with the statistic of that name; empty if there is none."""
        for counter in self._counters.of_pyd2:
            if name == counter.name:
                return Element({name: _shown([Sample(name, counter.value, counter.changed)])})
        found = self._samples().get(name)
        return Element({} if found is None else {_member(name): _shown(found)})

    def get_all(self) -> Element:
        """Return a map from each name to its list of samples, each a value and a local time."""
        return Element({_member(name): _shown(samples) for name, samples in self._samples().items()})

    def reset(self, name: str) -> bool:
        """Set a statistic to zero; False if there is none of that name."""
        found = [provider.reset(name) for provider in self.providers]
        return self._consistently(lambda: self._reset_own(name)) or any(found)

    def _reset_own(self, name: str | None) -> bool:
        now = self._clock()
        counters = [counter for counter in (*self._own(), *self._counters.of_pyd2)
                    if name is None or counter.name == name]
        for counter in counters:
            counter.reset(now)
        return bool(counters)

    def reset_all(self) -> None:
        """Set all statistics to zero."""
        self._consistently(lambda: self._reset_own(None))
        for provider in self.providers:
            provider.reset(None)

    def own_values(self) -> list[tuple[str, int]]:
        """Return the daemon's own statistics by name, without those of providers."""
        values: list[tuple[str, int]] = self._consistently(
            lambda: [(counter.name, counter.value) for counter in self._own()]
        )
        return values

    def adjust(self, name: str, by: int) -> None:
        """Add to a statistic of the daemon's own what a hook library has added to it."""
        def add() -> None:
            for counter in self._own():
                if counter.name == name:
                    counter.add(self._clock(), by)

        self._consistently(add)

    def library_keys(self) -> list[str]:
        """Return the names of the keys of hook libraries that are counted."""
        names: list[str] = self._consistently(lambda: list(self._counters.library_keys))
        return names

    def forget_library_key(self, name: str) -> None:
        """Forget the statistics of such a key: it is there no more."""
        self._consistently(lambda: self._counters.library_keys.pop(name, None))

    def _own(self) -> Iterator[Counter]:
        counters = self._counters
        for counter in counters.of_kea:
            # A statistic of a later Kea release is shown from its first event on.
            if counter.value or counter.name in self._shown:
                yield counter
        for key in (*counters.keys.values(), *counters.library_keys.values()):
            yield from (key.sent, key.success, key.timeout, key.error)

    def _samples(self) -> dict[str, list[Sample]]:
        """Return the samples of all, the daemon's own last, so that they win."""
        found: dict[str, list[Sample]] = {}
        for provider in self.providers:
            for sample in provider.samples():
                found.setdefault(sample.name, []).append(sample)
        # Nobody counts meanwhile, so that with thousands of keys only what must be done is done there.
        own: list[tuple[Counter, int, float]] = self._consistently(
            lambda: [(counter, counter.value, counter.changed) for counter in self._own()]
        )
        found.update((counter.name, [Sample(counter.name, value, at)]) for counter, value, at in own)
        return found


def _member(name: str) -> str:
    """Return a name as that of a member, whose names answers hold as they are: JSON needs some escapes."""
    return string_text(name)[1:-1]


def _shown(samples: list[Sample]) -> Element:
    return Element([Element([Element(sample.value), Element(_local(sample.changed))]) for sample in samples])


def _local(wall: float) -> str:
    # Kea shows local time without its zone.
    return datetime.fromtimestamp(wall, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")
