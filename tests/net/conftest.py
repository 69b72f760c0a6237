"""The tests of the sockets run with each back end, those of control channels in each kind of event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import uvloop

from pyd2.backend import NAMES, make_backend
from tests.net import chosen

if TYPE_CHECKING:
    from pyd2.net.datagrams import Datagrams

Run: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine in each kind of loop that the daemon may use."""

    def run_in_loop(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(main)

    return run_in_loop


@pytest.fixture(scope="module", params=NAMES)
def datagrams(request: pytest.FixtureRequest) -> Iterator[Datagrams]:
    """Let a module's tests work with the datagrams of one back end."""
    before = chosen.name, chosen.datagrams
    chosen.name, chosen.datagrams = request.param, make_backend(request.param).datagrams
    yield chosen.datagrams
    chosen.name, chosen.datagrams = before


@pytest.fixture
def packet_layer(datagrams: Datagrams) -> str:
    """Return the name of the back end."""
    return chosen.name
