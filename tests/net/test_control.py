"""Sets of control channels: what a change opens, keeps, closes, and puts back when it fails."""

from __future__ import annotations

import pytest

from pyd2.config.model import UnixSocket
from pyd2.data.element import Element, from_plain
from pyd2.errors import ConfigError
from pyd2.net.control import ControlChannels


class Network:
    """The places that channels listen at; ``steps`` notes what happens to them, in order."""

    def __init__(self) -> None:
        self.listening: dict[str, NotedChannel] = {}
        self.steps: list[str] = []
        self.channels = ControlChannels(lambda socket: NotedChannel(self, getattr(socket, "path", "")))

    def places(self) -> list[str]:
        return sorted(self.listening)


class NotedChannel:
    """A channel on that network. The place ``bad`` cannot be opened."""

    def __init__(self, network: Network, path: str) -> None:
        self._network = network
        self._path = path

    @property
    def listening(self) -> bool:
        return self._network.listening.get(self._path) is self

    def open(self, others: object = ()) -> None:
        assert isinstance(others, list)
        present = self._network.listening.get(self._path)
        if self._path == "bad" or (present is not None and present not in others):
            raise ConfigError(f"cannot open {self._path}")
        self._network.listening[self._path] = self
        self._network.steps.append(f"{'take over' if present else 'open'} {self._path}")

    def close(self) -> None:
        if self.listening:
            del self._network.listening[self._path]
            self._network.steps.append(f"close {self._path}")


def socket(path: str, **members: str) -> UnixSocket:
    return UnixSocket(path, from_plain({"socket-name": path, **members}))


@pytest.fixture
def network() -> Network:
    network = Network()
    network.channels.prepare([socket("a"), socket("b")])
    network.channels.commit()
    assert network.steps == ["open a", "open b"]
    network.steps.clear()
    return network


def test_what_stays_the_same_is_not_touched(network: Network) -> None:
    before = dict(network.listening)
    elsewhere = Element(socket("b").element.value)  # the same map at another place of the file
    network.channels.prepare([UnixSocket("b", elsewhere), socket("c")])
    assert network.places() == ["a", "b", "c"]
    network.channels.commit()
    assert network.steps == ["open c", "close a"]
    assert network.listening["b"] is before["b"]


def test_a_changed_entry_takes_its_place_over(network: Network) -> None:
    network.channels.prepare([socket("a", comment="new"), socket("b")])
    network.channels.commit()
    assert network.steps == ["take over a"]


@pytest.mark.parametrize("bad", ["bad", "b"])
def test_a_failure_leaves_all_as_it_was(network: Network, bad: str) -> None:
    """The second place of the same name is not that of a channel that is kept."""
    before = dict(network.listening)
    wanted = [socket("c"), socket("a", comment="new"), socket("b"), socket(bad, comment="new")]
    with pytest.raises(ConfigError, match=f"^cannot open {bad}$"):
        network.channels.prepare(wanted)
    assert network.steps == ["open c", "take over a", "take over a", "close c"]
    assert network.listening == before
    network.channels.close()
    assert network.places() == []


def test_a_change_that_is_rolled_back(network: Network) -> None:
    before = dict(network.listening)
    network.channels.prepare([socket("a", comment="new"), socket("c")])
    network.channels.roll_back()
    assert network.listening == before
    network.channels.prepare([])
    network.channels.roll_back()
    assert network.listening == before
    network.channels.prepare([])
    network.channels.commit()
    assert network.places() == []
