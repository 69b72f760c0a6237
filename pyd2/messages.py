"""The message catalogue: every ID that Kea's D2 logs, with its logger, level and text (contract, section 10).

IDs and texts are part of Kea's interface: log parsers and operators know them. What pyd2 says beyond Kea has
an ID that begins with ``PYD2_``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet


class Told(Protocol):
    """A request that a message tells of."""

    @property
    def request_id(self) -> str:
        """Its DHCID in hexadecimal digits."""

    def text(self) -> str:
        """What is asked for, in several lines."""


class Log(Protocol):
    """Where messages go. Everything that logs gets one of these passed in.

    On a hot path, ask ``message_id in log.on`` before building arguments; elsewhere just call ``emit``.
    """

    @property
    def on(self) -> AbstractSet[str]:
        """The IDs whose messages are written under the present configuration."""

    def emit(self, message_id: str, *arguments: object) -> None:
        """Write the message with %1, %2, ... replaced; nothing happens when the ID is not in ``on``.

        Kea logs some messages at another level than the catalogue's; none of D2's do so.
        """


class RequestLog(Log, Protocol):
    """One that the engine writes to."""

    def emit_request(self, message_id: str, request: Told) -> None:
        """Write a message that tells of a request: its two arguments are the request's ID and its text.

        Ask first whether the ID is in ``on``.
        """
        self.emit(message_id, request.request_id, request.text())


class Severity(IntEnum):
    """Kea's severities, in their order."""

    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4
    FATAL = 5
    NONE = 6
    """Only as a logger's severity: it writes nothing."""


ROOT_LOGGER: Final = "kea-dhcp-ddns"
"""The root of all loggers; every other logger's full name begins with it and a dot."""


class Message(NamedTuple):
    """An entry of the catalogue."""

    message_id: str
    logger: str
    """The logger's full name, such as ``kea-dhcp-ddns.dctl``."""
    severity: Severity
    debuglevel: int
    """0 to 99; the ``debuglevel`` from which a DEBUG message is written. 0 for the other severities."""
    text: str
    """What follows the ID; ``%1``, ``%2``, ... stand for the arguments."""


# A heading is a logger's name below the root. A line is the level (Dn: DEBUG with debug level n, else the
# first letter of INFO, WARN, ERROR or FATAL), the ID and the text.
_TABLE: Final = """
[dctl]
F   DCTL_ALREADY_RUNNING %1 already running? %2
E   DCTL_CFG_FILE_RELOAD_ERROR configuration reload failed: %1, reverting to current configuration.
I   DCTL_CFG_FILE_RELOAD_SIGNAL_RECVD OS signal %1 received, reloading configuration from file: %2
I   DCTL_CONFIG_CHECK_COMPLETE server has completed configuration check: %1, result: %2
I   DCTL_CONFIG_COMPLETE server has completed configuration: %1
E   DCTL_CONFIG_DEPRECATED server configuration includes a deprecated object: %1
F   DCTL_CONFIG_FILE_LOAD_FAIL %1 reason: %2
D10 DCTL_CONFIG_START parsing new configuration: %1
W   DCTL_DEPRECATED_OUTPUT_OPTIONS The output_options parameter is deprecated. Use output-options parameter instead.
W   DCTL_DEVELOPMENT_VERSION This software is a development branch of Kea. It is not recommended for production use.
D0  DCTL_INIT_PROCESS %1 initializing the application
F   DCTL_INIT_PROCESS_FAIL %1 application initialization failed: %2
W   DCTL_NOT_RUNNING %1 application instance is not running
E   DCTL_PARSER_FAIL Parser error: %1
F   DCTL_PID_FILE_ERROR %1 could not create a PID file: %2
F   DCTL_PROCESS_FAILED %1 application execution failed: %2
D0  DCTL_RUN_PROCESS %1 starting application event loop
I   DCTL_SHUTDOWN %1 has shut down, pid: %2, version: %3
D0  DCTL_SHUTDOWN_SIGNAL_RECVD OS signal %1 received, starting shutdown
D0  DCTL_STANDALONE %1 skipping message queue, running standalone
I   DCTL_STARTING %1 starting, pid: %2, version: %3 (%4)
E   DCTL_UNLOAD_LIBRARIES_ERROR error unloading hooks libraries during shutdown: %1
W   DCTL_UNSUPPORTED_SIGNAL ignoring reception of unsupported signal: %1
W   PYD2_DOMAIN_NO_FINAL_DOT domain %1 has no final dot; it is matched as %2 (%3)
W   PYD2_DOMAIN_WILDCARD_ZONE domain * matches every name, and its updates name the zone '*.', which hardly any server has (%1)

[dhcpddns]
D0  DHCP_DDNS_CLEARED_FOR_SHUTDOWN application has met shutdown criteria for shutdown type: %1
D40 DHCP_DDNS_CONFIGURE configuration %1 received: %2
E   DHCP_DDNS_CONFIGURED_CALLOUT_DROP configuration was rejected because a callout set the next step to 'drop': %1
E   DHCP_DDNS_CONFIG_CHECK_FAIL DHCP-DDNS server configuration check failed: %1
E   DHCP_DDNS_CONFIG_FAIL DHCP-DDNS server configuration failed: %1
F   DHCP_DDNS_FAILED application experienced a fatal error: %1
W   DHCP_DDNS_LISTENING_ON_ALL_INTERFACES the DHCP-DDNS server has been configured to listen on %1. This is an insecure configuration supported for testing purposes only
W   DHCP_DDNS_NOT_ON_LOOPBACK the DHCP-DDNS server has been configured to listen on %1 which is not the local loopback.  This is an insecure configuration supported for testing purposes only
D40 DHCP_DDNS_QUEUE_MGR_RECONFIGURING application is reconfiguring the queue manager
I   DHCP_DDNS_QUEUE_MGR_RECOVERING application is attempting to recover from a queue manager IO error
E   DHCP_DDNS_QUEUE_MGR_RESUME_ERROR application could not restart the queue manager, reason: %1
I   DHCP_DDNS_QUEUE_MGR_RESUMING application is resuming listening for requests now that the request queue size has reached %1 of a maximum %2 allowed
D0  DHCP_DDNS_QUEUE_MGR_STARTED application's queue manager has begun listening for requests.
E   DHCP_DDNS_QUEUE_MGR_START_ERROR application could not start the queue manager, reason: %1
D40 DHCP_DDNS_QUEUE_MGR_STOPPED application's queue manager has stopped listening for requests.
D0  DHCP_DDNS_QUEUE_MGR_STOPPING application is stopping the queue manager for %1
E   DHCP_DDNS_QUEUE_MGR_STOP_ERROR application encountered an error stopping the queue manager: %1
D0  DHCP_DDNS_RUN_EXIT application is exiting the event loop
D0  DHCP_DDNS_SHUTDOWN_COMMAND application received shutdown command with args: %1
I   DHCP_DDNS_STARTED Kea DHCP-DDNS server version %1 started
W   PYD2_SHUTDOWN_INCOMPLETE the shutdown has taken %1 seconds: leaving with %2 requests not carried out
E   PYD2_INTERNAL_ERROR unexpected error, the server goes on; please report it: %1 %2

[dhcp-to-d2]
D55 DHCP_DDNS_AT_MAX_TRANSACTIONS application has %1 queued requests but has reached maximum number of %2 concurrent transactions
D55 DHCP_DDNS_FWD_REQUEST_IGNORED Request ID %1: Forward updates are disabled, the forward portion of request will be ignored: %2
D55 DHCP_DDNS_NO_ELIGIBLE_JOBS although there are queued requests, there are pending transactions for each, Queue count: %1  Transaction count: %2
E   DHCP_DDNS_NO_FWD_MATCH_ERROR Request ID %1: the configured list of forward DDNS domains does not contain a match for: %2  The request has been discarded.
W   DHCP_DDNS_NO_MATCH No DNS servers match FQDN %1
E   DHCP_DDNS_NO_REV_MATCH_ERROR Request ID %1: the configured list of reverse DDNS domains does not contain a match for: %2  The request has been discarded.
E   DHCP_DDNS_QUEUE_MGR_QUEUE_FULL application request queue has reached maximum number of entries %1
D55 DHCP_DDNS_QUEUE_MGR_QUEUE_RECEIVE Request ID %1: received and queued a request.
E   DHCP_DDNS_QUEUE_MGR_RECV_ERROR application's queue manager was notified of a request receive error by its listener.
E   DHCP_DDNS_QUEUE_MGR_UNEXPECTED_HANDLER_ERROR application's queue manager request receive handler experienced an unexpected exception %1:
E   DHCP_DDNS_QUEUE_MGR_UNEXPECTED_STOP application's queue manager receive was
D55 DHCP_DDNS_REQUEST_DROPPED Request ID %1: Request contains no enabled update requests and will be dropped: %2
D55 DHCP_DDNS_REV_REQUEST_IGNORED Request ID %1: Reverse updates are disabled, the reverse portion of request will be ignored: %2
W   PYD2_NCR_KERNEL_DROPS the kernel dropped %1 datagrams for %2 because the receive buffer was full; raise net.core.rmem_max and restart the server
W   PYD2_SERVICE_MANAGER_UNREACHABLE %1 can not be said to the service manager at %2: %3
W   PYD2_SOCKET_NOT_TAKEN file descriptor %1 from the service manager is closed unused: %2
I   PYD2_SOCKET_TAKEN_OVER the service manager has kept the socket on %1 port %2 and what has arrived there
I   PYD2_NCR_PORT_BOUND %1 port %2 is free again: listening for requests
W   PYD2_NCR_RECEIVE_BUFFER_SMALL the receive buffer for requests is %1 bytes instead of %2; raise net.core.rmem_max so that bursts are not lost
W   PYD2_QUEUE_ASIDE %1 holds %2 requests that are not carried out: it was set aside. Look with 'pyd2ctl queue list', put back what is missing, and remove it
I   PYD2_QUEUE_CLOSED durable queue %1 is empty and closed; the configuration no longer asks for it
W   PYD2_QUEUE_ELSEWHERE durable queue %1 holds %2 requests that are not carried out: they were left there when the configuration changed to another directory. Stop the server and use 'pyd2ctl queue move %3 %4'
E   PYD2_QUEUE_CUT %1 has only %2 octets and had %3 when the server was killed: it was removed or cut since, and the requests that were in it are lost. If there is a copy, 'pyd2ctl queue export' reads it
E   PYD2_QUEUE_FAILED the durable queue does not work: %1. Requests are carried out from memory; those that wait are lost if the server ends. The server tries the queue again after 1 to 30 seconds
W   PYD2_QUEUE_FINISHED durable queue %1: a new file that a kill had kept from its place was complete, and is in use now
I   PYD2_QUEUE_KEPT leaving with %1 requests not carried out; they are in %2 and go on at the next start
W   PYD2_QUEUE_KEPT_ELSEWHERE leaving with %1 requests not carried out; they are in %2, but the configuration names %3: use 'pyd2ctl queue move %4 %5' before the next start
W   PYD2_QUEUE_KEPT_RETIRED leaving with %1 requests not carried out; they are in %2, but the configuration asks for no durable queue: they go on at a start with a durable queue in %3
E   PYD2_QUEUE_KILLER request %1 in durable queue %2 is a dead letter now: the process ended %3 times while a hook library was at work for it. Look with 'pyd2ctl queue list --dead'
W   PYD2_QUEUE_LATE durable queue %1 could be read only now: %2 requests in it go on, and %3 are dead letters, since newer requests of their clients were carried out meanwhile. Look with 'pyd2ctl queue list --dead %4'
E   PYD2_QUEUE_LEFT_BEHIND durable queue %1 is no longer asked for, and could not be emptied: %2. Its requests would be carried out again if this directory is used again: remove the file before
E   PYD2_QUEUE_LOST leaving with %1 requests that are not carried out or not removed from %2, which does not work
W   PYD2_QUEUE_NEXT_START durable queue %1 stays in use until the next start, and %2 is used from then on. If requests are left then, 'pyd2ctl queue move %3 %4' takes them along%5
W   PYD2_QUEUE_NOT_USED durable queue %1 holds %2 requests that are not carried out: the configuration asks for no durable queue. They go on when it does, or look with 'pyd2ctl queue list'
I   PYD2_QUEUE_OPENED durable queue %1 is in use; %2 requests in it go on
W   PYD2_QUEUE_RESUMED durable queue %1 works again and holds all %2 requests that wait
I   PYD2_QUEUE_RETIRED durable queue %1 is no longer asked for: its %2 requests are carried out, then it is closed. New requests are not written
E   PYD2_QUEUE_SET_ASIDE durable queue %1 cannot be used (%2); it is now %3, and a new one has taken its place. %4 requests could be read from it
W   PYD2_QUEUE_TORN the end of a durable queue was not written whole: %1. That is what a loss of power leaves of a commit that was not acknowledged; a faulty disk may also have cost requests that were taken
I   PYD2_PTR_SUPERSEDED Request ID %1: the PTR of %2 is a newer request's now and left to it
W   PYD2_RETRIES_LOST leaving with %1 requests that waited to be tried again; without the durable queue they are lost
W   PYD2_RETRY_ENDED Request ID %1: given up, for %2. It failed last because of this: %3. %4
I   PYD2_RETRY_LATER Request ID %1: failed, and is tried again within %2 seconds: %3
W   PYD2_RETRY_SHARE_TAKEN %1 requests of domain %2 wait to be tried again, which is its share of the queue: those that fail now are given up, %3 since the last such message. Find out why its DNS servers do not take updates, or raise max-entries
I   PYD2_REQUEST_EXPIRED Request ID %1: the lease has ended; as configured, the request is dropped: %2
I   PYD2_REQUEST_SUPERSEDED Request ID %1: a newer request has made it superfluous while it waited: %2

[d2-to-dns]
E   DHCP_DDNS_ADD_FAILED DHCP_DDNS Request ID %1: Transaction outcome %2
I   DHCP_DDNS_ADD_SUCCEEDED DHCP_DDNS Request ID %1: successfully added the DNS mapping addition for this request: %2
W   DHCP_DDNS_CONFIG_SYNTAX_WARNING DHCP-DDNS server configuration syntax warning: %1
E   DHCP_DDNS_FORWARD_ADD_BUILD_FAILURE DNS Request ID %1:  update message to add a forward DNS entry could not be constructed for this request: %2, reason: %3
E   DHCP_DDNS_FORWARD_ADD_REJECTED DNS Request ID %1: Server, %2, rejected a DNS update request to add the address mapping for FQDN, %3, with an RCODE: %4
E   DHCP_DDNS_FORWARD_ADD_RESP_CORRUPT DHCP_DDNS Request ID %1: received a corrupt response from the DNS server, %2, while adding forward address mapping for FQDN, %3
E   DHCP_DDNS_FORWARD_ADD_TIMEOUT DHCP_DDNS Request ID %1: timed out waiting for a response to forward mapping add for FQDN %2 to DNS server %3
E   DHCP_DDNS_FORWARD_REMOVE_ADDRS_BUILD_FAILURE DNS Request ID %1: update message to remove a forward DNS Address entry could not be constructed for this request: %2, reason: %3
E   DHCP_DDNS_FORWARD_REMOVE_ADDRS_REJECTED DNS Request ID %1: Server, %2, rejected a DNS update request to remove the forward address mapping for FQDN, %3, with an RCODE: %4
E   DHCP_DDNS_FORWARD_REMOVE_ADDRS_RESP_CORRUPT DHCP_DDNS Request ID %1: received a corrupt response from the DNS server, %2, while removing forward address mapping for FQDN, %3
E   DHCP_DDNS_FORWARD_REMOVE_ADDRS_TIMEOUT DHCP_DDNS Request ID %1: timed out waiting for a response to forward mapping address removal for FQDN %2 to DNS server %3
E   DHCP_DDNS_FORWARD_REMOVE_RRS_BUILD_FAILURE DNS Request ID %1: update message to remove forward DNS RR entries could not be constructed for this request: %2,  reason: %3
E   DHCP_DDNS_FORWARD_REMOVE_RRS_REJECTED DNS Request ID %1: Server, %2, rejected a DNS update request to remove forward RR entries for FQDN, %3, with an RCODE: %4
E   DHCP_DDNS_FORWARD_REMOVE_RRS_RESP_CORRUPT DHCP_DDNS Request ID %1: received a corrupt response from the DNS server, %2, while removing forward RRs for FQDN, %3
E   DHCP_DDNS_FORWARD_REMOVE_RRS_TIMEOUT DHCP_DDNS Request ID %1: timed out waiting for response to forward RR removal for FQDN %2 to DNS server %3
E   DHCP_DDNS_FORWARD_REPLACE_BUILD_FAILURE DNS Request ID %1: update message to replace a forward DNS entry could not be constructed from this request: %2, reason: %3
E   DHCP_DDNS_FORWARD_REPLACE_REJECTED DNS Request ID %1: Server, %2, rejected a DNS update request to replace the address mapping for FQDN, %3, with an RCODE: %4
E   DHCP_DDNS_FORWARD_REPLACE_RESP_CORRUPT DHCP_DDNS Request ID %1: received a corrupt response from the DNS server, %2, while replacing forward address mapping for FQDN, %3
E   DHCP_DDNS_FORWARD_REPLACE_TIMEOUT DHCP_DDNS Request ID %1: timed out waiting for a response to forward mapping replace for FQDN %2 to DNS server %3
D50 DHCP_DDNS_INVALID_RESPONSE received response to DNS Update message is malformed: %1
E   DHCP_DDNS_REMOVE_FAILED DHCP_DDNS Request ID %1: Transaction outcome: %2
I   DHCP_DDNS_REMOVE_SUCCEEDED DHCP_DDNS Request ID %1: successfully removed the DNS mapping addition for this request: %2
E   DHCP_DDNS_REVERSE_REMOVE_BUILD_FAILURE DNS Request ID %1: update message to remove a reverse DNS entry could not be constructed from this request: %2,  reason: %3
E   DHCP_DDNS_REVERSE_REMOVE_REJECTED DNS Request ID %1: Server, %2, rejected a DNS update request to remove the reverse mapping for FQDN, %3, with an RCODE: %4
E   DHCP_DDNS_REVERSE_REMOVE_RESP_CORRUPT DHCP_DDNS Request ID %1: received a corrupt response from the DNS server, %2, while removing reverse address mapping for FQDN, %3
E   DHCP_DDNS_REVERSE_REMOVE_TIMEOUT DHCP_DDNS Request ID %1: timed out waiting for a response to reverse mapping remove for FQDN %2 to DNS server %3
E   DHCP_DDNS_REVERSE_REPLACE_BUILD_FAILURE DNS Request ID %1: update message to replace a reverse DNS entry could not be constructed from this request: %2, reason: %3
E   DHCP_DDNS_REVERSE_REPLACE_REJECTED DNS Request ID %1: Server, %2, rejected a DNS update request to replace the reverse mapping for FQDN, %3, with an RCODE: %4
E   DHCP_DDNS_REVERSE_REPLACE_RESP_CORRUPT DHCP_DDNS Request ID %1: received a corrupt response from the DNS server, %2, while replacing reverse address mapping for FQDN, %3
E   DHCP_DDNS_REVERSE_REPLACE_TIMEOUT DHCP_DDNS Request ID %1: timed out waiting for a response to reverse mapping replacement for FQDN %2 to DNS server %3
D50 DHCP_DDNS_STARTING_TRANSACTION Request ID %1:
E   DHCP_DDNS_STATE_MODEL_UNEXPECTED_ERROR Request ID %1: application encountered an unexpected error while carrying out a NameChangeRequest: %2
E   DHCP_DDNS_TRANS_SEND_ERROR Request ID %1: application encountered an unexpected error while attempting to send a DNS update: %2
D50 DHCP_DDNS_UPDATE_REQUEST_SENT Request ID %1: %2 to server: %3
D50 DHCP_DDNS_UPDATE_RESPONSE_RECEIVED Request ID %1: to server: %2 status: %3
D70 PYD2_REPLY_IGNORED a datagram from %1 answers no update under way and is ignored: %2
D70 PYD2_UPDATE_TCP Request ID %1: update to server %2 goes over TCP: %3
W   PYD2_CONNECTION_CLOSED the TCP connection to DNS server %1 was closed: %2. The next update opens a new one. It happened %3 times since this was last logged, at most once a minute
W   PYD2_NO_SOCKET no socket could be opened to DNS server %1: %2. Its updates are tried again; if they fail, raise LimitNOFILE or net.ipv4.ip_local_port_range. It happened %3 times since this was last logged, at most once a minute
W   PYD2_REPLIES_DROPPED the kernel dropped %1 replies of DNS server %2 because a receive buffer of %3 bytes was full; their updates are tried again. If it goes on: %4
W   PYD2_SERVER_DOWN DNS server %1 has not answered %2 tries in a row; it is tried from time to time
I   PYD2_SERVER_UP DNS server %1 answers again, after %2 seconds

[libdhcp-ddns]
E   DHCP_DDNS_INVALID_NCR application received an invalid DNS update request: %1
E   DHCP_DDNS_NCR_LISTEN_CLOSE_ERROR application encountered an error while closing the listener used to receive NameChangeRequests : %1
E   DHCP_DDNS_NCR_RECV_NEXT_ERROR application could not initiate the next read following a request receive.
D40 DHCP_DDNS_NCR_UDP_RECV_CANCELED UDP socket receive was canceled while listening for DNS Update requests
E   DHCP_DDNS_NCR_UDP_RECV_ERROR UDP socket receive error while listening for DNS Update requests: %1
E   DHCP_DDNS_UNCAUGHT_NCR_RECV_HANDLER_ERROR unexpected exception thrown from the application receive completion handler: %1

[commands]
I   COMMAND_ACCEPTOR_START Starting to accept connections via unix domain socket bound to %1
D10 COMMAND_DEREGISTERED Command %1 deregistered
D10 COMMAND_EXTENDED_REGISTERED Command %1 registered
W   COMMAND_PROCESS_ERROR1 Error while processing command: %1
W   COMMAND_PROCESS_ERROR2 Error while processing command: %1
I   COMMAND_RECEIVED Received command '%1'
D10 COMMAND_REGISTERED Command %1 registered
W   COMMAND_RESPONSE_ERROR Server failed to generate response for command: %1
E   COMMAND_SOCKET_ACCEPT_FAIL Failed to accept incoming connection on command socket %1: %2
I   COMMAND_SOCKET_CLOSED_BY_FOREIGN_HOST Closed command socket %1 by foreign host, %2
E   COMMAND_SOCKET_CONNECTION_CANCEL_FAIL Failed to cancel read operation on socket %1: %2
D10 COMMAND_SOCKET_CONNECTION_CLOSED Closed socket %1 for existing command connection
E   COMMAND_SOCKET_CONNECTION_CLOSE_FAIL Failed to close command connection: %1
D10 COMMAND_SOCKET_CONNECTION_OPENED Opened socket %1 for incoming command connection
E   COMMAND_SOCKET_CONNECTION_SHUTDOWN_FAIL Encountered error %1 while trying to gracefully shutdown socket
I   COMMAND_SOCKET_CONNECTION_TIMEOUT Timeout occurred for connection over socket %1
D10 COMMAND_SOCKET_READ Received %1 bytes over command socket %2
E   COMMAND_SOCKET_READ_FAIL Encountered error %1 while reading from command socket %2
D10 COMMAND_SOCKET_WRITE Sent response of %1 bytes (%2 bytes left to send) over command socket %3
E   COMMAND_SOCKET_WRITE_FAIL Error while writing to command socket %1 : %2
E   COMMAND_WATCH_SOCKET_CLEAR_ERROR watch socket failed to clear: %1
E   COMMAND_WATCH_SOCKET_CLOSE_ERROR watch socket failed to close: %1
E   COMMAND_WATCH_SOCKET_MARK_READY_ERROR watch socket failed to mark ready: %1
W   PYD2_CONTROL_REQUEST_TOO_LARGE a request of more than %1 bytes over command socket %2 is refused
W   PYD2_CONTROL_REQUEST_TOO_MANY_VALUES a request of more than %1 values over command socket %2 is refused

[hooks]
D45 HOOKS_CALLOUTS_REMOVED callouts removed from hook %1 for library %2
E   HOOKS_CLOSE_ERROR failed to close hook library %1: %2
W   HOOKS_HOOK_LIST_RESET the list of hooks has been reset
E   HOOKS_INCORRECT_VERSION hook library %1 is at version %2, require version %3
I   HOOKS_LIBRARY_CLOSED hooks library %1 successfully closed
I   HOOKS_LIBRARY_LOADED hooks library %1 successfully loaded
D40 HOOKS_LIBRARY_LOADING loading hooks library %1
D45 HOOKS_LIBRARY_MULTI_THREADING_COMPATIBLE hooks library %1 reports its multi-threading compatibility as %2
E   HOOKS_LIBRARY_MULTI_THREADING_NOT_COMPATIBLE hooks library %1 is not compatible with multi-threading
I   HOOKS_LIBRARY_UNLOADED hooks library %1 successfully unloaded
D40 HOOKS_LIBRARY_UNLOADING unloading library %1
D45 HOOKS_LIBRARY_VERSION hooks library %1 reports its version as %2
E   HOOKS_LOAD_ERROR 'load' function in hook library %1 returned error %2
E   HOOKS_LOAD_EXCEPTION 'load' function in hook library %1 threw an exception
E   HOOKS_LOAD_FRAMEWORK_EXCEPTION 'load' function in hook library %1 threw an exception: reason %2
D40 HOOKS_LOAD_SUCCESS 'load' function in hook library %1 returned success
E   HOOKS_MULTI_THREADING_COMPATIBLE_EXCEPTION 'multi_threading_compatible' function in hook library %1 threw an exception
D40 HOOKS_NO_LOAD no 'load' function found in hook library %1
D40 HOOKS_NO_UNLOAD no 'unload' function found in hook library %1
E   HOOKS_NO_VERSION no 'version' function found in hook library %1
E   HOOKS_OPEN_ERROR failed to open hook library %1: %2
D45 HOOKS_STD_CALLOUT_REGISTERED hooks library %1 registered standard callout for hook %2 at address %3
E   HOOKS_UNLOAD_ERROR 'unload' function in hook library %1 returned error %2
W   HOOKS_UNLOAD_EXCEPTION 'unload' function in hook library %1 threw an exception
E   HOOKS_UNLOAD_FRAMEWORK_EXCEPTION 'unload' function in hook library %1 threw an exception, reason %2
D40 HOOKS_UNLOAD_SUCCESS 'unload' function in hook library %1 returned success
E   HOOKS_VERSION_EXCEPTION 'version' function in hook library %1 threw an exception
E   PYD2_HOOK_EXCEPTION hooks library %1: %2
E   PYD2_HOOK_IO_ERROR a handler of a hooks library's IO service failed: %1
W   PYD2_HOOK_LOG_LOST %1 messages of threads of hooks libraries were lost: they log faster than is written
D45 PYD2_HOOK_MESSAGE_DEBUG hooks library %1: %2
E   PYD2_HOOK_MESSAGE_ERROR hooks library %1: %2
I   PYD2_HOOK_MESSAGE_INFO hooks library %1: %2
W   PYD2_HOOK_MESSAGE_WARN hooks library %1: %2
W   PYD2_HOOK_NO_CALLOUTS hooks library %1 has neither a callout nor a command: the server never calls it%2
W   PYD2_HOOK_SLOW hooks library %1 took %2 ms in hook %3; commands and other callouts waited meanwhile

[callouts]
D55 HOOKS_ALL_CALLOUTS_DEREGISTERED hook library at index %1 removed all callouts on hook %2
D45 HOOKS_CALLOUTS_BEGIN begin all callouts for hook %1
D45 HOOKS_CALLOUTS_COMPLETE completed callouts for hook %1 (total callouts duration: %2)
D55 HOOKS_CALLOUT_CALLED hooks library with index %1 has called a callout on hook %2 that has address %3 (callout duration: %4)
D55 HOOKS_CALLOUT_DEREGISTERED hook library at index %1 deregistered a callout on hook %2
E   HOOKS_CALLOUT_ERROR error returned by callout on hook %1 registered by library with index %2 (callout address %3) (callout duration %4)
E   HOOKS_CALLOUT_EXCEPTION exception thrown by callout on hook %1 registered by library with index %2 (callout address %3): %4 (callout duration: %5)
D45 HOOKS_CALLOUT_REGISTRATION hooks library with index %1 registering callout for hook '%2'

[asiodns]
D70 ASIODNS_FETCH_COMPLETED upstream fetch to %1(%2) has now completed
D40 ASIODNS_FETCH_STOPPED upstream fetch to %1(%2) has been stopped
E   ASIODNS_OPEN_SOCKET error %1 opening %2 socket to %3(%4)
E   ASIODNS_READ_DATA error %1 reading %2 data from %3(%4)
D50 ASIODNS_READ_TIMEOUT receive timeout while waiting for data from %1(%2)
E   ASIODNS_SEND_DATA error %1 sending data using %2 to %3(%4)
E   ASIODNS_UNKNOWN_ORIGIN unknown origin for ASIO error code %1 (protocol: %2, address %3)
E   ASIODNS_UNKNOWN_RESULT unknown result (%1) when IOFetch::stop() was executed for I/O to %2(%3)

[log]
E   LOG_BAD_DESTINATION unrecognized log destination: %1
E   LOG_BAD_SEVERITY unrecognized log severity: %1
W   PYD2_LOCKFILE_UNUSABLE the log lock file %1 can not be used (%2); messages are written without it
W   PYD2_LOG_LINES_LOST log lines for %2 that were lost because they could not be written: %1
"""  # noqa: E501  one message a line

_SEVERITIES: Final = {
    "D": Severity.DEBUG, "I": Severity.INFO, "W": Severity.WARN, "E": Severity.ERROR, "F": Severity.FATAL,
}


def _read(table: str) -> dict[str, Message]:
    messages: dict[str, Message] = {}
    logger = ""
    for line in table.splitlines():
        if line.startswith("["):
            logger = f"{ROOT_LOGGER}.{line[1:-1]}"
        elif line:
            level, rest = line[:3].rstrip(), line[4:]
            message_id, text = rest.split(" ", 1)
            messages[message_id] = Message(
                message_id, logger, _SEVERITIES[level[0]], int(level[1:] or 0), text
            )
    return messages


MESSAGES: Final = _read(_TABLE)
"""The catalogue: message ID to its entry."""
