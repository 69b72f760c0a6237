"""Log messages: what one is, where it goes, and the messages that only pyd2 has.

Kea's messages are part of its interface: log parsers and operators know their IDs and texts. They belong to
the profile of a Kea release (``pyd2.profiles``). The messages here are the same for every release; their IDs
begin with ``PYD2_``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from typing import Any


class ShowMany(Protocol):
    """Returns a text for each request: ``before``, its ID, ``between``, its fields, ``after``."""

    def __call__(self, requests: Sequence[Any], before: str, between: str, after: str) -> list[str]:
        """See the class; all requests are of one class."""


class LoggedRequest(Protocol):
    """A request as a message shows it."""

    @property
    def request_id(self) -> str:
        """Its DHCID in hexadecimal digits."""

    @property
    def show_many(self) -> ShowMany | None:
        """Makes a text for each of many such requests at once; None: each is shown on its own."""

    def text(self) -> str:
        """Its fields, in several lines."""


class Log(Protocol):
    """Where messages go. Everything that logs gets one of these passed in.

    On a hot path, check ``message_id in log.on`` before building arguments; elsewhere just call ``emit``.
    """

    @property
    def on(self) -> AbstractSet[str]:
        """The IDs whose messages are written under the present configuration."""

    def emit(self, message_id: str, *arguments: object) -> None:
        """Write the message with %1, %2, ... replaced; nothing happens when the ID is not in ``on``."""


class RequestLog(Log, Protocol):
    """The log of the engine, which writes many messages about requests."""

    def emit_requests(self, message_id: str, requests: Iterable[LoggedRequest]) -> None:
        """Write a message for each request: its two arguments are the request's ID and its text.

        Check first that the ID is in ``on``.
        """
        for request in requests:
            self.emit(message_id, request.request_id, request.text())


class Severity(IntEnum):
    """Kea's severities, in their order."""

    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4
    FATAL = 5
    NONE = 6
    """Only as the severity of a logger, which then writes nothing."""


ROOT_LOGGER: Final = "kea-dhcp-ddns"
"""The root logger. The full name of every other logger begins with it and a dot."""


class Message(NamedTuple):
    """An entry of the catalogue."""

    message_id: str
    logger: str
    """The logger's full name, such as ``kea-dhcp-ddns.dctl``."""
    severity: Severity
    debuglevel: int
    """0 to 99; the ``debuglevel`` from which a DEBUG message is written. 0 for the other severities."""
    text: str
    """The text after the ID; ``%1``, ``%2``, ... stand for the arguments."""


_SEVERITIES: Final = {
    "D": Severity.DEBUG, "I": Severity.INFO, "W": Severity.WARN, "E": Severity.ERROR, "F": Severity.FATAL,
}


def read_table(table: str) -> dict[str, Message]:
    r"""Return the messages of a table by their IDs.

    A heading in brackets is a logger's name below the root. Each line after it is a message: its level
    (``Dn``: DEBUG with debug level n; else the initial of INFO, WARN, ERROR or FATAL), its ID, its text, in
    which ``\n`` stands for a new line.
    """
    messages: dict[str, Message] = {}
    logger = ""
    for line in table.splitlines():
        if line.startswith("["):
            logger = f"{ROOT_LOGGER}.{line[1:-1]}"
        elif line:
            level, rest = line[:3].rstrip(), line[4:]
            message_id, text = rest.split(" ", 1)
            text = text.replace(r"\n", "\n")
            messages[message_id] = Message(
                message_id, logger, _SEVERITIES[level[0]], int(level[1:] or 0), text
            )
    return messages


OWN_MESSAGES: Final[Mapping[str, Message]] = read_table("""
[dctl]
W   PYD2_CONFIG_OF_OTHER_KEA %1
W   PYD2_KEA_UNKNOWN %1
W   PYD2_DOMAIN_NO_FINAL_DOT domain %1 has no final dot; it is matched as %2 (%3)
W   PYD2_DOMAIN_WILDCARD_ZONE domain * matches every name, but its updates name the zone '*.', which hardly any DNS server has: use the name of the domain (%1)

[dhcpddns]
W   PYD2_LIBCRYPTO_MISSING OpenSSL's libcrypto cannot be used: %1. pyd2 signs updates and checks signatures in Python, which needs more CPU time for each. Install OpenSSL 3 (Debian: libssl3t64), then restart the server
W   PYD2_SHUTDOWN_INCOMPLETE stopping after %1 seconds of shutdown: %2 requests are not completed and are lost, because no durable queue holds them. 'pyd2ctl reconcile' finds the names that are wrong
E   PYD2_INTERNAL_ERROR unexpected error, pyd2 continues; please report it: %1 %2

[dhcp-to-d2]
I   PYD2_CAPTURE_ENDED the capture into %1 has ended: %2. The file has %3 lines, %4 bytes
W   PYD2_CAPTURE_LOST the capture into %1 has ended: %2. The file has %3 lines, %4 bytes, and lacks %5 requests, updates and replies, because the disk was too slow for them
I   PYD2_CAPTURE_STARTED capturing %1 into %2, for %3 seconds or %4 bytes at most
W   PYD2_CLUSTER_APPENDED_AGAIN site %1: the servers have lost %2 batches of requests that they had acknowledged. This machine still has them and appends them again; nothing is lost. It happens when servers of NATS before 2.11 choose a leader, and without 'sync_interval: always'
E   PYD2_CLUSTER_BATCHES_MISSING site %1: the servers have lost %2 batches of receiver %3 before its batch %4. They had acknowledged them, and the receiver has not appended them again: pyd2 on that machine was restarted, is gone, or could not reach the servers. Their requests are not carried out: 'pyd2ctl reconcile' finds the names that are wrong
E   PYD2_CLUSTER_BATCH_UNREADABLE site %1: skipped batch %2 of the queue, which cannot be read: %3. Check which clients of the NATS servers may write to the queue
I   PYD2_CLUSTER_CLAIMED site %1: this node owns the queue now (epoch %2) and continues with batch %3. Previous owner: %4
I   PYD2_CLUSTER_CONNECTED site %1: connected to %2
W   PYD2_CLUSTER_DEAD_LETTERS_HERE site %1: the servers take no dead letters: %2. They stay on this machine's disk ('pyd2ctl queue list --dead DIRECTORY'). Run 'pyd2ctl queue create', which makes the missing stream
W   PYD2_CLUSTER_DISCONNECTED site %1: the connection to %2 has ended: %3. pyd2 connects to the next server
W   PYD2_CLUSTER_FENCED site %1: node %2 owns the queue now (epoch %3). This node sends no more updates; the new owner repeats the %4 requests that were under way here
I   PYD2_CLUSTER_FORWARDED site %1: the servers accept requests again, and have all that waited on this machine's disk
W   PYD2_CLUSTER_OVERTAKEN site %1: %2 requests of receiver %3 are not carried out: it could not hand them over in time, and newer requests of their clients have come by another receiver. They are dead letters ('pyd2ctl queue list --dead nats:SITE'); 'pyd2ctl reconcile' finds the names that are wrong
W   PYD2_CLUSTER_PAUSED site %1: this node sends no updates, because it could not renew its lease of %2 seconds. It continues if no other node has become the owner meanwhile; else that one repeats what was under way. Check the NATS servers, and whether this machine stood still
E   PYD2_CLUSTER_RECORD_UNREADABLE site %1: the record of the queue cannot be read or written: %2. This node does not claim the queue. Run 'pyd2ctl queue check'; if a later pyd2 has written the record, upgrade this one to that release
E   PYD2_CLUSTER_REFUSED site %1: the rights of this daemon do not suffice at %2: %3. The connection has ended, and so does each one that follows: requests wait on this machine's disk. Give its certificate the rights of a node in the configuration of the NATS servers: the documentation lists them ('Several machines', Security)
I   PYD2_CLUSTER_RELEASED site %1: this node has given up the queue; the next owner repeats the %2 requests that were under way here
I   PYD2_CLUSTER_RESUMED site %1: this node still owns the queue, sends updates again, and continues with batch %2
W   PYD2_CLUSTER_SPOOLING site %1: the servers accept no requests: %2. Requests wait on this machine's disk, and go to the servers in their order when these accept them again. Run 'pyd2ctl queue check'
E   PYD2_CLUSTER_STREAM_LOST site %1: the servers have lost what they had acknowledged: batch %2 is another one, or some before it are gone. pyd2 reads again what is left, and skips what it knows to be done. Set 'sync_interval: always' on all NATS servers; those before 2.11 may lose their last messages as they choose a leader, too
W   PYD2_CLUSTER_UNREACHABLE site %1: cannot connect to %2. pyd2 tries the servers in turn
E   PYD2_CLUSTER_UNREAD site %1: this node owns the queue, but cannot read its requests: %2. It makes no updates until it can. Run 'pyd2ctl queue check'; if the rights of its certificate do not suffice, give it those that the documentation lists ('Several machines', Security)
E   PYD2_CLUSTER_UNREMOVED site %1: what is done cannot be removed from the queue: %2. The queue grows until it is full (1 GiB), and then the servers accept no more requests. If the rights of this node's certificate do not suffice, give it those that the documentation lists ('Several machines', Security)
W   PYD2_CLUSTER_UNWATCHED site %1: the record of the queue cannot be watched: %2. This node looks at it now and then instead, and claims later a queue that is given up. Give its certificate the rights of a node in the configuration of the NATS servers: the documentation lists them ('Several machines', Security)
W   PYD2_NCR_KERNEL_DROPS the kernel dropped %1 datagrams for %2 because the receive buffer was full: raise net.core.rmem_max and restart the server
W   PYD2_SERVICE_MANAGER_UNREACHABLE cannot notify the service manager at %2 (%1): %3
W   PYD2_SOCKET_REJECTED closed file descriptor %1 of the service manager, which pyd2 does not use: %2
I   PYD2_SOCKET_INHERITED using the socket on %1 port %2 that the service manager kept, with the datagrams that wait in it
E   PYD2_HISTORY_FAILED the history in %1 cannot be written: %2. Updates are not affected; pyd2 tries again every 30 seconds, and counts the requests that are not written (pyd2_history_lost_total)
W   PYD2_HISTORY_REPLACED the file of the history in %1 was removed, or another one was put in its place: pyd2 writes to the one that is there now, or makes a new one
I   PYD2_HISTORY_RESUMED the history in %1 is written again; %2 requests since the start are not in it
E   PYD2_HISTORY_SET_ASIDE the history in %1 is damaged (%2): it was renamed to %3, and a new one is in its place
I   PYD2_NCR_PORT_BOUND %1 port %2 is free again: listening for requests
W   PYD2_NCR_RECEIVE_BUFFER_SMALL the receive buffer for requests has %1 bytes instead of %2: raise net.core.rmem_max so that the kernel drops nothing in a burst
W   PYD2_QUEUE_ASIDE %1 holds %2 requests, but was set aside: pyd2 does not process them. List them with 'pyd2ctl queue list', put back what is missing with 'export' and 'requeue --file', then remove it
I   PYD2_QUEUE_CLOSED durable queue %1 is empty and closed: the configuration no longer asks for a durable queue
E   PYD2_QUEUE_FAILED the durable queue does not work: %1. pyd2 processes requests from memory, and tries the queue again after 1 to 30 seconds; requests that wait are lost if the server stops before that
W   PYD2_QUEUE_FINISHED durable queue %1: a crash had interrupted its replacement by a new file; the new file was complete, and is in use now
I   PYD2_QUEUE_KEPT stopping with %1 requests that are not processed; they are in %2, and are processed after the next start
W   PYD2_QUEUE_KEPT_ELSEWHERE stopping with %1 requests that are not processed; they are in %2, but the configuration names %3: run 'pyd2ctl queue move %4 %5' before the next start
W   PYD2_QUEUE_KEPT_RETIRED stopping with %1 requests that are not processed; they are in %2, but the configuration asks for no durable queue: they are processed after a start with a durable queue in %3
E   PYD2_QUEUE_KILLER request %1 of durable queue %2 is a dead letter now: the process ended %3 times while a hook library handled it. List it with 'pyd2ctl queue list --dead', and correct the library
W   PYD2_QUEUE_LATE durable queue %1 could be read only now: %2 of its requests are processed, and %3 are dead letters, because newer requests of their clients were processed meanwhile. List these with 'pyd2ctl queue list --dead %4'
E   PYD2_QUEUE_LEFT_BEHIND the configuration no longer asks for durable queue %1, which could not be emptied: %2. Remove it before this directory is used again, or its requests are processed a second time
E   PYD2_QUEUE_LOST stopping while durable queue %2 does not work: %1 requests are lost, or are still in it and are processed again after the next start. Repair its disk before that; 'pyd2ctl reconcile' finds the names that are wrong
W   PYD2_QUEUE_NEXT_START durable queue %1 stays in use until the next start, which uses %2. If requests are left in the first one then, stop the server and run 'pyd2ctl queue move %3 %4'
W   PYD2_QUEUE_NOT_USED durable queue %1 holds %2 requests, but the configuration asks for no durable queue. pyd2 processes them when it asks for one; list them with 'pyd2ctl queue list'
I   PYD2_QUEUE_OPENED durable queue %1 is in use and holds %2 requests
W   PYD2_QUEUE_RESUMED durable queue %1 works again and holds all %2 requests that wait
I   PYD2_QUEUE_RETIRED the configuration no longer asks for durable queue %1: pyd2 processes the %2 requests in it, then closes it. New requests are not written
E   PYD2_QUEUE_SET_ASIDE durable queue %1 cannot be used (%2): it was renamed to %3, and a new one is in its place. %4 requests could be read from the old one
W   PYD2_QUEUE_TORN the last write to a durable queue is not complete: %1. After a loss of power that is normal, and the write was not acknowledged; otherwise check the disk: accepted requests may be lost
I   PYD2_PTR_SUPERSEDED Request ID %1: PTR for %2 superseded by a newer request
W   PYD2_RETRIES_LOST stopping with %1 requests in the retry queue: they are lost, because no durable queue holds them. 'pyd2ctl reconcile' finds the names that are wrong
W   PYD2_RETRY_ABANDONED Request ID %1: abandoned (%2); last failure: %3. %4
I   PYD2_RETRY_SCHEDULED Request ID %1: failed, trying again within %2 seconds: %3
W   PYD2_QUEUE_SHARE_FULL %1 requests wait for DNS server %2, which does not answer, and take up its share of the queue: further requests for it are lost (%3 since the last such message); other servers still have places. Check why the server does not answer, or raise max-entries
W   PYD2_RETRY_SHARE_FULL %1 requests of domain %2 wait for a retry, which is its share of the queue: its requests that fail now are abandoned (%3 since the last such message). Check why its DNS servers accept no updates, or raise max-entries
I   PYD2_REMOVAL_KEPT Request ID %1: nothing is removed, because the policy keep has the name %2: %3
I   PYD2_REQUEST_EXPIRED Request ID %1: dropped because its lease has ended and expired is set to drop: %2
I   PYD2_REQUEST_SUPERSEDED Request ID %1: superseded by a newer request while pending: %2

[d2-to-dns]
D55 PYD2_BATCH_ANSWERED DNS server %1 answered %2 to a batch of %3 updates for zone %4 after %5 ms: %6
D55 PYD2_BATCH_SENT sending a batch of %1 updates for zone %2 to DNS server %3: one message of %4 octets over %5
D55 PYD2_BATCH_TIMEOUT a batch of %1 updates for zone %2 to DNS server %3 was not answered in time: each update is sent again by itself
I   PYD2_BATCHES_PAUSED DNS server %1 answered %2 to a batch of %3 updates for zone %4: pyd2 sends these updates, and all of this zone and key for %5 seconds, one by one. If this continues, find out which updates the server refuses
I   PYD2_NAME_ADOPTED Request ID %1: %2 had the address %3 and no DHCID: by the policy adopt it has this client's DHCID now, and no other client changes it
D55 PYD2_NAME_HOLDS Request ID %1: DNS server %2 was asked for the DHCIDs of %3, which are: %4; %5
I   PYD2_NAME_JOINED Request ID %1: %2 is shared by the policy dual-stack: its client of the other family, %3, keeps its addresses, and %4 was added
D70 PYD2_REPLY_IGNORED ignoring a datagram from %1 that answers no pending update: %2
D70 PYD2_UPDATE_TCP Request ID %1: sending the update to server %2 over TCP: %3
W   PYD2_CONNECTION_CLOSED closed the TCP connection to DNS server %1: %2. The next update opens a new one. This happened %3 times since the last such message, which appears at most once a minute
W   PYD2_NO_SOCKET cannot open a socket to DNS server %1: %2. Its updates are tried again; if they fail, raise LimitNOFILE or net.ipv4.ip_local_port_range. This happened %3 times since the last such message, which appears at most once a minute
W   PYD2_REPLIES_DROPPED the kernel dropped %1 replies of DNS server %2 because a receive buffer of %3 bytes was full. Their updates are tried again. If this continues: %4
I   PYD2_SEGMENTS_REFUSED the kernel refuses to cut updates for DNS server %1 into segments: %2. pyd2 sends them one by one, which takes more CPU time; nothing is lost. pyd2 tries it again after the next start
W   PYD2_REQUESTS_FAILED %1: requests failed with %2 (%3 since the last such message, which appears at most once a minute). %4 Mend: %5
W   PYD2_SERVER_DOWN DNS server %1 has not answered %2 tries in a row; pyd2 tries it from time to time. %3
I   PYD2_SERVER_TAKES_DHCID DNS server %1 no longer refuses just the updates of zone %2 with DHCID records: they are tried again when they fail
W   PYD2_SERVER_TAKES_NO_DHCID DNS server %1 accepts updates of zone %2, but none with DHCID records, as Samba does: these fail, and are not tried again. %3
I   PYD2_SERVER_UP DNS server %1 answers again after %2 seconds

[commands]
W   PYD2_CONTROL_REQUEST_TOO_LARGE refused a request of more than %1 bytes over command socket %2
W   PYD2_CONTROL_REQUEST_TOO_MANY_VALUES refused a request of more than %1 values over command socket %2
W   PYD2_HTTP_ACCEPT_FAILED cannot accept connections to the HTTP control socket on %1 port %2: %3. pyd2 tries again after a second; if this continues, raise LimitNOFILE
W   PYD2_HTTP_CONNECTION_REPLACED closed an HTTP connection from %1 that sent no request, in favour of a new one: %2 connections are open, which is the limit. This happened %3 times since the last such message, which appears at most once a minute. Check which clients leave their connections open
I   PYD2_HTTP_FORBIDDEN refused command '%1' of HTTP client '%2' from %3: its role '%4' may only read
W   PYD2_HTTP_REQUEST_REFUSED refused a request over HTTP from %1: %2
W   PYD2_HTTP_UNPROTECTED the HTTP control socket on %1 port %2 is not protected: %3

[hooks]
I   PYD2_GSS_TSIG_BUILTIN pyd2's own GSS-TSIG works in the place of Kea's library libddns_gss_tsig.so, by its parameters
W   PYD2_GSS_TSIG_ECHO DNS server %1 refused an update with %2, and signed that with a copy of the update's signature, as Samba and Windows do: %3. So %4. This happened %5 times since the last such message, which appears at most once a minute
W   PYD2_GSS_TSIG_KEY_UNKNOWN DNS server %1 does not know key %2 any more, most likely because it was restarted: pyd2 agrees on a new one now
E   PYD2_HOOK_EXCEPTION hooks library %1: %2
E   PYD2_HOOK_HTTP_FAULT a hooks library has left no valid request or response over HTTP, so the client at %1 gets 500: %2
E   PYD2_HOOK_IO_ERROR a handler of a hooks library's IO service failed: %1
W   PYD2_HOOK_MESSAGES_LOST lost %1 log messages of hooks library threads: the threads log faster than pyd2 writes
D45 PYD2_HOOK_MESSAGE_DEBUG hooks library %1: %2
E   PYD2_HOOK_MESSAGE_ERROR hooks library %1: %2
I   PYD2_HOOK_MESSAGE_INFO hooks library %1: %2
W   PYD2_HOOK_MESSAGE_WARN hooks library %1: %2
W   PYD2_HOOK_NO_CALLOUTS hooks library %1 has neither a callout nor a command: the server never calls it%2
E   PYD2_HOOK_OTHER_KEA hooks library %1 was not opened: %2
W   PYD2_HOOK_SLOW hooks library %1 took %2 ms in hook %3; commands and other callouts waited meanwhile

[log]
W   PYD2_LOCKFILE_UNUSABLE cannot use the log lock file %1 (%2): messages are written without it
W   PYD2_LOG_LINES_LOST %1 log lines for %2 were lost because they could not be written. Check its directory, whether its disk is full, and whether its reader is slow
""")  # noqa: E501  one message a line
"""The messages that only pyd2 has, by their IDs."""
