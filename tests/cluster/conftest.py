from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kit.nats_servers import NatsServer, nats_servers

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    with nats_servers() as (one,):
        yield one
