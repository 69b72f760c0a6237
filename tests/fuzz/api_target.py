"""Requests to the API of the web page that search the history, or ask what pyd2 would do."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote_from_bytes

from pyd2.control.http_head import Head, HeadState
from pyd2.control.http_pages import HttpPages
from pyd2.control.http_response import Response
from pyd2.web.answers import MOST, ApiError
from pyd2.web.config_index import ConfigIndex
from pyd2.web.events import HistoryApi
from pyd2.web.explained import Explained
from pyd2.web.worker import Job
from tests.fuzz.mutate import any_bytes, mutate_bytes
from tests.fuzz.runner import ACCEPTED
from tests.history.support import ADD_FAILED, DONE, GIVEN_UP, filled
from tests.update.support import domain, make_config, simple_map

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence

    from pyd2.control.http_later import Awaited
    from pyd2.control.http_pages import PageRequest, Source
    from tests.fuzz.runner import Input

_PATHS: Final = (b"hosts", b"hosts/", b"hosts/host.example.com.", b"failures", b"history", b"explain")
NAMES: Final = (b"q", b"limit", b"before", b"zone", b"server", b"fault", b"dns", b"Q", b"")
OF_EXPLAIN: Final = (b"name", b"address", b"name", b"address", b"mode", b"remove", b"")
VALUES: Final = (
    b"host", b"host.example.com.", b"192.0.2.10", b"192.0.2.0/24", b"2001:db8::/32", b"::/0", b"1/1/1", b"*",
    b"", b"%25", b"000101" + b"AA" * 20, b"NXRRSET", b"example.com.", b"1", b"500", b"501", b"0", b"-1",
    b"1e3", b"9" * 30, b"' OR 1=1 --", b"\xf4\x8f\xbf\xbf", b"\xed\x9f\xbf", b"\xc3\xa9", b"\xff", b"\x00",
    b"a" * 600, b"_%", b"host.example.com.\x00",
    b"true", b"no-check-with-dhcid", b"a..b", b"\\.", b"*.example.com.", b"fe80::1%lo", b"." * 300,
)  # fmt: skip


class ApiTarget:
    """An input is one target of a GET."""

    name = "api"

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        filled(Path(self._folder.name), [DONE, ADD_FAILED, GIVEN_UP])
        api = HistoryApi(_NoWorker(), lambda: self._folder.name)
        sources: dict[str, Source] = {
            "/api/v1/hosts": api.hosts,
            "/api/v1/hosts/*": api.host,
            "/api/v1/failures": api.failures,
            "/api/v1/history": api.history,
        }
        index = ConfigIndex(make_config(simple_map([domain("example.com.", 1)])))
        sources["/api/v1/explain"] = Explained(cast("Any", SimpleNamespace(index=lambda: index))).source
        guarded = {path: _guarded(source) for path, source in sources.items()}
        self._pages = HttpPages(guarded)

    def reset(self) -> None:
        """Begin anew: nothing is kept between inputs."""

    def close(self) -> None:
        """Leave nothing behind."""
        self._folder.cleanup()

    def make(self, rng: random.Random) -> Input:
        path = rng.choice(_PATHS)
        names = OF_EXPLAIN if path == b"explain" and rng.random() < 0.9 else NAMES
        target = b"/api/v1/" + path + b"?" * (rng.random() < 0.9) + any_query(rng, names)
        return (mutate_bytes(target, rng, VALUES) if rng.random() < 0.2 else target,)

    def run(self, data: Input) -> Iterator[str]:
        head = Head()
        head.feed(b"GET " + b"".join(data) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        if head.state is not HeadState.COMPLETE:
            yield "no request"
            return
        response = self._pages.respond(head, "read")
        if isinstance(response, Job):
            response = response.work()
        assert isinstance(response, Response)
        yield _judge(response)


def any_query(rng: random.Random, names: Sequence[bytes]) -> bytes:
    """Return the parameters of a request, with these names; most of them are quoted as they must be."""
    pairs = []
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3, 30])):
        value = rng.choice(VALUES) if rng.random() < 0.9 else any_bytes(rng)
        text = quote_from_bytes(value, safe="/:") if rng.random() < 0.9 else value.decode("latin-1")
        pairs.append(rng.choice(names).decode() + rng.choice(["=", "=", "=", ""]) + text)
    return rng.choice(["&", "&", "&", ";"]).join(pairs).encode("latin-1")


def _judge(response: Response) -> str:
    if not isinstance(response.body, tuple):
        assert response.status == 404
        return "no such page"
    answer: Any = json.loads(b"".join(response.body))
    if response.status == 200:
        found = answer.get("hosts", answer.get("events", []))
        assert len(found) <= min(MOST, 3)
        assert all(event["name"] == "host.example.com." for event in found)
        return ACCEPTED
    assert answer["error"]["code"] in {"bad-request", "not-found"}, answer
    assert response.status == {"bad-request": 400, "not-found": 404}[answer["error"]["code"]]
    return str(answer["error"]["text"]).partition("'")[0].partition(":")[0]


class _NoWorker:
    """The target carries the searches out."""

    def add(self, job: Job) -> bool:
        """Take nothing: no connection begins to wait."""
        raise AssertionError(job)


def _guarded(source: Source) -> Source:
    def get(request: PageRequest) -> Response | Awaited:
        try:
            return source(request)
        except ApiError as error:
            return error.response

    return get
