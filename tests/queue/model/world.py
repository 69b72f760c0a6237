"""A daemon's life with a durable queue, and the account of every request in it.

The law: each request that was taken ends done, or waits, or a message names the file that holds it. *Taken*
is what was handed to the engine while the queue said that it is durable, and what it held when it said that
it works again. Where the operator destroys what a queue holds (removes its WAL, cuts or damages its database)
the law asks less: a message must name the queue. What he moves away himself he knows of.
"""

from __future__ import annotations

import dataclasses
import errno
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.kit import ncr
from tests.queue.model.contents import Contents, read
from tests.queue.model.process import Child, Ended, HangsError, Server
from tests.queue.model.requests import Files, Message, Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.queue.model.faults import Act, Operation

TIMEOUT = 20.0
"""Seconds that something which must come may take on a loaded machine."""

CLIENTS: Final = 6
MOST: Final = 10_000

ROUTINE: Final = {"PYD2_QUEUE_OPENED", "PYD2_QUEUE_RESUMED", "PYD2_QUEUE_KEPT"}
"""Messages that tell of no loss."""


class Violation(AssertionError):  # noqa: N818  it is what is looked for
    """The law is broken; ``law`` says which part of it."""

    def __init__(self, law: str, text: str) -> None:
        super().__init__(f"{law}: {text}")
        self.law: Final = law


class World:
    """Two directories, at most one daemon, and the operator's hands."""

    def __init__(self, server: Server, base: Path) -> None:
        self._server = server
        self.base: Final = base
        self.directories: Final = (base / "a", base / "b")
        self.backup: Final = base / "backup"
        for path in (self.backup, base / "look-here"):
            path.mkdir(parents=True)
        self.kind = "durable"
        self.place = self.directories[0]
        self.in_use = self.place
        """The directory that the daemon uses; that of the configuration may be the next start's."""
        self.child: Child | None = None
        self.requests: dict[int, Request] = {}
        self.log: list[Message] = []
        self.left: dict[Path, int | None] = {}
        """Directories that were left: the number of messages before the reload; None: by a restart."""
        self.error = 0
        """What the disk fails with."""
        self.hanging = False
        self.meddled = False
        """Whether the operator has changed files since they held what waits."""
        self.kills = 0
        self.last_count = 0
        """Operations of the last process; and what they were, if they are kept."""
        self.keeps_operations = False
        self.trace: Path | None = None
        """Where the next process writes what it changes; then it is kept what it tells, too."""
        self.heard: list[dict[str, Any]] = []
        self.last_operations: list[Operation] = []
        self._next = 1
        self._processes = 0
        self._fresh()

    def _fresh(self) -> None:
        """Know nothing of a process: there is none, or a new one."""
        self.numbers: dict[int, int] = {}
        """Of requests that the present process has processed and that have not ended."""
        self._order: dict[int, int] = {}
        """The last request that it has processed, by client."""
        self._sent: set[int] = set()
        self._recovered: set[int] = set()
        self.failed = False
        self.accounted = False
        self.was_late = False

    # Processes.

    def start(self, at: int = 0, act: Act | None = None, error: int = errno.EIO) -> None:
        """Start a daemon; ``at`` and ``act``: what happens at one of its operations."""
        assert self.child is None
        self._fresh()
        self.meddled = False
        self._processes += 1
        self.child = self._server.start(self.directories, trace=self.trace)
        self.child.page.state(self.error)
        self.child.page.hang(self.hanging)
        if act is not None:
            self.child.page.act(at, act, error)
        self.was_late = bool(self.error or self.hanging)
        self.left.pop(self.place, None)
        self.in_use = self.place
        self.configure()

    def configure(self) -> bool:
        """Give the daemon its configuration, at its start or by a reload; return whether it lives then."""
        reply = self.call("configure", kind=self.kind, directory=str(self.place), most=MOST)
        if reply is not None and "refused" in reply:
            raise Violation("stuck", f"the configuration was refused: {reply['refused']}")
        return reply is not None

    def call(self, do: str, **arguments: Any) -> dict[str, Any] | None:
        """Have the daemon do something; None if it has died meanwhile."""
        assert self.child is not None
        try:
            reply = self.child.call(do, **arguments)
        except Ended:
            self.over()
            return None
        except HangsError as error:
            raise Violation("stuck", f"the updates' thread does not answer: {error}") from error
        self.hear()
        if reply.get("status"):
            self.in_use = self.used(reply)
        return reply

    def kill(self) -> None:
        """End the daemon at once."""
        if self.child is not None:
            self.child.kill()
            self.over()

    def stop(self) -> None:
        """End the daemon in order."""
        if self.child is not None:
            try:
                self.child.stop()
            except HangsError as error:
                raise Violation("stuck", f"the stop does not end: {error}") from error
            self.over(killed=False)

    def over(self, *, killed: bool = True) -> None:
        """Note that the process has ended."""
        self.hear()
        assert self.child is not None
        self.last_count = self.child.page.count
        if self.keeps_operations:
            self.last_operations = self.child.page.operations()
        self.child.page.close()
        self.child = None
        self.kills += killed
        for request in self.requests.values():
            if request.ended and not request.sealed and self.failed:
                request.loose = True
        self._fresh()

    # What the daemon tells.

    def hear(self) -> None:
        """Account for the events of the process."""
        assert self.child is not None
        events, self.child.events = self.child.events, []
        if self.trace is not None:
            self.heard += events
        for event in events:
            self._hear_one(event)

    def _hear_one(self, event: dict[str, Any]) -> None:
        getattr(self, f"_hear_{event['event']}")(event)

    def hear_again(self, events: Iterable[dict[str, Any]], upto: int, requests: Iterable[Request]) -> None:
        """Account for the events of a process up to an operation, as if they were of the present one."""
        self._processes += 1
        for request in requests:
            if request.which not in self.requests:
                self.requests[request.which] = Request(request.which, request.client, request.place)
                self._sent.add(request.which)
            known = self.requests[request.which]
            known.forms, known.every_form = list(request.every_form), list(request.every_form)
        for event in events:
            if event["at"] <= upto:
                self._hear_one(event)
        self._fresh()

    def _hear_log(self, event: dict[str, Any]) -> None:
        self.log.append(Message(event["id"], event["text"], self._processes))
        if event["id"] == "PYD2_QUEUE_FAILED":
            self.failed = True
        elif event["id"] in ("PYD2_QUEUE_RESUMED", "PYD2_QUEUE_OPENED"):
            self.failed = False
            for which in self.numbers:
                self.requests[which].taken = True
        elif event["id"] == "PYD2_QUEUE_LEFT_BEHIND":
            for request in self.requests.values():
                request.loose = True

    def _hear_ended(self, event: dict[str, Any]) -> None:
        for which in event["which"]:
            request = self.requests[which]
            request.ended, request.sealed, request.dead = True, False, which in event["dead"]
            self.numbers.pop(which, None)
            if self.failed:
                request.loose = True

    def _hear_out(self, event: dict[str, Any]) -> None:
        for number, fields in event["requests"]:
            request = self.requests.get(fields["lease-length"])
            if request is None or fields["fqdn"] != _name(request.client):
                raise Violation("mirror", f"processed and never sent: {fields}")
            self._carried_out(request, fields)
            if number:
                self.numbers[request.which] = number
            if event["durable"] and number:
                request.taken = True

    def _carried_out(self, request: Request, fields: dict[str, Any]) -> None:
        which, last = request.which, self._order.get(request.client, 0)
        if which in self.numbers and not request.loose:
            raise Violation("twice", f"request {which} begins twice in one process")
        if last > which and not request.loose and self.requests[last].place == request.place:
            raise Violation("order", f"request {which} is processed after {last} of the same client")
        self._order[request.client] = max(last, which)
        if which not in self._sent:
            self._recovered.add(which)
            request.overtaken_by = [
                new for new in self.requests.values()
                if new.client == request.client and new.which > which and new.ended and new.sealed
            ]
            if request.ended and request.sealed and not request.loose:
                raise Violation("twice", f"request {which} was done and removed, and is processed again")
            form = (fields["forward-change"], fields["reverse-change"])
            if form not in (request.every_form if request.loose else request.forms):
                raise Violation("amend", f"request {which} comes back as {form}, and was {request.forms}")
            request.forms = [form]
        request.ended = request.sealed = request.dead = False
        request.handed += 1

    # Waiting for the file.

    @property
    def usable(self) -> bool:
        """Whether nothing keeps the queue from working."""
        return not self.error and not self.hanging

    @staticmethod
    def deadline() -> float:
        """Return the monotonic second until which something that must come may take."""
        return time.monotonic() + TIMEOUT

    def settle(self) -> None:
        """Wait until all is processed and, if nothing prevents that, the file holds just what waits."""
        end = self.deadline()
        reply = self.call("look")
        while reply is not None:
            try:
                if self._settled(reply):
                    return
            except Violation as violation:
                # The file may have changed a moment ago, and the message about it be on its way.
                if violation.law != "lost" or time.monotonic() > end:
                    raise
            if time.monotonic() > end:
                raise Violation("stuck", self._why(reply))
            time.sleep(0.002)
            reply = self.call("look")

    def _settled(self, reply: dict[str, Any]) -> bool:
        if reply["busy"]:
            return False
        if not self.usable or self.kind != "durable":
            return True
        if not reply["durable"] or reply["status"] is None or self.failed:
            return False
        if reply["status"]["state"] != "in use":
            return False
        if self.meddled and not self.numbers and not self.left and self.accounted:
            return True  # an empty queue is looked for in its place when the next request comes
        contents = read(self.used(reply), dead=not self.accounted)
        self.hear()
        if {which: _form(fields) for which, fields in contents.waiting.items()} != self._expected():
            return False
        self._is_on_disk(self.used(reply), contents)
        return True

    def used(self, reply: dict[str, Any]) -> Path:
        """Return the directory that the daemon uses."""
        return next(path for path in self.directories if Path(reply["status"]["file"]).is_relative_to(path))

    def _expected(self) -> dict[int, tuple[bool, bool]]:
        return {which: self.requests[which].forms[-1] for which in self.numbers}

    def _is_on_disk(self, place: Path, contents: Contents) -> None:
        # With nothing that waits the daemon has not looked, whatever lies there.
        self.meddled = self.meddled and not self.numbers
        if not self.accounted:
            self.account(place, contents)
            self.accounted = True
        for request in self.requests.values():
            if request.which in self.numbers:
                request.place, request.destroyed, request.reported = place, None, False
                request.forms = request.forms[-1:]
            elif request.ended and request.place == place:
                request.sealed = True

    def _why(self, reply: dict[str, Any]) -> str:
        text = f"after {TIMEOUT:g} s {reply}, and {len(self.numbers)} wait"
        if reply["status"] is not None:
            contents = read(self.used(reply))
            missing = sorted(self._expected().keys() - contents.waiting.keys())
            more = sorted(contents.waiting.keys() - self._expected().keys())
            text += f"; not in the file: {missing}; in it, and do not wait: {more}; {contents.complaint}"
        return text + f"; {[message.text for message in self.log[-3:]]}"

    # The law.

    def account(self, place: Path, contents: Contents) -> None:
        """See what became of all requests of the time before, when a process has read its file."""
        waits = self._recovered | self.numbers.keys()
        files = Files(self.base, self.named())
        for request in self.requests.values():
            if not request.taken or request.reported or request.which in self._sent:
                continue
            if request.which in waits:
                continue
            if request.which in contents.dead:
                request.ended = request.dead = True
            elif not request.ended or request.dead:
                self._seek(request, place, files)
        for request in list(self.requests.values()):
            self._look_at_order(request)

    def _look_at_order(self, old: Request) -> None:
        if old.which not in self._recovered or old.loose or old.handed < 2:
            return
        for new in old.overtaken_by:
            if new.place == old.place and new.sealed and new.ended and not new.dead and not new.loose \
                    and new.taken:
                raise Violation("order", f"request {old.which} begins again, and {new.which} is done")

    def _seek(self, request: Request, place: Path, files: Files) -> None:
        """Find a request that neither waits nor is done."""
        for path in files.named:
            if request.which in files.in_one(path):
                request.reported = True
                sound = request.destroyed is None and not request.loose
                if sound and not request.dead and self.was_late and not self._superseded(request):
                    text = f"request {request.which} does not go on, and its file {path} was sound"
                    raise Violation("stays", text)
                return
        if request.destroyed is not None and self._complained(request.destroyed, request.place):
            request.reported = True
            return
        if request.destroyed is not None and request.place != place and request.place in self.left:
            return  # it is reported when that directory is used again
        found = files.holding(request.which)
        if place != self.place and any(path.is_relative_to(self.place) for path in found):
            return  # the operator has put it where the next start reads it
        if any(path.is_relative_to(self.backup) for path in found):
            request.loose = True
            return
        for directory, since in self.left.items():
            if directory != place and any(path.is_relative_to(directory) for path in found) and \
                    (since is None or self._complained(since, directory)):
                return
        where = ", ".join(map(str, sorted(found))) or "no file"
        known = dataclasses.replace(request)
        raise Violation("lost", f"request {request.which} is in {where}, and no message says so: {known}")

    def _superseded(self, request: Request) -> bool:
        return any(new.client == request.client and new.which > request.which and new.handed
                   for new in self.requests.values())

    def named(self) -> list[Path]:
        """Return the files and folders that messages name and that are there, but for the queues in use."""
        found: dict[Path, None] = {}
        for message in self.log:
            if message.id not in ROUTINE:
                for word in re.findall(rf"{re.escape(str(self.base))}/[^\s;,:()'\"]+", message.text):
                    path = Path(word.rstrip("."))
                    if path.parent != self.base and "aside" in word and path.exists():
                        found[path] = None
        return list(found)

    def _complained(self, since: int, directory: Path) -> bool:
        later = self.log[since:]
        return any(message.id not in ROUTINE and str(directory) in message.text for message in later)

    # Requests.

    def take(self, clients: Sequence[int]) -> None:
        """Send requests of these clients."""
        datagrams = []
        for client in clients:
            request = Request(self._next, client, self.in_use)
            self._next += 1
            self.requests[request.which] = request
            self._sent.add(request.which)
            fields = ncr.request(_name(client), f"192.0.2.{client + 1}", _DHCIDS[client], ttl=request.which)
            datagrams.append(ncr.datagram(fields).decode("latin-1"))
        self.call("take", datagrams=datagrams)

    def done(self, some: Iterable[int], *, dead: bool = False) -> None:
        """End the oldest request of each of these clients that has one."""
        oldest: dict[int, int] = {}
        for which in sorted(self.numbers):
            oldest.setdefault(self.requests[which].client, which)
        which_ones = [oldest[client] for client in dict.fromkeys(some) if client in oldest]
        if which_ones:
            self.call("done", which=which_ones, dead=which_ones if dead else [])

    def amend(self, some: Iterable[int]) -> None:
        """Have the forward change of some requests made, or the reverse one."""
        changes = []
        for which in sorted(self.numbers):
            request = self.requests[which]
            if request.client in some and request.forms[-1] == (True, True):
                request.forms.append((which % 2 == 0, which % 2 == 1))
                request.every_form.append(request.forms[-1])
                changes.append((which, *request.forms[-1]))
        if changes:
            self.call("amend", changes=changes)


def _name(client: int) -> str:
    return f"host-{client}.example."


def _form(fields: dict[str, Any]) -> tuple[bool, bool]:
    return fields["forward-change"], fields["reverse-change"]


_DHCIDS: Final = [ncr.dhcid(b"\0\1%d" % client, _name(client)) for client in range(200)]
