"""``pyd2ctl queue detach nats:SITE``: what it costs when a machine leaves the servers of its queue.

It changes nothing. While the servers answer, all that waits there is to be worked off first, and it says so.
Else what only they had is lost unless they come back; what is on this machine's disk is kept.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from pyd2.queue.choice import offline_stores
from pyd2.queue.nats.errors import NatsError
from pyd2.queue.shared.interface import SharedQueueError
from pyd2.queue.shared.record import RecordError
from pyd2.tools.cluster.contents import Contents, Waiting, within
from pyd2.tools.cluster.reach import read_config

if TYPE_CHECKING:
    import argparse

_TRIES: Final = 2
"""How often the servers are asked: a busy one may refuse once, and then what it has would seem to be lost."""
_LOST: Final = """\
lost:    what the servers had acknowledged and no node had done. If they come back after all, their
         requests are older than what is done until then, and would undo it: make the streams again
to do:   set "type" to "durable" in the block "queue" of each machine and restart its daemon; then
         'pyd2ctl reconcile' finds the names that are wrong"""


def run(arguments: argparse.Namespace) -> int:
    """Print what it costs; exit status 1 if requests wait where the servers answer.

    Raises ConfigError, ValueError and StoreError.
    """
    fault = ""
    for _ in range(_TRIES):
        try:
            waiting = within(arguments, Contents.waiting)
        except (NatsError, SharedQueueError, RecordError) as error:
            fault = str(error)
        else:
            return _print_answer(waiting)
    directory = read_config(arguments, arguments.config).switches.queue.directory
    print(f"the queue cannot be read: {fault}")
    entries, unreadable = offline_stores().read(directory, dead=False)
    if unreadable is not None:
        print(f"{unreadable}; what can be read counts")
    print(f"kept:    {_counted(len(entries))} on the disk of this machine ({directory})")
    if entries:
        print(f"         the oldest came {time.time() - entries[0].taken:.0f} seconds ago")
    print(_LOST)
    return 0


def _print_answer(waiting: Waiting) -> int:
    record = waiting.record
    owner = f"owned by {record.node}" if record.node else "owned by no node"
    print(f"the servers answer; the queue is {owner}, and {_counted(waiting.requests)} there")
    if waiting.requests:
        print("WRONG: they would be lost. Start a daemon that works them off, or write them to a file by\n"
              "'pyd2ctl queue export', which 'pyd2ctl send --file' sends to another daemon")
    else:
        print("nothing is lost when the daemons are stopped now, and started with another type of queue")
    return 1 if waiting.requests else 0


def _counted(count: int) -> str:
    return f"{count} request{' waits' if count == 1 else 's wait'}"
