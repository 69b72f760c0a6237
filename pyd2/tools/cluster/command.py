"""Makes the streams of a site's queue, and says how they are. A configuration names servers and site."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from pyd2.data.counted import counted
from pyd2.queue.nats.connection import connect
from pyd2.queue.nats.errors import ApiError, ConnectError, NatsError, NoAnswerError
from pyd2.queue.nats.jetstream import API_SECONDS, JetStream
from pyd2.queue.nats.site import Site, SiteQueue, create_streams
from pyd2.queue.shared.interface import SharedQueueError
from pyd2.queue.shared.record import RecordError
from pyd2.tools.cluster.reach import connect_to_any, make_client, read_nats

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pyd2.config.nats.switches import NatsSwitches
    from pyd2.queue.nats.connection import Client, Connection

CREATE_SECONDS: Final = 60.0
"""How long streams are tried to be made: a fresh cluster may refuse them for some 20 seconds."""

_PAUSE: Final = 1.0
_LASTING: Final = frozenset({10058, 10074})
"""Refusals that no second try changes: the stream is there and differs, or the servers are no cluster."""
_FULL_PART: Final = 0.75
"""A stream that has so much of what it may have is worth a word."""
_REPLICAS: Final = 3
_LEAST_RELEASE: Final = (2, 10, 23)
"""Releases 2.10.20 to 2.10.22 of the server lose streams when they are killed."""


def create(arguments: argparse.Namespace) -> int:
    """Make the streams; exit status 1 if that cannot be done."""
    nats = read_nats(arguments, arguments.config)
    return asyncio.run(_create(nats, make_client(nats, arguments), arguments.replicas))


def check(arguments: argparse.Namespace) -> int:
    """Print how the queue is; exit status 1 if something is wrong."""
    nats = read_nats(arguments, arguments.config)
    return asyncio.run(_check(nats, make_client(nats, arguments)))


async def _create(nats: NatsSwitches, client: Client, replicas: int) -> int:
    connection = await connect_to_any(nats, client)
    site, jetstream = Site(nats.site), JetStream(connection)
    try:
        end, said = time.monotonic() + CREATE_SECONDS, ""
        while True:
            try:
                await create_streams(jetstream, site, replicas)
                break
            except (ApiError, NoAnswerError) as error:
                lasting = isinstance(error, ApiError) and error.number in _LASTING
                if lasting or time.monotonic() > end:
                    raise
                if str(error) != said:
                    said = str(error)
                    print(f"not yet: {said}", file=sys.stderr)
            await asyncio.sleep(_PAUSE)
        for stream in site.streams:
            print(f"{stream}: {_where(await _info(connection, stream))}")
    finally:
        connection.end("pyd2ctl is done")
    return 0


async def _check(nats: NatsSwitches, client: Client) -> int:
    problems: list[str] = []
    site = Site(nats.site)
    for server in nats.servers:
        try:
            connection = await connect(client, server)
        except ConnectError as error:
            problems.append(str(error))
            continue
        release = str(connection.info.get("version", ""))
        print(f"{server}: nats-server {release}")
        if _numbers(release) < _LEAST_RELEASE:
            problems.append(f"{server}: nats-server {release} may lose streams: use 2.10.23 or later")
        connection.end("pyd2ctl is done")
    connection = await connect_to_any(nats, client)
    try:
        silent = 0.0
        for stream in site.streams:
            info = await _info(connection, stream)
            print(f"{stream}: {_where(info)}, {info['state']['messages']} messages")
            problems += _problems(stream, info)
            silent = _silent(info) if stream == site.owner else silent
        _, record = await SiteQueue(JetStream(connection), site).record()
        owner = f"owned by {record.node}" if record.node else "owned by no node"
        print(f"queue of {site.name}: {owner}, epoch {record.epoch}, done up to batch {record.floor}")
        if not record.node:
            problems.append(f"no node owns the queue of {site.name}: no updates are made. Start a daemon")
        elif silent > nats.lease + nats.pause:
            problems.append(f"{record.node} owns the queue of {site.name} and has not renewed its lease for "
                            f"{silent:.0f} seconds, and no other node has claimed it: no updates are made. "
                            "Start a daemon")
    except (NatsError, SharedQueueError, RecordError) as error:
        problems.append(str(error))
    finally:
        connection.end("pyd2ctl is done")
    for problem in problems:
        print(f"WRONG: {problem}")
    return 1 if problems else 0


async def _info(connection: Connection, stream: str) -> dict[str, Any]:
    """Return what JetStream says of a stream. Raises NatsError."""
    message = await connection.request(f"$JS.API.STREAM.INFO.{stream}", seconds=API_SECONDS)
    info = orjson.loads(message.payload)
    if "error" in info:
        raise NatsError(f"{stream}: {info['error'].get('description')}: make it by 'pyd2ctl queue create'")
    found: dict[str, Any] = info
    return found


def _silent(info: dict[str, Any]) -> float:
    """Return for how many seconds nothing was written to a stream, by the clocks of the servers."""
    now, last = (datetime.fromisoformat(text) for text in (info["ts"], info["state"]["last_ts"]))
    return (now - last).total_seconds()


def _where(info: dict[str, Any]) -> str:
    cluster = info.get("cluster", {})
    names = [cluster.get("leader"), *(replica["name"] for replica in cluster.get("replicas", ()))]
    count = info["config"]["num_replicas"]
    return f"{counted(count, 'replica')} on {', '.join(filter(None, names))}"


def _has_leader(info: dict[str, Any]) -> bool:
    """Whether the servers of a stream have a leader; a server that is no part of a cluster needs none."""
    return "cluster" not in info or bool(info["cluster"].get("leader"))


def _problems(stream: str, info: dict[str, Any]) -> Iterator[str]:
    if info["config"]["num_replicas"] < _REPLICAS:
        yield f"{stream} has fewer than three replicas: a server that is gone stops the queue, or loses it"
    used, most = info["state"]["bytes"], info["config"].get("max_bytes", -1)
    if most > 0 and used >= _FULL_PART * most:
        yield (f"{stream} has {used >> 20} of {most >> 20} MiB, and takes no requests when it is full: the "
               "log of the owner says whether a DNS server does not answer, or what is done is not removed")
    if not _has_leader(info):
        yield f"{stream} has no leader: too few of its servers are there, or they are just choosing one"
        return
    for replica in info.get("cluster", {}).get("replicas", ()):
        if replica.get("offline"):
            yield f"{stream}: server {replica['name']} is not there"
        elif not replica.get("current"):
            yield f"{stream}: server {replica['name']} lags behind"


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"[0-9]+", release)[:3]))
