"""What the service's thread does in parts; all else of it is tested with the daemon."""

from collections import deque
from collections.abc import Callable
from ipaddress import IPv4Address
from types import SimpleNamespace
from typing import Any

from pyd2.service import ENDS_AT_ONCE, SERVERS_AT_ONCE, Service, _Ended
from pyd2.update.server.lane import Lane


class Waiting(Service):
    """A service without its thread, whose log has written again after a long time."""

    def __init__(self, turns: int) -> None:
        self._ended = deque(_Ended(number, [number], {}) for number in range(1, turns + 1))
        self._unreported = turns
        self.planned: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self.reported: list[int] = []
        self._loop = self._queue = self  # type: ignore[assignment]

    def call_soon(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.planned.append((call, arguments))

    def done(self, numbers: list[int], _dead: dict[int, str]) -> None:
        self.reported += numbers


def test_ends_behind_a_log_that_hung_are_reported_in_parts() -> None:
    service = Waiting(1000)
    service._report_some_ends(900)
    parts = [len(service.reported)]
    while service.planned:
        call, arguments = service.planned.pop()
        call(*arguments)
        parts.append(len(service.reported) - sum(parts))
    assert max(parts) <= ENDS_AT_ONCE + 1
    assert service.reported == list(range(1, 901))
    assert service._unreported == 100


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
