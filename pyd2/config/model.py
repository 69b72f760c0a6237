"""The checked configuration: frozen values, named as in Kea's configuration.

The rest of the daemon reads these and no dicts. Texts (names, algorithm) are kept as typed, because
config-get, the checks for duplicates and the zone that is sent use them so (contract, sections 2.2 and 2.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pyd2.config.addresses import Address, address_text
from pyd2.config.switches import PageSwitches, ServerSwitches, Switches
from pyd2.data.element import NOWHERE, Element, Position

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyd2.config.sockets.unix_rules import UnixSocketRules

NO_FILES: Final = frozenset({"stdout", "stderr", "syslog"})
"""Outputs of loggers that are no files; others begin with SYSLOG_PREFIX."""
SYSLOG_PREFIX: Final = "syslog:"

_NONE_SHOWN: Final[Mapping[str, Element]] = {}


class TsigKey(NamedTuple):
    """An entry of ``tsig-keys``."""

    name: str
    algorithm: str
    """As typed, such as ``HMAC-SHA256`` or ``hmac-md5``."""
    digest_bits: int
    secret: bytes
    """The decoded secret."""
    secret_text: str | None
    """The base64 text of ``secret``; None when ``secret-file`` gave it."""
    secret_file: str | None
    user_context: Element | None
    position: Position = NOWHERE

    def __repr__(self) -> str:
        """Leave the secret out."""
        return f"TsigKey(name={self.name!r}, algorithm={self.algorithm!r})"


class DnsServer(NamedTuple):
    """An entry of ``dns-servers``."""

    address: Address
    port: int
    key_name: str
    """The server's own ``key-name``; empty: the domain's key is used."""
    key: TsigKey | None
    """The key in force: the server's own, else the domain's, else none."""
    user_context: Element | None
    position: Position = NOWHERE
    switches: ServerSwitches = ServerSwitches()
    """The switches in force for this server."""


class DdnsDomain(NamedTuple):
    """An entry of ``ddns-domains``."""

    name: str
    key_name: str
    servers: tuple[DnsServer, ...]
    user_context: Element | None
    position: Position = NOWHERE
    switches: ServerSwitches = ServerSwitches()
    """The switches in force for this domain; a server may have its own."""


class HookLibrary(NamedTuple):
    """An entry of ``hooks-libraries``."""

    library: str
    """The full path, ``python:package.module``, or ``GSS_TSIG`` of pyd2.config.hooks_libraries."""
    parameters: Element | None
    """The ``parameters`` map; None when absent."""
    position: Position = NOWHERE
    directory: str = ""
    """The directory of hook libraries: a ``python:`` module may be found below it."""
    shown: str = ""
    """The library as config-get shows it; empty: by ``library``."""


class OutputOption(NamedTuple):
    """An entry of a logger's ``output-options``."""

    output: str
    """``stdout``, ``stderr``, ``syslog``, ``syslog:NAME``, or the path of a file."""
    flush: bool = True
    maxsize: int = 10240000
    """Bytes; 0: the file never rolls."""
    maxver: int = 1
    pattern: str = ""

    @property
    def is_file(self) -> bool:
        """Whether the output is a file."""
        return self.output not in NO_FILES and not self.output.startswith(SYSLOG_PREFIX)


class Logger(NamedTuple):
    """An entry of ``loggers``."""

    name: str
    severity: str
    """DEBUG, INFO, WARN, ERROR, FATAL or NONE."""
    debuglevel: int
    outputs: tuple[OutputOption, ...]
    user_context: Element | None


class UnixSocket(NamedTuple):
    """A control socket of the type ``unix``."""

    path: str
    """The full path, of at most 107 bytes."""
    element: Element
    """The whole map, for config-get and for comparing old and new."""
    directory: str
    """The directory of control sockets, whose permissions are checked."""
    rules: UnixSocketRules


class HttpClient(NamedTuple):
    """A client that may send commands over HTTP, by Basic authentication."""

    user: str
    password: str
    role: str
    """``all``, or ``read``: commands that change nothing."""

    def __repr__(self) -> str:
        """Leave the password out."""
        return f"HttpClient(user={self.user!r}, role={self.role!r})"


class Authentication(NamedTuple):
    """How the clients of an HTTP control socket are known."""

    realm: str
    clients: tuple[HttpClient, ...]
    """Empty: every client is let in, as with Kea."""


class TlsFiles(NamedTuple):
    """The files of a socket that speaks TLS."""

    trust_anchor: str
    """A file of CA certificates, or a directory of them."""
    cert_file: str
    key_file: str
    cert_required: bool
    """Whether a client must show a certificate that the trust anchor has signed."""


class HttpSocket(NamedTuple):
    """A control socket of the type ``http`` or ``https``, of Kea 3.0."""

    address: Address
    port: int
    """0: any free port."""
    tls: TlsFiles | None
    authentication: Authentication | None
    headers: tuple[tuple[str, str], ...]
    """Names and values that each answer carries, after those of the server."""
    element: Element
    """The whole map, for config-get and for comparing old and new."""
    pages: PageSwitches = PageSwitches()
    """What it shows by GET."""


ControlSocket: TypeAlias = UnixSocket | HttpSocket
"""A control socket of any type."""


class Config(NamedTuple):
    """A whole configuration of the DHCP-DDNS server."""

    ip_address: Address
    port: int
    dns_server_timeout: int
    """Milliseconds that a try waits for its reply."""
    ncr_protocol: str
    ncr_format: str
    tsig_keys: tuple[TsigKey, ...]
    forward_domains: tuple[DdnsDomain, ...]
    reverse_domains: tuple[DdnsDomain, ...]
    control_sockets: tuple[ControlSocket, ...]
    """In the order of the configuration; Kea 2.6 knows one at most."""
    hooks_libraries: tuple[HookLibrary, ...]
    loggers: tuple[Logger, ...]
    user_context: Element | None
    hooks_position: Position = NOWHERE
    """The place of the ``hooks-libraries`` list."""
    switches: Switches = Switches()
    sockets_shown: Mapping[str, Element] = _NONE_SHOWN
    """The members by which config-get shows the control sockets."""

    @property
    def observed(self) -> bool:
        """Whether ends of requests and replies of servers are counted: for metrics, page or history."""
        return self.switches.history.enabled or any(pages.any for pages in self._pages)

    @property
    def web(self) -> bool:
        """Whether some control socket has the web page."""
        return any(pages.web for pages in self._pages)

    @property
    def operable(self) -> bool:
        """Whether the web page of some control socket may change something."""
        return any(pages.web == "operate" for pages in self._pages)

    @property
    def _pages(self) -> Iterator[PageSwitches]:
        return (socket.pages for socket in self.control_sockets if isinstance(socket, HttpSocket))

    def summary(self) -> str:
        """Return the text of DCTL_CONFIG_COMPLETE: where the server listens."""
        return f"listening on {address_text(self.ip_address)}, port {self.port}, using {self.ncr_protocol}"
