"""Random scripts for the control channels of Kea 3.0: commands over UNIX sockets, HTTP and HTTPS.

A script is a case of ``tests.kit.conformance.run_commands``: a configuration, and steps which ask, change the
configuration, write files and send signals. What pyd2 does otherwise on purpose is not in it: sets of sockets
that cannot be opened, another protocol at an address and port, pipelined requests. Nor are requests of DHCP
servers: Kea closes their port during a reload.
"""

from __future__ import annotations

import json
import random
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from tests.kit.conformance import run_commands

if TYPE_CHECKING:
    from collections.abc import Mapping

Case = dict[str, Any]

_NCR_PORT: Final = 53980
_HTTP: Final = (53990, 53991)
_HTTPS: Final = (53993, 53994)
_UNIX: Final = "d2.sock"
_ADMIN, _OTHER = ("admin", "s3cret"), ("other", "pass word")
_FILES: Final = {"pw": " s3cret more\n", "both": "file-user:file-word\n", "out.json": ""}
_TLS: Final = {"trust-anchor": "ca.pem", "cert-file": "d2.pem", "key-file": "d2.key"}

_COMMANDS: Final = (
    "list-commands", "config-get", "config-hash-get", "statistic-get-all", "statistic-reset-all",
    "status-get", "config-reload", "config-reload", "statistic-get", "config-test", "make-coffee", "",
)  # fmt: skip
_ARGUMENTS: Final[tuple[Any, ...]] = (
    None, {"name": "ncr-received"}, {"name": "queue-mgr-queue-full"}, {"name": "x"}, {"name": 5}, {}, [], "x",
    {"DhcpDdns": 5}, {"DhcpDdns": {"port": 0}}, {"DhcpDdns": {}, "x": 1},
)  # fmt: skip
_WRONG: Final[tuple[tuple[str, Any], ...]] = (
    ("control-sockets", {}), ("control-sockets", [7]), ("control-sockets", [{}]),
    ("control-sockets", [{"socket-type": "tcp"}]), ("control-sockets", [{"socket-type": "unix"}]),
    ("control-sockets", [{"socket-type": "unix", "socket-name": "a/b"}]),
    ("control-sockets", [{"socket-type": "unix", "socket-name": _UNIX}] * 2),
    ("control-sockets", [{"socket-type": "http", "socket-port": "8000"}]),
    ("control-sockets", [{"socket-type": "http", "socket-port": 65536}]),
    ("control-sockets", [{"socket-type": "http", "socket-address": "localhost"}]),
    ("control-sockets", [{"socket-type": "https"}]),
    ("control-sockets", [{"socket-type": "http", "cert-file": "x"}]),
    ("control-sockets", [{"socket-type": "http", "authentication": {"type": "digest"}}]),
    ("control-sockets", [{"socket-type": "http", "authentication": {"clients": [{"password": "s3cret"}]}}]),
    ("control-sockets", [{"socket-type": "http", "http-headers": [{"name": "X"}]}]),
    ("control-socket", []), ("port", "x"), ("loggers", {}), ("dns-server-timeout", 0),
)  # fmt: skip
_TEXTS: Final = (
    "{", "[ ]", '"x"', "{ }", "", '{ "command": 5 }', '{ "command": "list-commands" } x',
    '{ "command": "list-commands", "x": 1 }', '{ "command": "list-commands", "service": [ "d2" ] }',
    '{ "command": "x", "arguments": { "a": 1.50, "b": [ null, true ] } }', "[" * 120,
)  # fmt: skip


_OWN: Final = ("_DETAILS", "COMMAND_SOCKET_CONNECTION_CLOSED", "HTTP_CONNECTION_STOP")
"""Messages in which pyd2 hides something, and those that come when a client has gone, once or twice."""
_BY_CHANCE: Final = ("DHCP_DDNS_QUEUE_MGR_", "DHCP_DDNS_NCR_UDP_")
"""Kea opens its port again when its loop goes round; the server may be stopped before."""
_STOPPING: Final = "HTTP_COMMAND_MGR_SERVICE_STOPPING"


class Scripts:
    """Makes the script of a number; ``pem`` has ca.pem, d2.pem, d2.key, client.pem and client.key."""

    def __init__(self, number: int, pem: Mapping[str, str]) -> None:
        self._rng = random.Random(f"script {number}")
        self._pem = pem
        self._sockets: list[dict[str, Any]] = []

    def case(self) -> Case:
        """Return a script."""
        config = self._config()
        steps = [step for _ in range(self._rng.randint(4, 8)) for step in self._steps()]
        return {"config": config, "steps": steps, "files": {**self._pem, **_FILES}, "whole_log": True}

    def _config(self) -> dict[str, Any]:
        self._sockets = self._some_sockets()
        level = self._rng.choice([0, 40, 45, 50, 55, 99, 99, 99])
        logger = {"name": "kea-dhcp-ddns", "severity": "DEBUG", "debuglevel": level,
                  "output-options": [{"output": "stdout"}]}  # fmt: skip
        body: dict[str, Any] = {"ip-address": "127.0.0.1", "port": _NCR_PORT, "loggers": [logger]}
        if len(self._sockets) == 1 and self._rng.random() < 0.3:
            body["control-socket"] = self._sockets[0]
        else:
            body["control-sockets"] = self._sockets
        if self._rng.random() < 0.3:
            body["user-context"] = {"a": [1, 2.5, None], "caf\u00e9": True}
        return {"DhcpDdns": body}

    def _some_sockets(self) -> list[dict[str, Any]]:
        sockets: list[dict[str, Any]] = [{"socket-type": "unix", "socket-name": _UNIX}]
        if self._rng.random() < 0.3:
            sockets[0]["user-context"] = {"number": self._rng.randint(1, 2)}
        sockets += [self._http(port) for port in _HTTP if self._rng.random() < 0.6]
        if self._rng.random() < 0.3:
            sockets.append(self._http(self._rng.choice(_HTTPS)) | _TLS
                           | {"socket-type": "https", "cert-required": self._rng.random() < 0.5})
        if self._rng.random() < 0.5:
            self._rng.shuffle(sockets)
        return sockets

    def _http(self, port: int) -> dict[str, Any]:
        socket: dict[str, Any] = {"socket-type": "http", "socket-port": port}
        if self._rng.random() < 0.5:
            socket["socket-address"] = self._rng.choice(["127.0.0.1", "::1", "127.0.0.2"])
        if self._rng.random() < 0.6:
            clients: list[dict[str, Any]] = [
                {"user": "admin", "password": "s3cret"}, {"user": "other", "password": "pass word"},
                {"user": "admin", "password-file": "pw"}, {"password-file": "both"},
            ]  # fmt: skip
            authentication: dict[str, Any] = {
                "type": "basic", "directory": ".",
                "clients": self._rng.sample(clients, self._rng.randint(0, 3)),
            }  # fmt: skip
            if self._rng.random() < 0.5:
                authentication["realm"] = self._rng.choice(["", "here", "caf\u00e9"])
            socket["authentication"] = authentication
        return socket

    def _steps(self) -> list[dict[str, Any]]:
        kind = self._rng.random()
        if kind < 0.06:
            return [{"signal": "SIGHUP"}]
        if kind < 0.16:
            return [{"write_file": ["d2.json", self._config()]}]
        if kind < 0.22:
            name = self._rng.choice(["out.json", "d2.json", "x/y", "../z"])
            step = self._ask({"command": "config-write", "arguments": {"filename": name}})
            return [step, {"read_file": name}] if name == "out.json" else [step]
        return [self._ask(self._request())]

    def _request(self) -> dict[str, Any] | str:
        kind = self._rng.random()
        if kind < 0.15:
            return self._rng.choice(_TEXTS)
        if kind < 0.4:
            config = self._config()
            if self._rng.random() < 0.4:
                name, value = self._rng.choice(_WRONG)
                config["DhcpDdns"].pop("control-socket", None)
                config["DhcpDdns"][name] = value
                return {"command": self._rng.choice(["config-test", "config-set"]), "arguments": config}
            command = self._rng.choice(["config-test", "config-set", "config-set"])
            return {"command": command, "arguments": config}
        request: dict[str, Any] = {"command": self._rng.choice(_COMMANDS)}
        arguments = self._rng.choice(_ARGUMENTS)
        if arguments is not None and self._rng.random() < 0.5:
            request["arguments"] = arguments
        return request

    def _ask(self, request: dict[str, Any] | str) -> dict[str, Any]:
        """Return a step that sends a request over one of the sockets of the last configuration."""
        socket = self._rng.choice(self._sockets)
        if socket["socket-type"] == "unix":
            text = request if isinstance(request, str) else json.dumps(request)
            at = self._rng.randint(1, len(text)) if len(text) > 1 and self._rng.random() < 0.2 else 0
            chunks = [text[:at], text[at:]] if at and text[at:] else [text]
            return {"chunks": chunks, "half_close": True}
        requests = [{"body": request} | self._manner()]
        # A connection that may be closed is not used again: whether the client sees it at once is chance.
        stays = isinstance(request, str) or request["command"] not in {"config-set", "config-reload"}
        while stays and requests[-1].keys() <= {"body", "user"} and self._rng.random() < 0.4:
            requests.append({"body": {"command": "config-hash-get"}} | self._manner())
        step: dict[str, Any] = {"port": socket["socket-port"], "requests": requests}
        if "socket-address" in socket:
            step["address"] = socket["socket-address"]
        if socket["socket-type"] == "https":
            step["tls"] = {"ca": "ca.pem"}
            if self._rng.random() < 0.8:
                step["tls"] |= {"cert": "client.pem", "key": "client.key"}
        return {"http": step}

    def _manner(self) -> dict[str, Any]:
        """Return how a request is sent."""
        manner: dict[str, Any] = {}
        if self._rng.random() < 0.75:
            manner["user"] = list(self._rng.choice(
                [_ADMIN, _ADMIN, _OTHER, ("file-user", "file-word"), ("admin", "wrong")]
            ))
        if self._rng.random() < 0.2:
            manner["version"] = self._rng.choice(["HTTP/1.0", "HTTP/2.0"])
        if self._rng.random() < 0.2:
            manner["headers"] = {"Connection": self._rng.choice(["close", "keep-alive"])}
        if self._rng.random() < 0.1:
            manner["method"] = self._rng.choice(["GET", "post", "PUT", "HEAD"])
        return manner


def outcome(binary: str, case: Case) -> Case:
    """Run a script on a D2; return what is to be alike."""
    found = run_commands(binary, case)
    text = json.dumps(found).replace(_ADMIN[1], "*****").replace(_OTHER[1], "*****")
    whole: Case = json.loads(text)
    for step in whole["steps"]:
        if "log" in step:
            step["log"] = _shared(step["log"])
    # A connection ends when its client has gone: in the log of a whole script before or after the next line.
    whole["whole_log"] = sorted(_shared(whole["whole_log"]))
    return whole


def _shared(log: list[list[str]]) -> list[list[str]]:
    """Return the entries that both servers have: pyd2 has warnings of its own, and hides credentials.

    Sockets are closed in the order of their ports, which differ from run to run: so those lines are sorted.
    """
    found = [entry for entry in log
             if not entry[2].startswith(("PYD2_", *_BY_CHANCE)) and not entry[2].endswith(_OWN)]
    groups = groupby(found, lambda entry: entry[2] == _STOPPING)
    return [entry for stopping, group in groups for entry in (sorted(group) if stopping else group)]


def differences(case: Case, real: Case, ours: Case) -> list[str]:
    """Return what is not alike, a line for each."""
    lines = []
    steps = zip(case["steps"], real["steps"], ours["steps"], strict=True)
    for number, (step, theirs, own) in enumerate(steps):
        lines += [
            f"step {number} {json.dumps(step)[:300]}\n  {name}: {theirs.get(name)}\n  ours: {own.get(name)}"
            for name in sorted(theirs.keys() | own.keys())
            if theirs.get(name) != own.get(name)
        ]
    for name in ("alive_at_end", "exit", "stderr"):
        if real[name] != ours[name]:
            lines.append(f"{name}: {real[name]}, ours: {ours[name]}")
    theirs, own = real["whole_log"], ours["whole_log"]
    lines += [f"real only: {entry}" for entry in _beyond(theirs, own)]
    return lines + [f"ours only: {entry}" for entry in _beyond(own, theirs)]


def _beyond(log: list[list[str]], other: list[list[str]]) -> list[list[str]]:
    """Return the entries of a log that the other one has not as often."""
    rest = [*other]
    found = []
    for entry in log:
        if entry in rest:
            rest.remove(entry)
        else:
            found.append(entry)
    return found
