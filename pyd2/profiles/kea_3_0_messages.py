"""What the D2 of Kea 3.0 can log and that of 2.6 does not: the HTTP control sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.messages import read_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyd2.messages import Message

MESSAGES: Final[Mapping[str, Message]] = read_table("""
[dhcpddns]
W   DHCP_DDNS_SECURITY_CHECKS_DISABLED Invoked with command line option -X, Security checks are disabled!!

[commands]
E   HTTP_COMMAND_MGR_HTTPS_SERVICE_REUSE_FAILED failed to reused HTTPS service bound to address: %1 port: %2
I   HTTP_COMMAND_MGR_HTTPS_SERVICE_UPDATED reused HTTPS service bound to address: %1 port: %2 and updated TLS settings
E   HTTP_COMMAND_MGR_HTTP_SERVICE_REUSE_FAILED failed to reused HTTP service bound to address: %1 port: %2
I   HTTP_COMMAND_MGR_HTTP_SERVICE_UPDATED reused HTTP service bound to address: %1 port: %2
I   HTTP_COMMAND_MGR_SERVICE_STARTED started %1 service bound to address: %2 port: %3
I   HTTP_COMMAND_MGR_SERVICE_STOPPING Server is stopping %1 service %2

[http]
D40 HTTP_BAD_CLIENT_REQUEST_RECEIVED bad request received from %1: %2
D45 HTTP_BAD_CLIENT_REQUEST_RECEIVED_DETAILS detailed information about bad request received from %1:\\n%2
D40 HTTP_CLIENT_REQUEST_RECEIVED received HTTP request from %1
D45 HTTP_CLIENT_REQUEST_RECEIVED_DETAILS detailed information about well-formed request received from %1:\\n%2
D50 HTTP_CLIENT_REQUEST_TIMEOUT_OCCURRED HTTP request timeout occurred when communicating with %1
I   HTTP_CONNECTION_HANDSHAKE_FAILED TLS handshake with %1 failed with %2
D50 HTTP_CONNECTION_HANDSHAKE_START start TLS handshake with %1 with timeout %2
D40 HTTP_CONNECTION_SHUTDOWN shutting down HTTP connection from %1
E   HTTP_CONNECTION_SHUTDOWN_FAILED shutting down HTTP connection failed
D40 HTTP_CONNECTION_STOP stopping HTTP connection from %1
E   HTTP_CONNECTION_STOP_FAILED stopping HTTP connection failed
D55 HTTP_DATA_RECEIVED received %1 bytes from %2
D50 HTTP_IDLE_CONNECTION_TIMEOUT_OCCURRED closing persistent connection with %1 as a result of a timeout
D50 HTTPS_REQUEST_RECEIVE_START start receiving request from %1
D50 HTTP_REQUEST_RECEIVE_START start receiving request from %1 with timeout %2
D40 HTTP_SERVER_RESPONSE_SEND sending HTTP response %1 to %2
D45 HTTP_SERVER_RESPONSE_SEND_DETAILS detailed information about response sent to %1:\\n%2

[auth]
I   HTTP_CLIENT_REQUEST_AUTHORIZED received HTTP request authorized for '%1'
I   HTTP_CLIENT_REQUEST_BAD_AUTH_HEADER received HTTP request with malformed authentication header: %1
I   HTTP_CLIENT_REQUEST_NOT_AUTHORIZED received HTTP request with not matching authentication header
I   HTTP_CLIENT_REQUEST_NO_AUTH_HEADER received HTTP request without required authentication header
""")  # noqa: E501  one message a line
"""Message ID to its entry."""

HTTP_MESSAGES: Final = {name: message for name, message in MESSAGES.items() if name.startswith("HTTP")}
"""Those of HTTP control sockets."""
