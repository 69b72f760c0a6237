"""The statistics as the statistic-* commands show them (contract, sections 8 and 9)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, runtime_checkable

from pyd2.data.element import Element
from pyd2.data.text import string_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from pyd2.counters import Counter, Counters

KEYS_AT_ONCE: Final = 128
"""Keys whose statistics are read or changed at a time; counting stops for a fraction of a millisecond."""


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


@runtime_checkable
class GssProvider(Protocol):
    """One that also knows the keys of GSS-TSIG."""

    def readings(self) -> Iterable[Any]:
        """Return a ``pyd2.metrics.reading.GssReading`` for each DNS server."""


class Statistics:
    """The counters of the daemon, and what providers add.

    ``shown`` are the names of the counters that Kea has. ``clock`` returns wall-clock seconds.
    ``consistently`` calls a function while no thread counts, and returns its result. All of a key is read at
    once, and so is all that is no key's; between two keys may lie a moment, for there may be thousands.
    ``providers`` may change at any time. A name that the counters have hides the same name of a provider.
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
        local = cache(_local)  # of thousands of keys most have changed at the same time: when they were made
        return Element({_member(name): _shown(samples, local) for name, samples in self._samples().items()})

    def reset(self, name: str) -> bool:
        """Set a statistic to zero; False if there is none of that name."""
        found = [provider.reset(name) for provider in self.providers]
        counters = [counter for counter in self._all() if counter.name == name]
        self._reset(counters)
        return bool(counters) or any(found)

    def reset_all(self) -> None:
        """Set all statistics to zero."""
        for part in self._parts():
            self._reset(part)
        self._reset(self._counters.of_pyd2)
        for provider in self.providers:
            provider.reset(None)

    def _reset(self, counters: Sequence[Counter]) -> None:
        now = self._clock()

        def reset() -> None:
            for counter in counters:
                counter.reset(now)

        self._consistently(reset)

    def of_gss(self) -> Iterator[Any]:
        """Return what the provider of GSS-TSIG, if there is one, says of each DNS server."""
        for provider in self.providers:
            if isinstance(provider, GssProvider):
                yield from provider.readings()

    def own_values(self) -> list[tuple[str, int]]:
        """Return the daemon's own statistics by name, without those of providers."""
        return [(counter.name, value) for counter, value, _ in self._read()]

    def adjust(self, name: str, by: int) -> None:
        """Add to a statistic of the daemon's own what a hook library has added to it."""
        for part in self._parts():
            for counter in part:
                if counter.name == name:
                    self._consistently(partial(counter.add, self._clock(), by))

    def library_keys(self) -> list[str]:
        """Return the names of the keys of hook libraries that are counted."""
        names: list[str] = self._consistently(lambda: list(self._counters.library_keys))
        return names

    def forget_library_key(self, name: str) -> None:
        """Forget the statistics of a key that is gone."""
        self._consistently(lambda: self._counters.library_keys.pop(name, None))

    def _parts(self) -> Iterator[list[Counter]]:
        """Return all that are shown: first those that are no key's, then those of some keys at a time."""
        counters = self._counters
        # A statistic of a later Kea release is shown from its first event on.
        yield [counter for counter in counters.of_kea if counter.value or counter.name in self._shown]
        keys = (*counters.keys.values(), *counters.library_keys.values())
        for first in range(0, len(keys), KEYS_AT_ONCE):
            some = keys[first : first + KEYS_AT_ONCE]
            yield [counter for key in some for counter in (key.sent, key.success, key.timeout, key.error)]

    def _all(self) -> Iterator[Counter]:
        """Return all that are shown, and those that are shown only when they are asked for."""
        for part in self._parts():
            yield from part
        yield from self._counters.of_pyd2

    def _read(self) -> Iterator[tuple[Counter, int, float]]:
        """Return all that are shown, with their values and the times of their last changes."""
        for part in self._parts():
            yield from self._consistently(partial(_values, part))

    def _samples(self) -> dict[str, list[Sample]]:
        """Return the samples of all, the daemon's own last, so that they win."""
        found: dict[str, list[Sample]] = {}
        for provider in self.providers:
            for sample in provider.samples():
                found.setdefault(sample.name, []).append(sample)
        found.update((counter.name, [Sample(counter.name, value, at)]) for counter, value, at in self._read())
        return found


def _values(counters: Sequence[Counter]) -> list[tuple[Counter, int, float]]:
    return [(counter, counter.value, counter.changed) for counter in counters]


def _member(name: str) -> str:
    """Return a name as that of a member, whose names answers hold as they are: JSON needs some escapes."""
    return string_text(name)[1:-1]


def _local(wall: float) -> Element:
    # Kea shows local time without its zone.
    return Element(datetime.fromtimestamp(wall, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f"))


def _shown(samples: list[Sample], local: Callable[[float], Element] = _local) -> Element:
    return Element([Element([Element(sample.value), local(sample.changed)]) for sample in samples])
