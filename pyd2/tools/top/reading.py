"""What a daemon says of itself at a moment, asked by commands that Kea's own daemon has, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pyd2.tools.channel.daemon import Answer, Channel


class Server(NamedTuple):
    """A DNS server."""

    name: str
    down: bool
    down_for: int
    """Seconds."""
    in_flight: int
    waiting: int


class Reading(NamedTuple):
    """The state of a daemon."""

    at: float
    """Monotonic seconds."""
    version: str
    pid: int
    uptime: int
    since_reload: int
    statistics: dict[str, int]
    """By Kea's names, those of keys included."""
    requests: dict[str, int]
    """What has become of the requests; empty where the daemon does not say."""
    queue: dict[str, Any]
    """The durable queue; empty without one."""
    servers: tuple[Server, ...]
    """Where the daemon says: those that are down first, then those that most waits for."""


def read(channel: Channel, at: float, timeout: float) -> Reading:
    """Return the state of a daemon; ``timeout`` is in seconds for each answer. Raises ChannelError."""
    version = channel.command("version-get", timeout=timeout)
    status = _plain(channel.command("status-get", timeout=timeout).arguments)
    statistics = _plain(channel.command("statistic-get-all", timeout=timeout).arguments)
    own = _map(status, "pyd2")
    found = {name: _newest(samples) for name, samples in statistics.items()}
    servers = [_server(each) for each in _list(own, "servers") if isinstance(each, dict)]
    return Reading(
        at,
        _version(version),
        _number(status, "pid"),
        _number(status, "uptime"),
        _number(status, "reload"),
        found,
        {name: _number(_map(own, "requests"), name) for name in _map(own, "requests")},
        _map(own, "queue"),
        tuple(sorted(servers, key=lambda server: (not server.down, -server.waiting, -server.in_flight))),
    )


def _version(answer: Answer) -> str:
    """Return the first line of the long form, which names pyd2, or else the short one."""
    long = _plain(answer.arguments).get("extended")
    return long.splitlines()[0] if isinstance(long, str) and long else answer.text


def _server(values: dict[str, Any]) -> Server:
    address, port = str(values.get("address", "?")), _number(values, "port")
    return Server(
        f"[{address}]:{port}" if ":" in address else f"{address}:{port}",
        values.get("state") == "down",
        _number(values, "down-for"),
        _number(values, "in-flight"),
        _number(values, "waiting"),
    )


def _plain(element: Any) -> dict[str, Any]:  # noqa: ANN401  an element or None
    value = None if element is None else element.plain()
    return value if isinstance(value, dict) else {}


def _newest(samples: object) -> int:
    """Return the newest value of a statistic: the first number of its first sample."""
    while isinstance(samples, list) and samples:
        samples = samples[0]
    return samples if type(samples) is int else 0


def _map(values: dict[str, Any], name: str) -> dict[str, Any]:
    found = values.get(name)
    return found if isinstance(found, dict) else {}


def _list(values: dict[str, Any], name: str) -> list[Any]:
    found = values.get(name)
    return found if isinstance(found, list) else []


def _number(values: dict[str, Any], name: str) -> int:
    found = values.get(name)
    return found if type(found) is int else 0
