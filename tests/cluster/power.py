"""Power cuts of all servers under load: ``python -m tests.cluster power --count 10``.

The store of each server is a file system of its own in a file. At the cut that file is copied as it is,
without what the kernel had not written to it yet, and the server starts from the copy.
"""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING, Final

from tests.cluster.apart import apart_site
from tests.cluster.lan import run
from tests.cluster.load import Load, finish, wait_while_busy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.apart import ApartSite

_IMAGE: Final = "512M"


def power(
    binary: str, count: int, rate: float, seed: int, seconds: float, lease: float, grace: float, sync: str
) -> bool:
    """Cut the power so often, for so long at most; print what came of it and return whether all is well.

    With ``sync`` other than ``always`` requests that were acknowledged may be lost, but none that was sent
    when the servers were there again.
    """
    with apart_site(binary, lease=lease, grace=grace, sync=sync, disk=_mount_image) as site, \
            Load(site.machines, 0, seed) as load:
        chance = random.Random(seed)
        site.start()
        os.sync()  # else the streams themselves would be lost, which were made a moment ago
        load.rate = rate
        skipped = after = cuts = 0
        end = time.monotonic() + seconds
        while cuts < count and time.monotonic() < end:
            time.sleep(chance.uniform(5, 10))
            _cut(site)
            site.until_well()
            first = load.last
            time.sleep(chance.uniform(3, 5))
            load.rate = 0
            last = load.last
            wait_while_busy(site, lambda: _done(site, first, last) == last - first)  # noqa: B023  done in it
            after, skipped = after + last - first, skipped + last - first - _done(site, first, last)
            load.rate = rate
            cuts += 1
            print(f"{cuts:4} power cut, {last} requests so far", flush=True)
        outcome = finish(site, load)
        logs = "".join(path.read_text() for machine in site.machines for path in machine.logs())
    print(f"sync_interval {sync}: {cuts} power cuts of all servers at {rate:g} requests a second: "
          f"{outcome}; {skipped} of {after} requests skipped that came when the servers were there again; "
          f"PYD2_CLUSTER_STREAM_LOST {logs.count('PYD2_CLUSTER_STREAM_LOST')} times")
    return not skipped and (outcome.good or sync != "always")


def _done(site: ApartSite, first: int, last: int) -> int:
    """Return how many of the requests behind one version and up to another one were carried out."""
    return len({update.version for update in site.updates if update.done and first < update.version <= last})


def _image(directory: Path) -> Path:
    return directory.with_name(f"{directory.name}.image")


def _mount_image(directory: Path) -> None:
    """Make a file system in a file, and mount it on a directory."""
    image = _image(directory)
    run("truncate", "-s", _IMAGE, str(image))
    run("mkfs.ext4", "-q", str(image))
    run("mount", "-o", "loop", str(image), str(directory))


def _cut(site: ApartSite) -> None:
    """Cut the power of all servers, and start them again."""
    for server in site.servers:
        server.process.send_signal(signal.SIGSTOP)
    for server in site.servers:
        image = _image(server.store.parent)
        run("cp", "--sparse=always", str(image), f"{image}.cut")
    for server in site.servers:
        directory = server.store.parent
        image = _image(directory)
        server.process.kill()
        run("umount", str(directory))
        image.with_name(f"{image.name}.cut").rename(image)
        run("mount", "-o", "loop", str(image), str(directory))
    for server in site.servers:
        server.start()
