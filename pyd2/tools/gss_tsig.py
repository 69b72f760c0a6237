"""``pyd2ctl gss-tsig check``: tries GSS-TSIG with each DNS server, and says in plain words what is wrong."""

from __future__ import annotations

import os
import time
from pathlib import Path
from secrets import randbits, token_hex
from typing import TYPE_CHECKING, NamedTuple

from pyd2.config.addresses import address_text
from pyd2.config.lexer import read_first_config_file
from pyd2.config.parse import parse_element, read_file
from pyd2.config.paths import Directories
from pyd2.data.controls import escaped
from pyd2.dns.constants import Opcode, Rcode, RRClass, RRType, rcode_text
from pyd2.dns.names import parse_name
from pyd2.dns.reply import read_reply
from pyd2.errors import BadReply, ConfigError, HookError, ReplyError
from pyd2.hooks.gss import advice
from pyd2.hooks.gss.echoes import CAUSES
from pyd2.hooks.gss.exchange import Status, TkeyExchange
from pyd2.hooks.gss.gssapi import Credential, GssError, library
from pyd2.hooks.gss.keys import KeyRing, ManagedKey
from pyd2.hooks.gss.keytab import principals
from pyd2.hooks.gss.manager import open_security_context, run_exchange
from pyd2.hooks.gss.matching import match
from pyd2.hooks.gss.messages import GssLog
from pyd2.hooks.gss.parameters import parse_parameters
from pyd2.hooks.gss.transport import ask
from pyd2.tools.kea import add_kea_option, kea_profile

if TYPE_CHECKING:
    import argparse

    from pyd2.config.model import Config, HookLibrary
    from pyd2.hooks.gss.gssapi import Context
    from pyd2.hooks.gss.parameters import GssServer, Parameters
    from pyd2.messages import Severity
    from pyd2.profiles.profile import Profile

_FILE = "libddns_gss_tsig.so"


class _Silent:
    """A log that writes nothing: the check prints what happens."""

    on: frozenset[str] = frozenset()

    def emit(self, message_id: str, *arguments: object) -> None:
        """Do nothing."""

    def logger(self, _name: str) -> _Silent:
        """Return itself."""
        return self

    def enabled(self, _severity: Severity, _debuglevel: int = 0) -> bool:
        """Nothing is written."""
        return False

    def message(self, severity: Severity, debuglevel: int, message_id: str, text: str) -> None:
        """Do nothing."""


class _Failed(Exception):  # noqa: N818  an outcome of a check
    """A check has failed; the text says what is wrong, and what to do."""


class _Agreed(NamedTuple):
    """A key that client and server have agreed on."""

    key: ManagedKey
    server: GssServer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``pyd2ctl gss-tsig``."""
    parser.add_argument("action", choices=["check"], help="try it with each DNS server, and change nothing")
    parser.add_argument("config", metavar="FILE", help="the daemon's configuration")
    parser.add_argument("--server", metavar="ID", help="only the server of this id")
    add_kea_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print what works and what does not, step by step; exit status 0 if all works."""
    try:
        config, parameters = _read(arguments.config, kea_profile(arguments))
        library()
    except (ConfigError, HookError, GssError) as error:
        _say("FAIL", str(error))
        return 1
    servers = [server for server in parameters.servers if arguments.server in {None, server.id}]
    if not servers:
        _say("FAIL", "there is no such server in the parameters")
        return 1
    return max(_check(server, parameters, config) for server in servers)


def _read(file: str, profile: Profile) -> tuple[Config, Parameters]:
    """Return the configuration and the parameters in it. Raises ConfigError or HookError."""
    directories = Directories.from_environment(os.environ, profile.config.paths)
    root = read_file(file, profile.config, read=read_first_config_file)
    config = parse_element(root, profile.config, directories)
    entry = next((entry for entry in config.hooks_libraries if _is_gss_tsig(entry)), None)
    if entry is None:
        raise ConfigError(f"the configuration has no hooks library {_FILE}")
    parameters = parse_parameters(entry.parameters)
    try:
        match(config, parameters.servers)
    except HookError as error:
        raise HookError(f"gss_tsig config mismatch: {error}") from None
    return config, parameters


def _is_gss_tsig(entry: HookLibrary) -> bool:
    return (entry.shown or entry.library).endswith(_FILE) or entry.library.endswith(_FILE)


def _check(server: GssServer, parameters: Parameters, config: Config) -> int:
    """Check one server; return the exit status."""
    endpoint = f"{address_text(server.address)} port {server.port}"
    print(escaped(f"server {server.id}: {endpoint}, {server.server_principal}"))
    try:
        _check_credentials(server, parameters)
        agreed = _agree(server, parameters)
        zones = _zones(server, config)
        for zone in zones:
            _check_policy(agreed, zone)
        if any(_refuses_dhcids(agreed, zone) for zone in zones):
            _say("note", _NO_DHCID)
    except _Failed as failed:
        _say("FAIL", str(failed))
        return 1
    return 0


def _check_keytab(server: GssServer, parameters: Parameters) -> None:
    """Look into the keytab: what Kerberos says about it is only that there are no credentials."""
    kind, colon, path = parameters.client_keytab.rpartition(":")
    if not path or (colon and kind.upper() != "FILE"):
        return
    try:
        found = principals(Path(path).read_bytes())
    except FileNotFoundError:
        raise _Failed(f"client-keytab {path} does not exist") from None
    except (OSError, ValueError) as error:
        text = f"client-keytab {path} cannot be read: {error}"
        raise _Failed(_with_advice(text, advice.of_kerberos(str(error)))) from None
    wanted = server.client_principal
    if wanted and "@" in wanted and wanted not in found:
        known = ", ".join(sorted(found)) or "none"
        missing = f"client-keytab {path} has no key of client-principal {wanted}"
        raise _Failed(f"{missing}. It has those of: {known}")


def _check_credentials(server: GssServer, parameters: Parameters) -> None:
    _check_keytab(server, parameters)
    try:
        credential = _credential(server, parameters)
        principal = credential.principal()
    except GssError as error:
        raise _Failed(_with_advice(str(error), advice.of_kerberos(str(error)))) from None
    _say("ok", f"credentials of {principal}, valid for {_duration(credential.lifetime)}")
    if credential.lifetime < server.lifetime:
        text = (f"the ticket ends in {_duration(credential.lifetime)}, but a key needs "
                f"{_duration(server.lifetime)} (tkey-lifetime)")
        raise _Failed(_with_advice(text, advice.of_kerberos("too short credential lifetime")))


def _credential(server: GssServer, parameters: Parameters) -> Credential:
    keytab, cache = parameters.client_keytab, parameters.credentials_cache
    if keytab and not cache:
        cache = "MEMORY:pyd2ctl"
    return Credential(server.client_principal, keytab, cache)


def _agree(server: GssServer, parameters: Parameters) -> _Agreed:
    """Agree on a key with the server."""
    log = GssLog(_Silent())
    ring = KeyRing(server, log, time.time)
    key = ManagedKey(ring, f"{randbits(32)}.{server.key_name_suffix}", time.time())
    failure: list[str] = []

    def open_context() -> Context:
        return open_security_context(server, parameters)

    exchange = TkeyExchange(
        key.name, key.inception, server.lifetime, open_context, log.emit, failure.append, lambda: randbits(16)
    )
    run_exchange(exchange, lambda message: ask(server, message))
    if exchange.status is not Status.SUCCESS:
        text = exchange.problem
        raise _Failed(_with_advice(text, advice.of_kerberos(text) or advice.of_server(text)))
    lifetime = exchange.context.lifetime()
    key.establish(exchange.context, time.time())
    _say("ok", f"the server and this host agree on a key, valid for {_duration(lifetime)}")
    return _Agreed(key, server)


def _zones(server: GssServer, config: Config) -> list[str]:
    """Return the zones that are updated at the server."""
    return sorted({
        domain.name
        for domain in (*config.forward_domains, *config.reverse_domains) if domain.name != "*"
        for one in domain.servers
        if (one.address, one.port) == (server.address, server.port)
        and (not server.domains or domain.name in server.domains)
    })


def _check_policy(agreed: _Agreed, zone: str) -> None:
    """Ask the server to remove a name that does not exist: that takes the right to change names."""
    name = f"pyd2-check-{token_hex(4)}.{zone}"
    rcode = _update(agreed, zone, _any(name, RRType.A))
    if rcode:
        refused = f"the server refuses the removal of {name}, which does not exist, with {rcode_text(rcode)}"
        text = f"zone {zone}: {refused}"
        raise _Failed(_with_advice(text, _POLICY if rcode in _OF_POLICY else CAUSES.get(rcode, "")))
    _say("ok", f"zone {zone} takes updates of this account")


def _refuses_dhcids(agreed: _Agreed, zone: str) -> bool:
    """Have the server add a record to a new name and remove it again: a DHCID, or if it fails that another.

    BIND with Samba's module fails only when it is to add a DHCID (``update/drive/dhcid_support.py``). If the
    other one succeeds, the DHCID has to fail again: the server's trouble may have ended in between.
    """
    name = f"pyd2-check-{token_hex(4)}.{zone}"

    def add(rdtype: RRType, data: bytes) -> int:
        return _update(agreed, zone, _record(name, rdtype, data), _any(name, rdtype))

    def fails_dhcid() -> bool:
        return add(RRType.DHCID, _DHCID) in _OF_DHCIDS

    refuses = fails_dhcid() and add(RRType.A, bytes(4)) == Rcode.NOERROR and fails_dhcid()
    _update(agreed, zone, _any(name, RRType.ANY))  # PowerDNS removes before it adds
    return refuses


def _update(agreed: _Agreed, zone: str, *changes: bytes) -> int:
    """Return the RCODE of the server's answer to an update. Raises _Failed."""
    counts = (0, Opcode.UPDATE << 11, 1, 0, len(changes), 0)
    header = b"".join(number.to_bytes(2, "big") for number in counts)
    question = parse_name(zone) + RRType.SOA.to_bytes(2, "big") + RRClass.IN.to_bytes(2, "big")
    context = agreed.key.create_context()
    now = int(time.time())
    try:
        message = context.sign(header + question + b"".join(changes), randbits(16), now)
        reply = ask(agreed.server, message)
        return read_reply(reply, context, now)
    except TimeoutError:
        raise _Failed(f"zone {zone}: the server does not answer an update") from None
    except ReplyError as error:
        rcode = reply[3] & 15
        if error.reason is BadReply.ECHO and rcode:
            return rcode  # the daemon would not believe it, but says so, too
        raise _Failed(f"zone {zone}: {error}") from None
    except (OSError, GssError) as error:
        raise _Failed(f"zone {zone}: {error}") from None


_NO_DHCID = (
    "the server takes no DHCID records, as Samba: set ddns-conflict-resolution-mode no-check-without-dhcid "
    "in the DHCP server, as no other mode works there"
)
_DHCID = b"\0\1\1" + bytes(32)
_OF_DHCIDS = frozenset({int(Rcode.NOTIMP), int(Rcode.SERVFAIL)})
_POLICY = (
    "the account may not change this zone. BIND: grant it in update-policy, in quotes, such as "
    '\'grant "DHCP/d2.example.org@EXAMPLE.ORG" zonesub ANY;\'. Windows: set dynamic updates of the zone to '
    "secure and give the account the right to create objects in it"
)
_OF_POLICY = frozenset({5, 9})


def _any(name: str, rdtype: RRType) -> bytes:
    """Return what removes an RRset in an update; with ANY all of a name."""
    return parse_name(name) + rdtype.to_bytes(2, "big") + RRClass.ANY.to_bytes(2, "big") + bytes(6)


def _record(name: str, rdtype: RRType, data: bytes) -> bytes:
    """Return a record with the TTL 0."""
    head = parse_name(name) + rdtype.to_bytes(2, "big") + RRClass.IN.to_bytes(2, "big") + bytes(4)
    return head + len(data).to_bytes(2, "big") + data


def _with_advice(text: str, what_to_do: str) -> str:
    return f"{text}\n       {what_to_do}" if what_to_do else text


def _duration(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} s"
    minutes = seconds // 60
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _say(outcome: str, text: str) -> None:
    for line in f"  {outcome:4} {text}".split("\n"):
        print(escaped(line))
