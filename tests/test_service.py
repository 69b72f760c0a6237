"""What the update thread does in parts; all else of it is tested with the daemon."""

from collections.abc import Callable
from ipaddress import IPv4Address
from types import SimpleNamespace
from typing import Any

from pyd2.service import SERVERS_AT_ONCE, Service
from pyd2.update.server.lane import Lane


class ManyServers(Service):
    """A service with very many DNS servers; its calls run here, and their sizes are put down."""

    def __init__(self, count: int) -> None:
        lanes = tuple(Lane(IPv4Address(number), 53) for number in range(count))
        self._engine: Any = SimpleNamespace(extended=True, lanes=lanes, status=lambda _: {"requests": {}})
        self._queue: Any = SimpleNamespace(status=lambda _: None)
        self.sizes: list[int] = []

    def _call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        outcome = function(*arguments, **named)
        self.sizes.append(len(outcome))
        return outcome


def test_the_status_of_very_many_servers_is_put_down_in_parts() -> None:
    service = ManyServers(2 * SERVERS_AT_ONCE + 1)
    status: Any = service.status()
    assert len(status["servers"]) == 2 * SERVERS_AT_ONCE + 1
    assert status["servers"][-1]["address"] == "0.0.2.0"
    assert service.sizes[1:] == [SERVERS_AT_ONCE, SERVERS_AT_ONCE, 1]
