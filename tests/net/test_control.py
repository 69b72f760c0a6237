"""Sets of control channels: what a change opens, keeps, closes, and puts back when it fails."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from pyd2.config.model import ControlSocket, HttpSocket, TlsFiles, UnixSocket
from pyd2.data.element import Element, from_plain
from pyd2.errors import ConfigError
from pyd2.net.control import ControlChannels
from tests.control.http_fakes import ADMIN, HttpLines, http_socket
from tests.kit.profile import RULES


class Network:
    """The places that channels listen at; ``steps`` notes what happens to them, in order."""

    def __init__(self) -> None:
        self.listening: dict[str, NotedChannel] = {}
        self.steps: list[str] = []
        self.log = HttpLines()
        self.channels = ControlChannels(lambda socket: NotedChannel(self, _path(socket)), self.log)

    def warnings(self) -> list[str]:
        """Return the texts of the warnings since the last call."""
        return [text for _, text in self.log.take("PYD2_HTTP_UNPROTECTED")]

    def places(self) -> list[str]:
        return sorted(self.listening)


def _path(socket: ControlSocket) -> str:
    return socket.path if isinstance(socket, UnixSocket) else f"http {socket.port}"


class NotedChannel:
    """A channel on that network. The place ``bad`` cannot be opened."""

    def __init__(self, network: Network, path: str) -> None:
        self._network = network
        self._path = path
        self._left = False

    @property
    def place(self) -> tuple[int, ...]:
        return (int(self._path[5:]),) if self._path.startswith("http") else (0,)

    @property
    def listening(self) -> bool:
        return self._network.listening.get(self._path) is self and not self._left

    def leave(self) -> None:
        self._left = True
        self._network.steps.append(f"leave {self._path}")

    def open(self, others: object = ()) -> None:
        assert isinstance(others, list)
        if self._left:
            self._left = False
            self._network.steps.append(f"stay at {self._path}")
            return
        present = self._network.listening.get(self._path)
        if self._path == "bad" or (present is not None and present not in others):
            raise ConfigError(f"cannot open {self._path}")
        self._network.listening[self._path] = self
        self._network.steps.append(f"{'take over' if present else 'open'} {self._path}")

    def close(self) -> None:
        if self._network.listening.get(self._path) is self:
            del self._network.listening[self._path]
            self._network.steps.append(f"close {self._path}")


def socket(path: str, **members: str) -> UnixSocket:
    return _unix(path, from_plain({"socket-name": path, **members}))


def _unix(path: str, element: Element) -> UnixSocket:
    return UnixSocket(path, element, "", RULES.sockets.unix)


def http(port: int) -> HttpSocket:
    return HttpSocket(ip_address("::1"), port, None, None, (), from_plain({"socket-port": port}))


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
    network.channels.prepare([_unix("b", elsewhere), socket("c")])
    assert network.places() == ["a", "b", "c"]
    network.channels.commit()
    assert network.steps == ["open c", "leave a", "close a"]
    assert network.listening["b"] is before["b"]


def test_a_changed_entry_takes_its_place_over(network: Network) -> None:
    network.channels.prepare([socket("a", comment="new"), socket("b")])
    network.channels.commit()
    assert network.steps == ["take over a"]


def test_as_kea_3_0_an_entry_with_the_same_path_is_not_touched(network: Network) -> None:
    changed = [socket("a", comment="new"), socket("b", comment="new"), socket("c")]
    rules = RULES.sockets.unix._replace(same_by_path=True)
    network.channels.prepare([each._replace(rules=rules) for each in changed])
    network.channels.commit()
    assert network.steps == ["open c"]
    network.channels.prepare([socket("d")._replace(rules=rules)])
    network.channels.commit()
    assert network.places() == ["d"]


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
    assert network.steps[-4:] == ["leave a", "leave b", "stay at a", "stay at b"]
    network.channels.prepare([])
    network.channels.commit()
    assert network.places() == []


def test_http_sockets_come_after_the_unix_socket_and_always_have_a_successor() -> None:
    network = Network()
    network.channels.prepare([http(2), http(1), socket("a")])
    network.channels.commit()
    assert network.steps == ["open a", "open http 2", "open http 1"]
    first = dict(network.listening)
    network.steps.clear()
    network.channels.prepare([http(1), http(3), http(2), socket("a")])
    network.channels.commit()
    assert network.steps == ["take over http 1", "open http 3", "take over http 2"]
    assert network.listening["a"] is first["a"]
    assert network.listening["http 1"] is not first["http 1"]
    network.steps.clear()
    network.channels.close()
    assert network.steps == [
        "leave a", "leave http 1", "leave http 2", "leave http 3",
        "close a", "close http 1", "close http 2", "close http 3",
    ]


def test_one_http_socket_twice_is_one_channel() -> None:
    network = Network()
    network.channels.prepare([http(1), http(1)])
    network.channels.commit()
    assert network.steps == ["open http 1", "take over http 1"]
    last = network.listening["http 1"]
    network.steps.clear()
    network.channels.prepare([http(1), http(1)])
    network.channels.roll_back()
    assert network.steps == ["take over http 1", "take over http 1", "take over http 1"]
    assert network.listening["http 1"] is last
    network.steps.clear()
    network.channels.close()
    assert network.steps == ["leave http 1", "close http 1"]


def test_a_failed_first_configuration_leaves_nothing_open() -> None:
    network = Network()
    with pytest.raises(ConfigError):
        network.channels.prepare([socket("a"), http(1), socket("bad")])
    assert network.places() == []


@pytest.mark.parametrize(
    ("wanted", "faults"),
    [
        (http_socket(1, ADMIN), []),
        (http_socket(1), ["anyone who can connect"]),
        (http_socket(1, ADMIN, address="0.0.0.0"), ["commands, secrets and passwords"]),
        (http_socket(1, address="::"), ["anyone who can connect", "commands, secrets and passwords"]),
        (http_socket(1, ADMIN, address="::1"), []),
        (http_socket(1, address="::", tls=TlsFiles("ca", "cert", "key", cert_required=True)), []),
        (
            http_socket(1, address="::", tls=TlsFiles("ca", "cert", "key", cert_required=False)),
            ["anyone who can connect"],
        ),
        (socket("a"), []),
    ],
)
def test_a_socket_without_protection_is_named(wanted: ControlSocket, faults: list[str]) -> None:
    network = Network()
    network.channels.prepare([wanted])
    assert network.warnings() == []
    network.channels.commit()
    start = f"the HTTP control socket on {wanted.address} port 1 is not protected: " \
        if isinstance(wanted, HttpSocket) else ""
    for warning, fault in zip(network.warnings(), faults, strict=True):
        assert warning.startswith(start + fault)


def test_a_warning_comes_again_only_when_a_socket_was_protected_meanwhile() -> None:
    network = Network()

    def change(*wanted: HttpSocket) -> int:
        network.channels.prepare(wanted)
        network.channels.commit()
        return len(network.warnings())

    assert change(http_socket(1)) == 1
    assert change(http_socket(1)) == 0
    assert change(http_socket(1), http_socket(2)) == 1
    assert change(http_socket(2)) == 0
    assert change(http_socket(2, ADMIN)) == 0
    assert change(http_socket(2)) == 1


def test_a_refused_configuration_is_not_warned_of() -> None:
    network = Network()
    network.channels.prepare([http_socket(1, ADMIN)])
    network.channels.commit()
    network.channels.prepare([http_socket(1)])
    network.channels.roll_back()
    with pytest.raises(ConfigError):
        network.channels.prepare([http_socket(1), socket("bad")])
    assert network.warnings() == []
