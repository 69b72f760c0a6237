"""The steps of the model: what DHCP servers, the engine, the disk and the operator do, by name."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.queue.model.contents import SUFFIXES, databases, files
from tests.queue.model.faults import Act
from tests.queue.model.process import Ended
from tests.queue.model.world import MOST, Violation, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.queue.model.requests import Request

ERRORS: Final = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES)

FOREIGN: Final = 100
"""Clients of another daemon's queue have numbers from here."""


class Steps(World):
    """A world in which each step is a method; ``play`` does one by name and keeps account."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.script: list[tuple[str, list[Any]]] = []
        """What was done, to be done again."""
        self.seconds: dict[str, float] = defaultdict(float)
        """What each kind of step has cost."""
        self.copies: list[tuple[Path, Path]] = []
        """The operator's copies of directories, and of which."""
        self._moved: dict[Path, Path] = {}
        """Where he has moved directories."""
        self._backups = 0

    def play(self, name: str, *arguments: Any) -> None:
        """Do a step. Raises Violation."""
        self.script.append((name, list(arguments)))
        method: Callable[..., None] = getattr(self, name)
        began = time.monotonic()
        try:
            method(*arguments)
        finally:
            self.seconds[name] += time.monotonic() - began

    # The daemon's life.

    def begin(self) -> None:
        """Start the daemon, and look what became of all requests."""
        self.start()
        if self.child is not None:
            self.settle()

    def begin_and_die(self, at: int, act: int) -> None:
        """Start the daemon; at one of its first operations something happens."""
        self.start(at, Act(act))
        if self.child is not None:
            self.settle()

    def go_elsewhere(self) -> None:
        """Name the other directory while no daemon runs."""
        self.left[self.place] = None
        self._swap()

    def _swap(self) -> None:
        self.place = next(path for path in self.directories if path != self.place)

    def reload_elsewhere(self) -> None:
        """Name the other directory while the daemon runs."""
        reply = self.call("look")
        if reply is None:
            return
        before, since = self.place, len(self.log)
        self._swap()
        self.left.pop(self.place, None)
        # What the operator has put into one that is not in use yet he knows of, and of a retired one
        # the daemon has reported it. A daemon that has died first did not know of the other directory.
        was_used = self.kind == "durable" and reply["status"] is not None and self.in_use == before
        self.left[before] = since if self.configure() and was_used else None

    def reload_kind(self) -> None:
        """Change between the durable queue and none."""
        self.kind = "memory" if self.kind == "durable" else "durable"
        self.accounted = self.accounted and self.kind == "memory"
        self.configure()

    def crash(self) -> None:
        """Kill the daemon now."""
        self.kill()

    def end(self) -> None:
        """Stop the daemon in order."""
        self.stop()

    def wait(self) -> None:
        """Let time pass, in which the daemon looks for its files and tries again: nothing is waited for."""
        time.sleep(0.05)

    def crash_at(self, after: int, act: int) -> None:
        """Let something happen at an operation to come."""
        assert self.child is not None
        self.child.page.act(self.child.page.count + after, Act(act), ERRORS[after % 2])

    def second(self) -> None:
        """Start another daemon with the same directory: it must be refused."""
        if not self.usable or self.kind != "durable":
            return
        self.settle()
        reply = self.call("look") if self.child is not None else None
        if reply is None or self.meddled:  # an idle daemon does not look whether its directory was moved
            return
        place = self.used(reply)
        if not self._has_open(place):  # put back a moment ago: the daemon has not looked yet
            return
        other = self._server.start(self.directories)
        try:
            reply = other.call("configure", kind="durable", directory=str(place), most=MOST)
            end = self.deadline()
            # On a loaded machine it may not learn of the lock in time to refuse the configuration, as with a
            # disk that hangs; it must not use the queue then.
            while "refused" not in reply and "in use by" not in reply["status"]["state"]:
                if reply["status"]["state"] == "in use" or time.monotonic() > end:
                    raise Violation("two", f"a second daemon uses {place}: {reply}")
                time.sleep(0.002)
                reply = other.call("look")
        except Ended:
            return
        finally:
            other.kill()
            other.page.close()

    def _has_open(self, place: Path) -> bool:
        """Return whether the daemon has the file open that lies in a directory now."""
        if self.child is None:
            return False
        opened = []
        for descriptor in Path(f"/proc/{self.child.pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                opened.append(descriptor.stat())
        return any(os.path.samestat(path.stat(), seen) for path in databases(place) for seen in opened)

    def bury(self, some: Iterable[int]) -> None:
        """End the oldest requests of these clients as dead letters."""
        self.done(some, dead=True)

    # The disk.

    def sicken(self, which: int) -> None:
        """Let the disk be full, broken, read-only or forbidden."""
        self.error = ERRORS[which]
        if self.child is not None:
            self.child.page.state(self.error)

    def mend(self) -> None:
        """Let the disk work."""
        self.error, self.hanging = 0, False
        if self.child is not None:
            self.child.page.state(0)
            self.child.page.hang(False)

    def hang(self) -> None:
        """Let the disk not answer."""
        self.hanging = True
        if self.child is not None:
            self.child.page.hang(True)

    # The operator.

    def _older(self) -> None:
        """Note that what is done may come back."""
        self.meddled = True
        for request in self.requests.values():
            request.loose = True

    def _destroyed(self) -> None:
        self._older()
        for request in self._here():
            if request.destroyed is None:
                request.destroyed = len(self.log)

    def delete_wal(self) -> None:
        """Remove the WAL."""
        for path in databases(self.place):
            self._destroyed()
            for suffix in ("-wal", "-journal"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)

    def truncate(self, size: int) -> None:
        """Cut the database."""
        for path in databases(self.place):
            self._destroyed()
            with contextlib.suppress(FileNotFoundError):  # the daemon has set it aside meanwhile
                os.truncate(path, min(size, path.stat().st_size))

    def flip(self, where: float, bit: int, wal: bool) -> None:
        """Flip a bit in the database or its WAL, while no daemon uses it."""
        for database in databases(self.place):
            path = database.with_name(database.name + "-wal") if wal else database
            if path.exists() and path.stat().st_size:
                self._destroyed()
                with path.open("r+b") as file:
                    at = int(where * path.stat().st_size)
                    file.seek(at)
                    octet = file.read(1)[0]
                    file.seek(at)
                    file.write(bytes([octet ^ 1 << bit]))

    def spoil(self, which: int, bit: int) -> None:
        """Flip a bit of a request, in the database or its WAL, while no daemon uses it."""
        for database in databases(self.place):
            for path in (database, database.with_name(database.name + "-wal")):
                octets = bytearray(path.read_bytes() if path.exists() else b"")
                places = [found.start() for found in re.finditer(rb'"dhcid"', octets)]
                if places:
                    self._destroyed()
                    octets[places[which % len(places)]] ^= 1 << bit
                    path.write_bytes(octets)
                    return

    def delete_small_files(self) -> None:
        """Remove what is neither the database nor SQLite's: a lock that "is in the way", or a note."""
        ours = {str(path) for path in databases(self.place)}
        for path in files(self.place):
            if path.is_file() and str(path) not in ours and not path.name.endswith(SUFFIXES) \
                    and "aside" not in str(path):
                path.unlink(missing_ok=True)

    def move_away(self) -> None:
        """Move the directory to another place."""
        if self.place.exists() and self.place not in self._moved:
            self._takes_away()
            self._moved[self.place] = self._backup()
            self.place.rename(self._moved[self.place])

    def put_back(self) -> None:
        """Put a directory that was moved away into its place again."""
        moved = self._moved.pop(self.place, None)
        if moved is not None:
            self._older()
            self._clear()
            moved.rename(self.place)

    def copy(self) -> None:
        """Copy the directory, as a backup does."""
        if self.place.exists() and len(self.copies) < 3:
            target = self._backup()
            try:
                shutil.copytree(self.place, target)
            except (OSError, shutil.Error):  # it changes meanwhile
                return
            self.copies.append((target, self.place))

    def place_copy(self, which: int) -> None:
        """Put a copy into the place of the directory."""
        if self.copies:
            self._older()
            again = self._backup()
            shutil.copytree(self.copies[which % len(self.copies)][0], again)
            self._clear()  # a daemon makes the directory again, and must not find half a copy
            again.rename(self.place)

    def place_foreign(self, count: int) -> None:
        """Put the queue of another daemon into the place of the directory."""
        self._older()
        self._clear()
        spare, child = World(self._server, self._backup() / "other"), self.child
        spare._next = self._next
        spare.start()
        spare.take([FOREIGN + n for n in range(count)])
        spare.settle()
        spare.kill()
        self._next = spare._next
        self.log += spare.log
        for request in spare.requests.values():
            request.place, request.loose = self.place, False
            self.requests[request.which] = request
        assert self.child is child
        if self.place.exists():  # the daemon has made it again meanwhile
            self._clear()
        spare.directories[0].rename(self.place)

    def lose_power(self, cut: Callable[[Path], None]) -> None:
        """Have below the directories what the disk held when the power was cut."""
        assert self.child is None
        for directory in self.directories:
            shutil.rmtree(directory, ignore_errors=True)
        cut(self.base)

    def _takes_away(self) -> None:
        """Note that he takes away what he has destroyed, before or after a daemon sees it."""
        self._older()
        for request in self._here():
            request.reported = request.reported or request.destroyed is not None

    def _here(self) -> list[Request]:
        """Return the requests of the directory at which he is: he destroys nothing in the other one."""
        return [request for request in self.requests.values() if request.place == self.place]

    def _backup(self) -> Path:
        self._backups += 1
        return self.backup / f"{self._backups}"

    def _clear(self) -> None:
        """Move what is in the directory's place away."""
        if self.place.exists():
            self._takes_away()
            self.place.rename(self._backup())


def replay(world: Steps, script: Iterable[tuple[str, list[Any]]]) -> None:
    """Do the steps of a script that can be done. Raises Violation."""
    for name, arguments in script:
        if can(world, name):
            world.play(name, *arguments)
    finish(world)


def finish(world: Steps) -> None:
    """End in order and begin once more on a disk that works, with the directory of the last configuration."""
    world.script.append(("finish", []))
    world.mend()
    world.kill()
    if world.kind == "memory":
        world.kind = "durable"
    world.begin()


LEFT_OUT: Final[set[str]] = set()
"""Steps that are not done in this run."""

RUNNING: Final = {"reload_elsewhere", "reload_kind", "crash", "end", "crash_at", "second", "take", "done",
                  "bury", "amend", "settle"}
STOPPED: Final = {"begin", "begin_and_die", "go_elsewhere", "flip", "spoil"}


def can(world: World, name: str) -> bool:
    """Whether a step makes sense now."""
    if name == "finish" or name in LEFT_OUT:
        return False
    return not (name in RUNNING and world.child is None) and not (name in STOPPED and world.child is not None)
