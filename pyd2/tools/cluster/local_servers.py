"""Three servers of NATS on this machine, with the empty queue of a site: what the demo runs on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Final

from pyd2.config.nats.servers import Server
from pyd2.queue.nats.connection import Client, connect
from pyd2.queue.nats.errors import NatsError
from pyd2.queue.nats.jetstream import JetStream
from pyd2.queue.nats.site import Site, create_streams
from pyd2.tools.daemon_process import DaemonError
from pyd2.tools.ports import free_ports

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator
    from pathlib import Path

COUNT: Final = 3
_ATTEMPTS: Final = 4
_FORMING: Final = 20.0
"""Seconds within which a cluster has to have its streams; three servers on a busy machine take 5."""


@contextlib.asynccontextmanager
async def queue_of_three(directory: Path, site: str) -> AsyncIterator[list[Server]]:
    """Run a cluster of three servers that has the streams of a site.

    Another program may take a port between its choice and the start of a server. That server ends, and two
    of three refuse the streams for good; so a cluster that does not form is started again on other ports.
    Raises DaemonError if none forms, or if there is no such program.
    """
    program = shutil.which("nats-server", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/bin")
    if program is None:
        raise DaemonError("nats-server is not installed (Debian: apt install nats-server)")
    for attempt in range(1, _ATTEMPTS + 1):
        own = directory / f"nats{attempt}"
        own.mkdir()
        async with _cluster(program, own) as (servers, processes):
            try:
                await _make_streams(servers[0], site, processes)
            except DaemonError as error:
                print(f"the three servers of NATS form no cluster: {error}", flush=True)
                continue
            yield servers
            return
    raise DaemonError(f"no cluster of NATS servers formed in {_ATTEMPTS} attempts")


@contextlib.asynccontextmanager
async def _cluster(program: str, directory: Path) -> AsyncIterator[tuple[list[Server], list[Process]]]:
    """Start three servers that know each other; kill them at the end."""
    ports = free_ports(2 * COUNT)
    servers = [Server("127.0.0.1", port, tls=False) for port in ports[:COUNT]]
    routes = ports[COUNT:]
    urls = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
    processes: list[Process] = []
    try:
        for number, (server, route) in enumerate(zip(servers, routes, strict=True)):
            file = directory / f"{number}.conf"
            file.write_text(
                f'server_name: s{number}\nlisten: "127.0.0.1:{server.port}"\n'
                f'jetstream {{ store_dir: "{directory}/{number}", max_file: 4GB, sync_interval: always }}\n'
                f'cluster {{ name: demo, listen: "127.0.0.1:{route}", routes: [{urls}] }}\n'
            )
            processes.append(await asyncio.create_subprocess_exec(
                program, "-c", str(file), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ))  # fmt: skip
        yield servers, processes
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _make_streams(server: Server, site: str, processes: list[Process]) -> None:
    """Make the streams as soon as the cluster does. Raises DaemonError if it does not, or a server ends."""
    end = time.monotonic() + _FORMING
    while True:
        try:
            connection = await connect(Client("pyd2ctl", "pyd2.inbox.demo"), server)
            try:
                await create_streams(JetStream(connection), Site(site), COUNT)
            finally:
                connection.end("the queue is made")
        except NatsError as error:
            ended = [process.returncode for process in processes if process.returncode is not None]
            if ended:
                raise DaemonError(f"a nats-server has ended with status {ended[0]}") from error
            if time.monotonic() > end:
                raise DaemonError(str(error)) from error
            await asyncio.sleep(0.2)
        else:
            return
