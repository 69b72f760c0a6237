"""pyd2's own switches, in the ``user-context`` under ``"pyd2"``, where Kea accepts and ignores them.

Without them pyd2 does what Kea does. An unknown key is an error, so that a typing mistake cannot leave a
safety measure off in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from pyd2.config.policy import PolicySwitches, read_keep
from pyd2.config.tls import TlsError, TlsSwitches
from pyd2.config.values import Choice, Number, invalid_type, read_value
from pyd2.data.element import NOWHERE, Position
from pyd2.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from pyd2.config.nats.switches import NatsSwitches
    from pyd2.config.values import Rule
    from pyd2.data.element import Element

DEFAULT_MAX_ENTRIES: Final = 1_000_000


class QueueSwitches(NamedTuple):
    """Where accepted requests are kept."""

    type: str = "memory"
    directory: str = "/var/lib/kea"
    max_entries: int = DEFAULT_MAX_ENTRIES
    position: Position = NOWHERE
    """The place of the block."""
    nats: NatsSwitches | None = None
    """What the type ``nats`` has besides."""

    @property
    def on_disk(self) -> bool:
        """Whether requests are in a file of this machine, at first or until they are done."""
        return self.type != "memory"

    def needs_restart(self, before: QueueSwitches) -> bool:
        """Whether a daemon that works by ``before`` cannot change to this while it runs."""
        changed = before._replace(max_entries=self.max_entries, position=self.position) != self
        return changed and (self.nats is not None or before.nats is not None)


class RetrySwitches(NamedTuple):
    """Retries of failed changes; delays in seconds."""

    enabled: bool = False
    initial_delay: float = 1.0
    max_delay: float = 300.0


class FailoverSwitches(NamedTuple):
    """Whether the next server is tried where Kea gives the request up."""

    enabled: bool = False
    breaker_threshold: int = 5
    partial_success: bool = False


class LaneSwitches(NamedTuple):
    """The in-flight window and the transport towards a DNS server."""

    max_in_flight: int | None = None
    """Updates in flight at a time; None: the window adapts to the server, from 32 to 96."""
    transport: str = "udp"
    """``udp``, with TCP for messages too long for UDP, ``tcp`` or ``tls``."""
    tls_mode: str = "strict"
    tls_hostname: str = ""
    tls_ca_file: str = ""
    tls_cert_file: str = ""
    tls_key_file: str = ""
    batch: int = 1
    """Updates in one message at most, where they would wait for a free place; 1: each has its own."""

    @property
    def tls(self) -> TlsSwitches | None:
        """The settings of TLS; None for the other transports."""
        if self.transport != "tls":
            return None
        return TlsSwitches(
            self.tls_mode, self.tls_hostname, self.tls_ca_file, self.tls_cert_file, self.tls_key_file
        )


class MetricsSwitches(NamedTuple):
    """What metrics show, on the sockets that show them."""

    max_zones: int = 1000
    """Zones that are shown one by one, the first of the configuration; all others together as ``other``."""


class HistorySwitches(NamedTuple):
    """What is kept of the requests that have ended, and for how long."""

    enabled: bool = False
    directory: str = "/var/lib/kea"
    max_entries: int = 1_000_000
    max_bytes: int = 256 << 20
    keep_days: int = 30
    what: str = "all"
    """``all``, or ``failures``: all but the requests that are done."""


class PageSwitches(NamedTuple):
    """What an HTTP control socket shows by GET, beside the commands that come by POST."""

    metrics: bool = False
    """Whether ``/metrics`` is there."""
    web: bool | str = False
    """Whether the web page is there; ``operate``: and lets clients that may do all change something."""
    web_hosts: tuple[str, ...] = ()
    """The names, in lower case, by which the socket may be addressed; addresses and localhost always may."""

    @property
    def any(self) -> bool:
        """Whether there is anything to GET."""
        return self.metrics or bool(self.web)


class ServerSwitches(NamedTuple):
    """The switches that a domain may set for itself, and a server all but ``policy``."""

    retry: RetrySwitches = RetrySwitches()
    failover: FailoverSwitches = FailoverSwitches()
    lanes: LaneSwitches = LaneSwitches()
    policy: PolicySwitches = PolicySwitches()


class Switches(NamedTuple):
    """All switches of the global user-context."""

    queue: QueueSwitches = QueueSwitches()
    servers: ServerSwitches = ServerSwitches()
    """What all domains and servers inherit."""
    expired: str = "keep"
    """``keep`` or ``drop``: what to do with an add whose lease has expired."""
    redact_secrets: bool = False
    """Whether config-get shows ``*****`` for secrets."""
    gss_tsig: str = "auto"
    """``auto`` or ``builtin``: whether pyd2's own GSS-TSIG is used where Kea's library is installed, too."""
    metrics: MetricsSwitches = MetricsSwitches()
    history: HistorySwitches = HistorySwitches()
    capture: bool = False
    """Whether commands may capture requests and updates into a file."""


_YES_NO: Final = Choice((False, True))

_QUEUE: Final[Mapping[str, Rule]] = {
    "type": Choice(("memory", "durable", "nats")),
    "directory": str,
    "max-entries": Number(1, 2**31 - 1),
}
_RETRY: Final[Mapping[str, Rule]] = {
    "enabled": _YES_NO,
    "initial-delay": Number(0.001, 86400, whole=False),
    "max-delay": Number(0.001, 86400, whole=False),
}
_FAILOVER: Final[Mapping[str, Rule]] = {
    "enabled": _YES_NO,
    "breaker-threshold": Number(1, 1000),
    "partial-success": _YES_NO,
}
_LANES: Final[Mapping[str, Rule]] = {
    "max-in-flight": Number(1, 65535),
    "transport": Choice(("udp", "tcp", "tls")),
    "tls-mode": Choice(("strict", "opportunistic")),
    "tls-hostname": str,
    "tls-ca-file": str,
    "tls-cert-file": str,
    "tls-key-file": str,
    "batch": Number(1, 500),
}
_METRICS: Final[Mapping[str, Rule]] = {"max-zones": Number(0, 1_000_000)}
_HISTORY: Final[Mapping[str, Rule]] = {
    "enabled": _YES_NO,
    "directory": str,
    "max-entries": Number(1, 2**31 - 1),
    "max-bytes": Number(1 << 20, 2**40),
    "keep-days": Number(1, 36500),
    "what": Choice(("all", "failures")),
}
_POLICY: Final[Mapping[str, Rule]] = {
    "dual-stack": Choice(("off", "per-family", "same-host")),
    "dhcp4-socket": str,
    "dhcp6-socket": str,
    "remove-yxrrset": Choice(("fail", "done")),
    "adopt": Choice(("never", "same-address")),
}
_KEEP: Final = "keep"
_OVERRIDES: Final = {"retry": _RETRY, "failover": _FAILOVER, "lanes": _LANES}
_OF_DOMAINS: Final = {**_OVERRIDES, "policy": _POLICY}
_BLOCKS: Final = {"queue": _QUEUE, "metrics": _METRICS, "history": _HISTORY, **_OF_DOMAINS}
_CLIENT: Final[Mapping[str, Rule]] = {"role": Choice(("all", "read"))}
_GLOBAL_VALUES: Final[Mapping[str, Rule]] = {
    "expired": Choice(("keep", "drop")),
    "redact-secrets": _YES_NO,
    "capture": _YES_NO,
    "gss-tsig": Choice(("auto", "builtin")),
}

_PAGES: Final[Mapping[str, Rule]] = {"metrics": _YES_NO, "web": Choice((False, True, "operate"))}
_HOSTS: Final = "web-hosts"
HTTP: Final = "http"
"""The list of HTTP control sockets; ``pyd2.config.sockets.own_sockets`` reads it."""

_Block = TypeVar(
    "_Block", QueueSwitches, HistorySwitches, MetricsSwitches, RetrySwitches, FailoverSwitches, LaneSwitches
)


def known_parameters(name: str) -> Iterable[str]:
    """Return the parameters of a map by its name in messages, such as ``pyd2`` or ``pyd2.queue``."""
    if name == "pyd2":
        return [*_BLOCKS, *_GLOBAL_VALUES, HTTP]
    known = _BLOCKS.get(name.removeprefix("pyd2."), {})
    if known is _QUEUE:
        from pyd2.config.nats.switches import NAMES

        return [*known, *NAMES]
    return [*known, _KEEP] if known is _POLICY else [*known]


def parse_switches(user_context: Element | None) -> Switches:
    """Return the switches of the global user-context; raises ConfigError with the place of the fault."""
    own = _own(user_context)
    if own is None:
        return Switches()
    _check_keys(own, "pyd2", {**_BLOCKS, **_GLOBAL_VALUES, HTTP: None})
    return Switches(
        queue=_queue(own),
        servers=_overridden(own, ServerSwitches())._replace(policy=_policy(own, PolicySwitches())),
        metrics=_block(own, "metrics", _METRICS, MetricsSwitches()),
        history=_history(own),
        **_values(own, _GLOBAL_VALUES),
    )


def override_switches(user_context: Element | None, inherited: ServerSwitches) -> ServerSwitches:
    """Return the switches of a server, over those it inherits; raises ConfigError."""
    own = _own(user_context)
    if own is None:
        return inherited
    _check_keys(own, "pyd2", _OVERRIDES)
    return _overridden(own, inherited)


def domain_switches(user_context: Element | None, inherited: ServerSwitches) -> ServerSwitches:
    """Return the switches of a domain, over those it inherits; raises ConfigError."""
    own = _own(user_context)
    if own is None:
        return inherited
    _check_keys(own, "pyd2", _OF_DOMAINS)
    return _overridden(own, inherited)._replace(policy=_policy(own, inherited.policy))


def parse_role(user_context: Element | None) -> str:
    """Return the role of a client of an HTTP control socket: ``all`` or ``read``; raises ConfigError."""
    own = _own(user_context)
    if own is None:
        return "all"
    _check_keys(own, "pyd2", _CLIENT)
    return str(_values(own, _CLIENT).get("role", "all"))


def parse_pages(user_context: Element | None) -> PageSwitches:
    """Return the switches of an HTTP control socket; raises ConfigError."""
    own = _own(user_context)
    if own is None:
        return PageSwitches()
    _check_keys(own, "pyd2", {*_PAGES, _HOSTS})
    return PageSwitches(web_hosts=_hosts(own.get(_HOSTS)), **_values(own, _PAGES))


def _hosts(names: Element | None) -> tuple[str, ...]:
    if names is None:
        return ()
    if not isinstance(names.value, list):
        raise invalid_type(names, _HOSTS)
    for name in names.value:
        if not isinstance(name.value, str):
            raise invalid_type(name, _HOSTS)
    return tuple(name.string_value().lower() for name in names.value)


def own_sockets(user_context: Element | None) -> Sequence[Element]:
    """Return the HTTP control sockets of the global user-context, not yet read; raises ConfigError."""
    own = _own(user_context)
    sockets = None if own is None else own.get(HTTP)
    if sockets is None:
        return ()
    if not isinstance(sockets.value, list):
        raise invalid_type(sockets, HTTP)
    return sockets.value


def check_no_switches(user_context: Element | None) -> None:
    """Check a user-context in which no switch has a meaning; raises ConfigError."""
    own = _own(user_context)
    if own is not None:
        _check_keys(own, "pyd2", ())


def _own(user_context: Element | None) -> Element | None:
    """Return the member ``pyd2``, which must be a map. From a command, a user-context can be anything."""
    if user_context is None or not isinstance(user_context.value, dict):
        return None
    own = user_context.get("pyd2")
    if own is not None and not isinstance(own.value, dict):
        raise invalid_type(own, "pyd2")
    return own


def _queue(own: Element) -> QueueSwitches:
    block = own.get("queue")
    if block is None:
        return QueueSwitches()
    if not isinstance(block.value, dict):
        raise invalid_type(block, "queue")
    if (kind := block.get("type")) is None or kind.value != "nats":
        queue = _block(own, "queue", _QUEUE, QueueSwitches())
    else:
        from pyd2.config.nats import switches as nats

        _check_keys(block, "pyd2.queue", {*_QUEUE, *nats.NAMES})
        queue = QueueSwitches(**_values(block, _QUEUE), nats=nats.read_nats(block))
    return queue._replace(position=_checked_directory(block).position)


def _history(own: Element) -> HistorySwitches:
    history = _block(own, "history", _HISTORY, HistorySwitches())
    block = own.get("history")
    if block is not None:
        _checked_directory(block)
    return history


def _checked_directory(block: Element) -> Element:
    """Return the ``directory`` of a block, if it has one, else the block."""
    directory = block.get("directory")
    if directory is not None and not directory.string_value().startswith("/"):
        raise ConfigError(f"'directory' must be an absolute path ({directory.position})")
    return directory or block


def _overridden(own: Element, inherited: ServerSwitches) -> ServerSwitches:
    retry = _block(own, "retry", _RETRY, inherited.retry)
    if retry.max_delay < retry.initial_delay:
        block = own.get("retry")
        assert block is not None
        raise ConfigError(f"'max-delay' must not be less than 'initial-delay' ({block.position})")
    return inherited._replace(
        retry=retry,
        failover=_failover(own, inherited.failover),
        lanes=_lanes(own, inherited.lanes),
    )


def _failover(own: Element, inherited: FailoverSwitches) -> FailoverSwitches:
    failover = _block(own, "failover", _FAILOVER, inherited)
    block = own.get("failover")
    if block is not None and not failover.enabled:
        partial = block.get("partial-success")
        if partial is not None and partial.value is True:
            raise ConfigError(f"'partial-success' has no effect without 'enabled' true ({partial.position})")
    return failover


def _policy(own: Element, inherited: PolicySwitches) -> PolicySwitches:
    block = own.get("policy")
    if block is None:
        return inherited
    if not isinstance(block.value, dict):
        raise invalid_type(block, "policy")
    _check_keys(block, "pyd2.policy", {*_POLICY, _KEEP})
    keep = block.get(_KEEP)
    names = inherited.keep if keep is None else read_keep(keep)
    policy = inherited._replace(**_values(block, _POLICY), keep=names)
    for name, path in (("dhcp4-socket", policy.dhcp4_socket), ("dhcp6-socket", policy.dhcp6_socket)):
        element = block.get(name) or block
        if path and not path.startswith("/"):
            raise ConfigError(f"'{name}' must be an absolute path ({element.position})")
        if policy.dual_stack == "same-host" and not path:
            raise ConfigError(f"'dual-stack' same-host needs '{name}' ({element.position})")
    return policy


def _lanes(own: Element, inherited: LaneSwitches) -> LaneSwitches:
    lanes = _block(own, "lanes", _LANES, inherited)
    block = own.get("lanes")
    if block is not None and lanes.tls is not None:
        try:
            lanes.tls.make_context()
        except TlsError as error:
            raise ConfigError(f"{error} ({block.position})") from error
    return lanes


def _block(own: Element, name: str, rules: Mapping[str, Rule], inherited: _Block) -> _Block:
    """Return the block's switches: those in the map, and for the rest the inherited."""
    block = own.get(name)
    if block is None:
        return inherited
    if not isinstance(block.value, dict):
        raise invalid_type(block, name)
    _check_keys(block, f"pyd2.{name}", rules)
    return inherited._replace(**_values(block, rules))


def _values(scope: Element, rules: Mapping[str, Rule]) -> dict[str, Any]:
    """Return the values of those members that have a rule, by the names of their fields."""
    return {
        key.replace("-", "_"): read_value(scope, key, rules[key])
        for key in scope.map_value() if key in rules
    }


def _check_keys(scope: Element, name: str, known: Container[str]) -> None:
    for key, element in scope.map_value().items():
        if key not in known:
            raise ConfigError(f"unknown parameter '{key}' in {name} map ({element.position})")
