"""The recorded cases in which pyd2 differs on purpose, and its own behaviour there.

Each deviation names the paragraph of docs/differences.md that gives the reason. It turns the recorded
outcome into pyd2's by editing a copy of it; everything that it doesn't touch must be as recorded. It applies
to the cases of all recordings, or to those of one series of Kea.
"""

import copy
import hashlib
import importlib.metadata
import json
import platform
import re
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.conformance.recordings import Recording

Outcome = dict[str, Any]

_ID = "000101C4DAB1D7E0C2BB6C9E4A4E4B8D4B34F2AB9FEE2D0C0CD2A1A8F1BB0CD1F4B5A0"
_DNS_LOGGER = "kea-dhcp-ddns.d2-to-dns"
_HEADER = 24  # hex digits


@dataclass(frozen=True)
class Deviation:
    """Where it applies, why, and the edit. `names` is a regular expression for the whole name."""

    kind: str
    names: str
    paragraph: str
    edit: Callable[[str, Outcome, Recording], None]
    series: str = ""
    """Of which Kea the cases are, such as 2.6; empty: of any."""

    def meant_for(self, recording: Recording) -> bool:
        """Whether the deviation may apply to cases of a recording."""
        return self.series in {"", recording.series}


def applying(recording: Recording, kind: str, name: str) -> list[Deviation]:
    """Return the deviations that are meant for a case."""
    return [deviation for deviation in DEVIATIONS if deviation.kind == kind
            and deviation.meant_for(recording) and re.fullmatch(deviation.names, name)]


def expected(recording: Recording, kind: str, name: str, recorded: Outcome) -> Outcome:
    """Return what pyd2 must do in a case."""
    outcome = copy.deepcopy(recorded)
    for deviation in applying(recording, kind, name):
        deviation.edit(name, outcome, recording)
    return outcome


# -------------------------------------------------------------------------------------- versions

def extended_version(release: str) -> str:
    """Return what pyd2 says of itself with -V, without the last newline."""
    names = ("cffi", "dnspython", "h11", "orjson", "uvloop")
    parts = [f"- {name} {importlib.metadata.version(name)}" for name in names]
    return "\n".join([f"{release} (pyd2 {importlib.metadata.version('pyd2')})", "premium: no", "linked with:",
                      f"- Python {platform.python_version()}", *parts, f"- {ssl.OPENSSL_VERSION}"])


def _version_option(name: str, outcome: Outcome, recording: Recording) -> None:
    outcome["stdout"] = extended_version(recording.release) + "\n"


def _version_command(name: str, outcome: Outcome, recording: Recording) -> None:
    for step in outcome["steps"]:
        arguments = step.get("response", {}).get("arguments", {})
        if "extended" in arguments:
            old, new = arguments["extended"], extended_version(recording.release)
            arguments["extended"] = new
            step["response_text"] = step["response_text"].replace(json.dumps(old), json.dumps(new))


# --------------------------------------------------------------------------------- configurations

def _failed_check(text: str) -> list[list[str]]:
    complete = ("server has completed configuration check: listening on 127.0.0.1, port 53001, using UDP, "
                f"result: failure(1), text={text}")
    return [["ERROR", "kea-dhcp-ddns.dhcpddns", "DHCP_DDNS_CONFIG_CHECK_FAIL",
             f"DHCP-DDNS server configuration check failed: {text}"],
            ["INFO", "kea-dhcp-ddns.dctl", "DCTL_CONFIG_CHECK_COMPLETE", complete]]


def _missing_servers(name: str, outcome: Outcome, recording: Recording) -> None:
    """An error of the configuration, in the words of other missing parameters, instead of an abort."""
    text = f"missing parameter 'dns-servers' ({name}.json:3:37)"
    outcome["test"] = {"exit": 1, "stderr": f"Error encountered: {text}\n", "log": _failed_check(text)}
    outcome["start"]["exit"] = 1
    outcome["start"]["stderr"] = (
        "@TIME@ ERROR [kea-dhcp-ddns.dhcpddns/@PID@.@TID@] DHCP_DDNS_CONFIG_FAIL "
        f"DHCP-DDNS server configuration failed: {text}\n"
        "@TIME@ FATAL [kea-dhcp-ddns.dctl/@PID@.@TID@] DCTL_CONFIG_FILE_LOAD_FAIL "
        f"DhcpDdns reason: {text}\n"
        f"Service failed: Could Not load configuration file: {text}\n")


def _checked_like_a_start(name: str, outcome: Outcome, recording: Recording) -> None:
    """The check fails with the words with which the start was recorded to fail."""
    found = re.search(r"Could Not load configuration file: (.*)\n", outcome["start"]["stderr"])
    assert found is not None
    outcome["test"] = {"exit": 1, "stderr": f"Error encountered: {found.group(1)}\n",
                       "log": [["ERROR", "kea-dhcp-ddns.dctl", "DCTL_PARSER_FAIL",
                                f"Parser error: {found.group(1)}"]]}


def _refused_before_it_is_opened(name: str, outcome: Outcome, recording: Recording) -> None:
    """A socket that is known to fail isn't announced."""
    outcome["start"]["stderr"] = re.sub(r".* COMMAND_ACCEPTOR_START .*\n", "", outcome["start"]["stderr"])


def _warned_of_missing_dot(name: str, outcome: Outcome, recording: Recording) -> None:
    text = ("domain not a valid..name has no final dot; it is matched as not a valid..name. "
            f"({name}.json:4:37)")
    outcome["test"]["log"].insert(0, ["WARN", "kea-dhcp-ddns.dctl", "PYD2_DOMAIN_NO_FINAL_DOT", text])
    line = f"@TIME@ WARN  [kea-dhcp-ddns.dctl/@PID@.@TID@] PYD2_DOMAIN_NO_FINAL_DOT {text}\n"
    outcome["start"]["stderr"] = line + outcome["start"]["stderr"]


_SECRET_FAULTS = {
    "tsig-secret-not-base64": ("base64 char set: bogus!",
                               "base64 char set: character 6 of 6 is '!'"),
    "tsig-secret-bad-padding": ("left over c2VjcmV",
                                "left over: 7 characters, and the last one is wrong or others are missing"),
    "tsig-sec-13": ("left over AB==",
                    "left over: 4 characters, and the last one is wrong or others are missing"),
    "tsig-sec-7": ("for base64: ====", "for base64: 4 of 4 characters are '='"),
}


def _no_secret(name: str, outcome: Outcome, recording: Recording) -> None:
    """Where Kea shows the secret, the place of its fault."""
    shown, ours = _SECRET_FAULTS[name]
    for run in (outcome["test"], outcome["start"]):
        run["stderr"] = run["stderr"].replace(shown, ours)
        for entry in run["log"]:
            entry[3] = entry[3].replace(shown, ours)


def _controls_shown(name: str, outcome: Outcome, recording: Recording) -> None:
    """A control character in a log line is visible."""
    for run in (outcome["test"], outcome["start"]):
        run["stderr"] = run["stderr"].replace("\0", "\\x00")
        for entry in run["log"]:
            entry[3] = entry[3].replace("\0", "\\x00")


def _syslog_name(name: str, outcome: Outcome, recording: Recording) -> None:
    answer = outcome["start"]["config_get"].replace("@DIR@/syslog:", "syslog:")
    body = re.search(r'"arguments": (.*), "hash"', answer)
    assert body is not None
    digest = hashlib.sha256(f"{body.group(1)} }}".encode()).hexdigest().upper()
    outcome["start"]["config_get"] = answer.replace("@HASH@", digest)


_HINT = ("this configuration is right for Kea 3.0, but pyd2 behaves like Kea 2.6.3: to change that, write "
         "the release that you had, such as 3.0.4, into /etc/pyd2/kea-version and restart pyd2")


def _hint(name: str, outcome: Outcome, recording: Recording) -> None:
    """Which Kea would take the configuration, on the line behind the error."""
    test, start = outcome["test"], outcome["start"]
    test["stderr"] += f"{_HINT}\n"
    test["log"].append(["WARN", "kea-dhcp-ddns.dctl", "PYD2_CONFIG_OF_OTHER_KEA", _HINT])
    logged = f"@TIME@ WARN  [kea-dhcp-ddns.dctl/@PID@.@TID@] PYD2_CONFIG_OF_OTHER_KEA {_HINT}\n"
    before, failed = start["stderr"].split("Service failed: ")
    start["stderr"] = f"{before}{logged}Service failed: {failed}{_HINT}\n"


# ------------------------------------------------------------------------------------ transactions

def _one_id(name: str, outcome: Outcome, recording: Recording) -> None:
    for update in outcome["updates"]:
        if "tsig" in update:
            update["tsig"]["original_id_equals_header_id"] = True


def _ignored_reply(name: str, outcome: Outcome, recording: Recording) -> None:
    """The first try runs into its timeout; the second one, sent at that time, is answered."""
    log, statistics = outcome["log"], outcome["stats"]
    sent = next(number for number, entry in enumerate(log) if entry[2] == "DHCP_DDNS_UPDATE_REQUEST_SENT")
    status = f"Request ID {_ID}: to server: 127.0.0.1 port:53981 status: TIMEOUT"
    timeout = (f"DHCP_DDNS Request ID {_ID}: timed out waiting for a response to forward mapping add for "
               "FQDN host.example.com. to DNS server 127.0.0.1 port:53981")
    log[sent + 1:sent + 1] = [["DEBUG", _DNS_LOGGER, "DHCP_DDNS_UPDATE_RESPONSE_RECEIVED", status],
                              ["ERROR", _DNS_LOGGER, "DHCP_DDNS_FORWARD_ADD_TIMEOUT", timeout],
                              log[sent]]
    for counter in ("update-sent", "update-unsigned", "update-timeout"):
        statistics[counter] += 1


def _ten_rounds(name: str, outcome: Outcome, recording: Recording) -> None:
    """20 updates, each with two lines of log; then the failure that another RCODE would have led to."""
    success = outcome["log"].pop()
    request = success[3].split("for this request: ")[1]
    rejected = (f"DNS Request ID {_ID}: Server, 127.0.0.1 port:53981, rejected a DNS update request to "
                "replace the address mapping for FQDN, host.example.com., with an RCODE: 3")
    failed = (f"DHCP_DDNS Request ID {_ID}: Transaction outcome Status: Failed, Event: UPDATE_FAILED_EVT,  "
              f"Forward change: failed,  Reverse change: failed,  request: {request}")
    outcome["log"][2 + 40:] = [["ERROR", _DNS_LOGGER, "DHCP_DDNS_FORWARD_REPLACE_REJECTED", rejected],
                               ["ERROR", _DNS_LOGGER, "DHCP_DDNS_ADD_FAILED", failed]]
    outcome["final"] = ["DHCP_DDNS_ADD_FAILED"]
    outcome["updates"] = outcome["updates"][:20]
    for counter in ("update-sent", "update-success", "update-unsigned"):
        outcome["stats"][counter] = 20


def _dot_added(name: str, outcome: Outcome, recording: Recording) -> None:
    """The domain nodot.org, on server A, is matched before the wildcard, on server C."""
    first = outcome["updates"][0]
    first |= {"server": "A", "zone": ["nodot.org. IN SOA"]}
    zone, owner = "056e6f646f74036f726700" + "00060001", "0168" + "c00c"
    records = first["hex"].split("0168056e6f646f74036f726700")[1].replace("c013", "c01b")
    first["hex"] = first["hex"][:_HEADER] + zone + owner + records
    for entry in outcome["log"]:
        entry[3] = entry[3].replace("port:53983", "port:53981")


def _whole_over_tcp(update: Outcome, counts: str, prereq: list[str], records: list[str],
                    wire: str) -> None:
    """Describe an update that Kea cuts as it is with nothing left out; `counts` are those of the header."""
    update |= {"flags": "0x2800", "transport": "tcp", "prereq": prereq, "update": records,
               "hex": "00002800" + counts + wire}


_LONG_DHCID = "host.example.com. {} IN DHCID " + "q6ur" * 160
_LONG_RDATA = "01e0" + "ab" * 480


def _long_dhcid(name: str, outcome: Outcome, recording: Recording) -> None:
    first = outcome["updates"][0]
    _whole_over_tcp(first, "0001000100020000", first["prereq"], [*first["update"], _LONG_DHCID.format(3600)],
                    first["hex"][_HEADER:] + "c01d0031000100000e10" + _LONG_RDATA)


def _long_dhcid_replaced(name: str, outcome: Outcome, recording: Recording) -> None:
    _long_dhcid(name, outcome, recording)
    second = outcome["updates"][1]
    removal, addition = "c01d000100ff000000000000", "c01d0001000100000e100004c000020a"
    _whole_over_tcp(second, "0001000200020000", [*second["prereq"], _LONG_DHCID.format(0)],
                    ["host.example.com. 0 ANY A", "host.example.com. 3600 IN A 192.0.2.10"],
                    second["hex"][_HEADER:] + "c01d0031000100000000" + _LONG_RDATA + removal + addition)


def _long_key_name(name: str, outcome: Outcome, recording: Recording) -> None:
    (update,) = outcome["updates"]
    fqdn = ".".join(["a" * 63] * 3) + ".example.com."
    zone = "076578616d706c6503636f6d00" + "00060001"
    tsig = update["hex"].split(zone)[1]
    owner = ("3f" + "61" * 63) * 3 + "c00c"
    records = (owner + "00ff00fe000000000000" + "c01d0001000100000e100004c000020a"
               + "c01d0031000100000e100023" + _ID.lower())
    _whole_over_tcp(update, "0001000100020001", [f"{fqdn} 0 NONE ANY"],
                    [f"{fqdn} 3600 IN A 192.0.2.10",
                     f"{fqdn} 3600 IN DHCID AAEBxNqx1+DCu2yeSk5LjUs08quf7i0MDNKhqPG7DNH0taA="],
                    zone + records + tsig)


def _asked_again_over_tcp(name: str, outcome: Outcome, recording: Recording) -> None:
    """The same update once more, over TCP; it is still the same try."""
    outcome["updates"].append(outcome["updates"][0] | {"transport": "tcp"})


# -------------------------------------------------------------------------- commands, command line

def _old_socket_stays(name: str, outcome: Outcome, recording: Recording) -> None:
    """The control channel still answers, with the old configuration."""
    answered = recording.cases("commands")["config-set-bad-keeps-old"]["steps"][1]
    outcome["steps"][1] |= {key: answered[key] for key in ("response_text", "response", "log")}


def _impossible_port(name: str, outcome: Outcome, recording: Recording) -> None:
    (step,) = outcome["steps"]
    text = "port must be greater than zero but less than 65536 (<wire>:0:62)"
    step["response"] = {"result": 1, "text": text}
    step["response_text"] = f'{{ "result": 1, "text": "{text}" }}'
    step["log"][1:] = _failed_check(text)


def _key_statistics_stay(name: str, outcome: Outcome, recording: Recording) -> None:
    """After the reload the key's statistic is what it was before."""
    before, after = outcome["steps"][0], outcome["steps"][-1]
    after |= {key: before[key] for key in ("response_text", "response")}


def _logs_without_lock(name: str, outcome: Outcome, recording: Recording) -> None:
    """As with a good lock directory, and one warning."""
    usual = recording.cases("cli")["start-sigterm"]
    outcome |= {"stderr": usual["stderr"], "log": copy.deepcopy(usual["log"])}
    warning = ("cannot use the log lock file /nonexistent/dir/logger_lockfile (No such file or directory): "
               "messages are written without it")
    outcome["log"].append(["WARN", "kea-dhcp-ddns.log", "PYD2_LOCKFILE_UNUSABLE", warning])
    outcome["actions"][1]["stderr"] = usual["actions"][2]["stderr"]


# ---------------------------------------------------------------------------- HTTP control sockets

_OPENED = re.compile(r"(?:started|reused) HTTPS? service bound to address: (\S+) port: (\d+)$")
_UNPROTECTED = "PYD2_HTTP_UNPROTECTED the HTTP control socket on {} port {} is not protected: {}"
_NO_CLIENTS = "anyone who can connect may send any command. Configure 'authentication' with 'clients'"
_NOT_ENCRYPTED = ("commands, secrets and passwords are not encrypted. Configure 'trust-anchor', 'cert-file' "
                  "and 'key-file', or an address of the loopback interface")


def _warnings(messages: Iterable[str], *faults: str) -> list[str]:
    """Return the warnings of the sockets that these messages say are open."""
    places = {found.groups(): None for message in messages if (found := _OPENED.search(message))}
    return [_UNPROTECTED.format(*place, fault) for place in sorted(places) for fault in faults]


def _warned(outcome: Outcome, *faults: str) -> None:
    """The warnings follow the line that says that the configuration is complete."""
    before, complete, after = re.split(r"(.*DCTL_CONFIG_COMPLETE.*\n)", outcome["start"]["stderr"])
    lines = [f"@TIME@ WARN  [kea-dhcp-ddns.commands/@PID@.@TID@] {warning}\n"
             for warning in _warnings(before.splitlines(), *faults)]
    outcome["start"]["stderr"] = "".join((before, complete, *lines, after))


def _warned_of_no_clients(name: str, outcome: Outcome, recording: Recording) -> None:
    """Whoever reaches the socket may send commands."""
    _warned(outcome, _NO_CLIENTS)


def _warned_of_all_interfaces(name: str, outcome: Outcome, recording: Recording) -> None:
    """Whoever reaches the socket may send commands, and they are not encrypted."""
    _warned(outcome, _NO_CLIENTS, _NOT_ENCRYPTED)


def _warned_of_new_socket(name: str, outcome: Outcome, recording: Recording) -> None:
    """The same warning in the log of a step that opens another socket."""
    for step in outcome["steps"]:
        log = step.get("log", [])
        warnings = _warnings((entry[3] for entry in log), _NO_CLIENTS)
        ids = [entry[2] for entry in log]
        if warnings and "DCTL_CONFIG_COMPLETE" in ids:
            at = ids.index("DCTL_CONFIG_COMPLETE") + 1
            log[at:at] = [["WARN", "kea-dhcp-ddns.commands", *warning.split(" ", 1)] for warning in warnings]


def _no_socket_left(name: str, outcome: Outcome, recording: Recording) -> None:
    """A start that fails takes its sockets with it."""
    outcome["start"]["left"] = dict.fromkeys(outcome["start"]["left"], "FileNotFoundError")


def _no_password(name: str, outcome: Outcome, recording: Recording) -> None:
    """Asterisks for the passwords of clients."""
    for entry in outcome["log"]:
        entry[3] = entry[3].replace('"password": "s3cret"', '"password": "*****"')


def _second_answer(name: str, outcome: Outcome, recording: Recording) -> None:
    """A request that came in the same packet as the one before is answered, too."""
    answers = outcome["steps"][0]["answers"]
    first = answers[0]
    headers = "\r\n".join((first["status"], *first["headers"]))
    answers[-1]["more"] = f"{headers}\r\n\r\n{first['body']}"
    outcome["steps"][0]["log"] *= 2


def _old_authentication_stays(name: str, outcome: Outcome, recording: Recording) -> None:
    """A refused configuration does not change who is let in."""
    number, other, at = {"set-auth-then-taken": (1, "set-http-port-taken", 1),
                         "set-auth-off-then-taken": (2, "auth-none-bad-good", 0)}[name]
    usual = recording.cases("commands")[other]["steps"][at]
    outcome["steps"][number] |= {key: copy.deepcopy(usual[key]) for key in ("answers", "log")}


def _old_unix_socket_stays(name: str, outcome: Outcome, recording: Recording) -> None:
    """A refused configuration does not rename the UNIX socket."""
    refused, first, second, reload, *_ = outcome["steps"]
    del refused["log"][-1]
    answered = outcome["steps"][4]
    asked = copy.deepcopy(second)
    first |= {key: copy.deepcopy(answered[key]) for key in ("response_text", "response", "log")}
    second.clear()
    second |= {"chunks": asked["chunks"], "response_text": "@FileNotFoundError@", "log": []}
    reload["log"] = [entry for entry in reload["log"] if entry[2] != "COMMAND_ACCEPTOR_START"]


def _changes_to_http(name: str, outcome: Outcome, recording: Recording) -> None:
    """An address and port may change from HTTPS to HTTP; a client that speaks TLS finds plain HTTP there."""
    change, after = outcome["steps"]
    usual = recording.cases("commands")["set-same-sockets"]["steps"][0]
    change |= {key: copy.deepcopy(usual[key]) for key in ("response_text", "response")}
    started = "started HTTP service bound to address: 127.0.0.1 port: 53990"
    (warning,) = _warnings([started], _NO_CLIENTS)
    commands = "kea-dhcp-ddns.commands"
    change["log"] = [
        change["log"][0],
        ["INFO", commands, "HTTP_COMMAND_MGR_SERVICE_STOPPING",
         "Server is stopping HTTPS service bound to address 127.0.0.1 port 53990"],
        ["INFO", commands, "HTTP_COMMAND_MGR_SERVICE_STARTED", started],
        usual["log"][-1],
        ["WARN", commands, *warning.split(" ", 1)],
    ]
    after |= {"answers": [{"error": "SSLError WRONG_VERSION_NUMBER"}], "log": []}


def _not_announced(name: str, outcome: Outcome, recording: Recording) -> None:
    """A socket that is known to fail isn't announced."""
    log = outcome["steps"][0]["log"]
    log[:] = [entry for entry in log if entry[2] != "COMMAND_ACCEPTOR_START"]


DEVIATIONS = (
    Deviation("configs", "domain-missing-servers", "1", _missing_servers),
    Deviation("configs", "loggers-no-severity|socket-name-too-long", "15", _checked_like_a_start),
    Deviation("configs", "socket-type-bad-value|socket-type-missing", "15", _checked_like_a_start, "2.6"),
    Deviation("configs", "socket-name-too-long", "13", _refused_before_it_is_opened),
    Deviation("configs", "domain-name-odd", "19", _warned_of_missing_dot),
    Deviation("configs", "|".join(_SECRET_FAULTS), "Secrets", _no_secret),
    Deviation("configs", "hooks-nul", "Control characters", _controls_shown),
    Deviation("configs", "loggers-syslog-facility", "16", _syslog_name, "2.6"),
    Deviation("configs", "control-sockets-list", "Another Kea", _hint, "2.6"),
    Deviation("configs", "auth-type-only|cert-required-without-tls|http-defaults-of-address|http-port-0|"
              "http-then-unix|http-user-context|https-cert-not-required|same-http-twice|unix-and-http",
              "Unprotected HTTP sockets", _warned_of_no_clients, "3.0"),
    Deviation("configs", "http-all-interfaces", "Unprotected HTTP sockets", _warned_of_all_interfaces, "3.0"),
    Deviation("configs", "https-ca-missing|https-key-missing|https-key-of-another|http-port-taken",
              "A failed start", _no_socket_left, "3.0"),
    Deviation("transactions", ".*tsig.*", "TSIG", _one_id),
    Deviation("transactions", "resp-wrong-id|resp-one-byte|resp-other-source", "4", _ignored_reply),
    Deviation("transactions", "c.*wd-add-pingpong-20", "11", _ten_rounds),
    Deviation("transactions", "match-nodot-domain", "19", _dot_added),
    Deviation("transactions", "trunc-dhcid-480-bytes", "2", _long_dhcid),
    Deviation("transactions", "trunc-dhcid-480-replace", "2", _long_dhcid_replaced),
    Deviation("transactions", "trunc-tsig-sha512-long-fqdn", "2", _long_key_name),
    Deviation("transactions", "resp-tc", "2", _asked_again_over_tcp),
    Deviation("commands", ".*", "Versions", _version_command),
    Deviation("commands", "config-set-bad-socket", "13", _old_socket_stays, "2.6"),
    Deviation("commands", "config-test-port-65536", "20", _impossible_port),
    Deviation("commands", "key-statistics-after-reload", "14", _key_statistics_stay),
    Deviation("commands", "set-moves-http-over-http",
              "Unprotected HTTP sockets", _warned_of_new_socket, "3.0"),
    Deviation("commands", "set-auth-off-then-taken|set-auth-then-taken",
              "13", _old_authentication_stays, "3.0"),
    Deviation("commands", "set-new-unix-and-port-taken", "13", _old_unix_socket_stays, "3.0"),
    Deviation("commands", "set-unix-name-too-long", "13", _not_announced, "3.0"),
    Deviation("commands", "http-pipelined", "Pipelined requests", _second_answer, "3.0"),
    Deviation("commands", "set-https-to-http", "HTTP and HTTPS", _changes_to_http, "3.0"),
    Deviation("cli", "verbose-start-with-http", "Passwords", _no_password, "3.0"),
    Deviation("cli", "V", "Versions", _version_option),
    Deviation("cli", "lockfile-dir-missing", "24", _logs_without_lock),
)
