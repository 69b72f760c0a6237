"""HTTP control sockets of a running daemon: real clients, reloads, failed starts, secrets, attacks."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.control.http_fakes import command, post
from tests.kit import kea
from tests.kit.as_kea import as_kea
from tests.kit.d2 import CONTROL_SOCKET, D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kit.certificates import Certificate

MEBIBYTE = 1 << 20
CLIENTS = [
    {"user": "admin", "password": "s3cret-Word"},
    {"user": "reader", "password": "look-Only", "user-context": {"pyd2": {"role": "read"}}},
]
BASIC = {"type": "basic", "realm": "here", "clients": CLIENTS}


@pytest.fixture(scope="session")
def d2_3_0(d2_binary: str, is_pyd2: bool, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The D2 under test as Kea 3.0."""
    if not is_pyd2:
        pytest.skip("roles, limits and sets of sockets are pyd2's; the recorded cases have what Kea does")
    return as_kea(d2_binary, "3.0.4", tmp_path_factory.mktemp("as-kea"))


@dataclass
class Site:
    """A daemon with a UNIX socket and an HTTP socket."""

    d2: D2
    ncr_port: int
    port: int
    free: int
    """A port that is free."""

    def body(self, *sockets: dict[str, Any], **members: Any) -> dict[str, Any]:
        """Return a configuration with the UNIX socket and these HTTP sockets."""
        whole = config(self.ncr_port, {"control-sockets": [CONTROL_SOCKET, *sockets], **members})
        whole["DhcpDdns"].pop("control-socket")
        return whole

    def http(self, **members: Any) -> dict[str, Any]:
        """Return the entry of the HTTP socket."""
        return {"socket-type": "http", "socket-port": self.port} | members

    def set(self, *sockets: dict[str, Any], **members: Any) -> dict[str, Any]:
        """Set a configuration over the UNIX socket; return the answer."""
        return self.d2.command("config-set", self.body(*sockets, **members))

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def ask(self, request: bytes) -> bytes:
        """Return all that comes after a request whose connection the server is to close."""
        with self.connect() as sock:
            sock.sendall(request)
            return read_all(sock)

    def status(self, name: str = "status-get", *headers: str) -> int:
        """Return the status of the response to a command."""
        return int(self.ask(command(name, "Connection: close", *headers)).split()[1])


def read_all(sock: socket.socket) -> bytes:
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while data := sock.recv(65536):
            found += data
    return found


def basic(credential: str) -> str:
    return "Authorization: Basic " + base64.b64encode(credential.encode()).decode()


@contextlib.contextmanager
def running(binary: str, http: dict[str, Any] | None = None, **members: Any) -> Iterator[Site]:
    with PortLease() as lease, private_directory() as directory:
        site = Site.__new__(Site)
        site.ncr_port, site.port, site.free = lease.take(), lease.take(), lease.take()
        whole = site.body(site.http(**(http or {})), **members)
        with D2.start(binary, directory, whole) as site.d2:
            yield site
            assert site.d2.alive
            assert "PYD2_INTERNAL_ERROR" not in site.d2.process.output()


def tls(files: tuple[Certificate, Certificate, Certificate], **members: Any) -> dict[str, Any]:
    authority, server, _ = files
    return {"socket-type": "https", "trust-anchor": str(authority.cert), "cert-file": str(server.cert),
            "key-file": str(server.key), **members}  # fmt: skip


def curl(*arguments: str | Path) -> tuple[int, str, str]:
    """Run curl with a command; return its exit status, the response's status and its body."""
    program = shutil.which("curl")
    assert program is not None, "these tests need curl"
    done = subprocess.run(
        [program, "-sS", "--max-time", "20", "-w", "\n%{http_code}", "-H", "Content-Type: application/json",
         "-d", '{ "command": "version-get" }', *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    body, _, status = done.stdout.rpartition("\n")
    return done.returncode, status, body


# Clients.


def test_curl(d2_3_0: str) -> None:
    with running(d2_3_0, {"authentication": BASIC}) as site:
        url = f"http://127.0.0.1:{site.port}/"
        assert curl(url) == (0, "401", '{ "result": 401, "text": "Unauthorized" }')
        assert curl("-u", "admin:wrong", url)[1] == "401"
        for options in ([], ["--http1.0"], ["--http2"], ["-H", "Expect: 100-continue"]):
            code, status, body = curl("-u", "admin:s3cret-Word", *options, url)
            assert (code, status) == (0, "200")
            assert json.loads(body)[0]["text"] == "3.0.4"
        assert curl("-u", "admin:s3cret-Word", url, url)[1:] == (
            "200",
            curl("-u", "admin:s3cret-Word", url, url)[2],
        )
        assert curl("-u", "admin:s3cret-Word", "-H", "Content-Type: text/plain", url)[1] == "400"
        assert curl("-u", "admin:s3cret-Word", "-X", "OPTIONS", url)[1] == "400"


@pytest.mark.parametrize(("options", "code"), [
    (["--tlsv1.2", "--tls-max", "1.2"], 0), (["--tlsv1.3"], 0),
    (["--tlsv1.1", "--tls-max", "1.1", "--ciphers", "DEFAULT:@SECLEVEL=0"], 35),
])  # fmt: skip
def test_curl_with_tls(
    d2_3_0: str, files: tuple[Certificate, Certificate, Certificate], options: list[str], code: int
) -> None:
    authority, _, client = files
    with running(d2_3_0, tls(files, authentication=BASIC)) as site:
        url = f"https://127.0.0.1:{site.port}/"
        own: list[str | Path] = [
            "--cert",
            client.cert,
            "--key",
            client.key,
            "--cacert",
            authority.cert,
            "-u",
            "admin:s3cret-Word",
        ]
        found = curl(*options, *own, url)
        assert found[0] == code
        if code == 0:
            assert found[1] == "200"
            assert curl(*options, "--cacert", authority.cert, url)[0] != 0  # no certificate
            assert curl(f"http://127.0.0.1:{site.port}/")[0] != 0


@pytest.mark.peers
@pytest.mark.parametrize("series", ["2.6", pytest.param("3.0", marks=pytest.mark.kea30)])
def test_kea_shell(d2_3_0: str, files: tuple[Certificate, Certificate, Certificate], series: str) -> None:
    authority, _, client = files
    theirs = kea.installed() if series == "2.6" else kea.unpacked(series)
    program = theirs.program("kea-shell", "kea-ctrl-agent")
    known = ["--auth-user", "admin", "--auth-password", "s3cret-Word"]
    own = ["--ca", str(authority.cert), "--cert", str(client.cert), "--key", str(client.key)]

    def ask(site: Site, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, "--host", "127.0.0.1", "--port", str(site.port), "--service", "d2", *options,
             "version-get"],
            input="", capture_output=True, text=True, check=False,
        )  # fmt: skip

    ways: list[tuple[list[str], dict[str, Any]]] = [([], {}), (own, tls(files))]
    for options, http in ways:
        with running(d2_3_0, {"authentication": BASIC, **http}) as site:
            good = ask(site, *options, *known)
            assert json.loads(good.stdout)[0]["text"] == "3.0.4", good.stdout + good.stderr
            refused = ask(site, *options)
            assert "401" in refused.stdout + refused.stderr


def test_a_role_that_only_reads(d2_3_0: str) -> None:
    secret = base64.b64encode(bytes(range(32))).decode()
    key = {"name": "k.", "algorithm": "HMAC-SHA256", "secret": secret}
    with running(d2_3_0, {"authentication": BASIC}, **{"tsig-keys": [key]}) as site:
        reader = basic("reader:look-Only")
        assert [site.status(name, reader) for name in ("status-get", "shutdown", "config-reload")] == [
            200,
            403,
            403,
        ]
        shown = site.ask(command("config-get", "Connection: close", reader)).decode()
        for hidden in (secret, "s3cret-Word", "look-Only"):
            assert hidden not in shown
        assert '"secret": "*****"' in shown
        assert (
            secret
            in site.ask(command("config-get", "Connection: close", basic("admin:s3cret-Word"))).decode()
        )
        site.d2.wait_for_log("PYD2_HTTP_FORBIDDEN", 2)


def test_hook_libraries_see_requests(d2_3_0: str, tmp_path: Path) -> None:
    (tmp_path / "door.py").write_text("""
from pyd2.hooks import VERSION

def version(): return VERSION

def load(handle):
    global log
    log = handle.log
    handle.register_command("who-am-i", answer)

def http_auth(handle):
    request = handle.get_argument("request")
    log.info(f"{request['method']} {request['path']} {request['user']} {handle.get_argument('response')}")
    if request["headers"].get("x-door") == "shut":
        handle.set_argument("response", {"status": 403, "body": "shut"})

def http_response(handle):
    response = handle.get_argument("response")
    response["headers"]["X-Seen"] = "yes"
    handle.set_argument("response", response)

def answer(handle):
    handle.set_argument("response", {"result": 0, "text": handle.get_argument("command")["remote-address"]})
""")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEA_HOOKS_PATH", str(tmp_path))
        library = {"library": str(tmp_path / "door.py")}
        binary = _with_hooks(d2_3_0, tmp_path)
        with running(binary, {"authentication": BASIC}, **{"hooks-libraries": [library]}) as site:
            admin = basic("admin:s3cret-Word")
            assert b"\r\nX-Seen: yes\r\n\r\n[ { " in site.ask(
                command("status-get", "Connection: close", admin)
            )
            assert site.ask(command("who-am-i", "Connection: close", admin)).endswith(
                b'[ { "result": 0, "text": "127.0.0.1" } ]'
            )
            assert site.ask(command("shutdown", "Connection: close", "X-Door: shut", admin)).endswith(
                b'"shut"'
            )
            assert site.status() == 401
            # A command that loads the libraries anew: the new ones see its response.
            assert b"X-Seen: yes" in site.ask(command("config-reload", "Connection: close", admin))
            log = site.d2.stdout()
    assert "POST / admin None" in log
    assert "POST /  {'status': 401, 'headers': {'WWW-Authenticate'" in log


def _with_hooks(binary: str, directory: Path) -> str:
    """Return a program that is ``binary`` with a directory of hook libraries."""
    program = directory / "d2-with-hooks"
    program.write_text(f'#!/bin/sh\nKEA_HOOKS_PATH={directory} exec {binary} "$@"\n')
    program.chmod(0o755)
    return str(program)


# Configurations.


def test_the_example_of_the_guide_passes_the_check(d2_3_0: str, tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "control.md").read_text()
    (block,) = re.findall(r"^```text\n(\"control-sockets.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    for name in re.findall(r'"password-file": "([^"]+)"', block):
        (tmp_path / name).write_text("long-and-random\n")
    text = block.replace("/etc/kea", str(tmp_path))
    (tmp_path / "d2.json").write_text(f'{{ "DhcpDdns": {{ {text} }} }}')
    env = {**os.environ, "KEA_CONTROL_SOCKET_DIR": str(tmp_path)}
    tmp_path.chmod(0o750)
    done = subprocess.run(
        [d2_3_0, "-t", str(tmp_path / "d2.json")], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_set_of_sockets_is_taken_whole_or_not_at_all(d2_3_0: str) -> None:
    with running(d2_3_0, {"authentication": BASIC}) as site, socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = {"socket-type": "http", "socket-port": taken.getsockname()[1]}
        new = {"socket-type": "http", "socket-port": site.free}
        with site.connect() as kept:
            answer = site.set(site.http(), new, busy)
            assert answer["result"] == 5
            assert answer["text"].startswith("unable to setup TCP acceptor")
            # The authentication was to be dropped: it is still there, on the old connection as well.
            assert site.status() == 401
            kept.sendall(command("status-get", "Connection: close"))
            assert read_all(kept).startswith(b"HTTP/1.1 401 ")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", site.free))
        # With the busy one free the same set is taken.
        taken.close()
        assert site.set(site.http(), new, busy)["result"] == 0
        assert site.status() == 200
        assert site.set(site.http(authentication=BASIC))["result"] == 0
        assert site.status() == 401
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", site.free))


def test_hook_libraries_that_refuse_leave_all_as_it_was(d2_3_0: str, tmp_path: Path) -> None:
    (tmp_path / "no.py").write_text("""
from pyd2.hooks import VERSION, Status
def version(): return VERSION
def d2_srv_configured(handle):
    handle.set_argument("error", "not today")
    handle.status = Status.DROP
""")
    binary = _with_hooks(d2_3_0, tmp_path)
    with running(binary, {"authentication": BASIC}) as site:
        refusing = {"hooks-libraries": [{"library": str(tmp_path / "no.py")}]}
        answer = site.set({"socket-type": "http", "socket-port": site.free}, **refusing)
        assert answer == {"result": 1, "text": "not today"}
        assert site.status("status-get", basic("admin:s3cret-Word")) == 200
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", site.free))
        stopped = site.d2.stdout().index("Server is stopping HTTP service")
        assert (
            f"started HTTP service bound to address: 127.0.0.1 port: {site.port}"
            in site.d2.stdout()[stopped:]
        )


@pytest.mark.parametrize("way", ["taken", "files"])
def test_a_start_that_fails_leaves_no_file(d2_3_0: str, way: str) -> None:
    with PortLease() as lease, private_directory() as directory, socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", lease.take()))
        taken.listen()
        http: dict[str, Any] = {"socket-type": "http", "socket-port": taken.getsockname()[1]}
        if way == "files":
            http |= {
                "socket-port": lease.take(),
                "trust-anchor": "/nowhere",
                "cert-file": "x",
                "key-file": "x",
            }
        whole = config(lease.take(), {"control-sockets": [CONTROL_SOCKET, http]})
        whole["DhcpDdns"].pop("control-socket")
        (directory / "d2.json").write_text(json.dumps(whole))
        d2 = D2(d2_3_0, directory)
        assert d2.process.wait_for_exit() == 1
        assert "Service failed: Could Not load configuration file: " in d2.stderr()
        assert not list(directory.glob("d2.sock*"))


def test_no_log_shows_a_password(d2_3_0: str) -> None:
    logger = {"name": "kea-dhcp-ddns", "severity": "DEBUG", "debuglevel": 99,
              "output-options": [{"output": "stdout"}]}  # fmt: skip
    with running(d2_3_0, {"authentication": BASIC}, loggers=[logger]) as site:
        admin = basic("admin:s3cret-Word")
        assert site.status("config-get", admin) == 200
        whole = json.dumps({"command": "config-set", "arguments": site.body(site.http(authentication=BASIC))})
        assert site.ask(post(whole, "Connection: close", admin)).startswith(b"HTTP/1.1 200 ")
        assert site.status("config-get", basic("admin:s3cret-Wort")) == 401
        shown = site.d2.process.output()
    assert "HTTP_CLIENT_REQUEST_RECEIVED_DETAILS" in shown
    for credential in ("admin:s3cret-Word", "reader:look-Only", "admin:s3cret-Wort"):
        assert credential.partition(":")[2] not in shown
        assert base64.b64encode(credential.encode()).decode() not in shown


def test_a_daemon_without_an_http_socket_imports_nothing_of_it(d2_3_0: str) -> None:
    with PortLease() as lease, private_directory() as directory:
        program = directory / "traced"
        first, *rest = Path(d2_3_0).read_text().splitlines()
        program.write_text("\n".join([f"{first} -Ximporttime", *rest]))
        program.chmod(0o755)
        with D2.start(str(program), directory, config(lease.take())) as d2:
            d2.stop()
            imported = {line.rpartition("|")[2].strip() for line in d2.stderr().splitlines()}
    assert "pyd2.net.control_unix" in imported
    channel = {"h11", "pyd2.net.control_http", "pyd2.net.control_tls", "pyd2.control.http_session"}
    assert channel & imported == set()


# Attacks. The daemon answers others meanwhile, and its memory is bounded.


@contextlib.contextmanager
def attacked(binary: str, http: dict[str, Any] | None = None, growth: int = 64) -> Iterator[Site]:
    """A daemon that must not grow by more than so many MiB, and must answer over both sockets in the end."""
    with running(binary, http) as site:
        site.d2.command("status-get")
        before = site.d2.process.resident_bytes()
        yield site
        assert site.d2.command("list-commands")["result"] == 0
        assert site.d2.process.peak_resident_bytes() - before < growth * MEBIBYTE


def pour(site: Site, head: bytes, megabytes: int) -> tuple[bytes, int]:
    """Send a head, and then that much; return the response and how much was taken."""
    taken = 0
    with site.connect() as sock:
        sock.settimeout(20)
        sock.sendall(head)
        with contextlib.suppress(OSError):
            for _ in range(megabytes):
                sock.sendall(b"x" * MEBIBYTE)
                taken += 1
        return read_all(sock), taken


def head_of(length: int, *headers: str) -> bytes:
    request = post("", *headers)
    return request.replace(b"Content-Length: 0", b"Content-Length: %d" % length)


def test_a_body_of_100_mebibytes(d2_3_0: str) -> None:
    with attacked(d2_3_0) as site:
        pour(site, head_of(100 * MEBIBYTE), 100)
        # One that reads the response, as it should, before it sends all.
        with site.connect() as sock:
            sock.sendall(head_of(100 * MEBIBYTE) + b"x" * 1000)
            assert read_all(sock).startswith(b"HTTP/1.1 413 Content Too Large\r\n")
        assert site.status() == 200


def test_bodies_of_strangers(d2_3_0: str) -> None:
    """128 strangers with 16 MiB each would need 2 GiB."""
    with attacked(d2_3_0, {"authentication": BASIC}) as site, contextlib.ExitStack() as stack:
        for _ in range(100):
            sock = stack.enter_context(site.connect())
            sock.sendall(head_of(16 * MEBIBYTE) + b"x" * 65536)
            assert sock.recv(65536).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("head", [
    b"POST / HTTP/1.1\r\nX: ", b"POST / HTTP/1.1\r\n" + b"a:\r\n" * 100000, b"POST /", b"P",
    b"POST / HTTP/1.1\r\nX: a" + b"\r\n b" * 100000,
])  # fmt: skip
def test_header_bombs(d2_3_0: str, head: bytes) -> None:
    with attacked(d2_3_0) as site:
        for _ in range(20):
            with site.connect() as sock:
                with contextlib.suppress(OSError):
                    sock.sendall(head + b"a" * 200000)
                assert read_all(sock)[:12] in {b"HTTP/1.1 431", b"HTTP/1.0 431", b""}
        with site.connect() as sock:
            sock.sendall(head[:30000] + b"a" * 33000)
            assert read_all(sock).split()[1] == b"431"
        assert site.status() == 200


def test_a_thousand_idle_connections_and_slow_ones(d2_3_0: str) -> None:
    """A client with a request is answered at once, however many others wait or drip."""
    with attacked(d2_3_0) as site, contextlib.ExitStack() as stack:
        for number in range(1000):
            sock = stack.enter_context(site.connect())
            if number % 2:
                sock.sendall(b"POST / HTTP/1.1\r\nX: ")
        started = time.monotonic()
        for _ in range(20):
            assert site.status() == 200
        assert time.monotonic() - started < 60  # the idle ones have 10 s each
        site.d2.wait_for_log("PYD2_HTTP_CONNECTION_REPLACED")


def test_thousands_of_pipelined_requests_leave_others_their_turn(d2_3_0: str) -> None:
    with attacked(d2_3_0) as site, site.connect() as sock:
        one = command("statistic-get-all")
        sock.setblocking(False)
        sent = 0
        while sent < 5000:
            try:
                sock.send(one * 10)
                sent += 10
            except BlockingIOError:
                break
        assert site.status() == 200
        sock.setblocking(True)
        sock.settimeout(20)
        assert sock.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize("headers", [
    ["Transfer-Encoding: chunked"], ["Content-Length: 5"], ["Transfer-Encoding : chunked"],
    ["Content-Length: 0", "Content-Length: 40"], ["Transfer-Encoding: gzip, chunked"], ["Host: a", "Host: b"],
    ["Content-Length: +40"], ["Content-Length: 40, 40"], ["Content-Length : 40"],
])  # fmt: skip
@pytest.mark.parametrize("pieces", [1, 2])
def test_smuggled_requests_are_not_carried_out(d2_3_0: str, headers: list[str], pieces: int) -> None:
    """A request whose end others may see elsewhere, and behind it one that they have not seen."""
    with attacked(d2_3_0) as site, site.connect() as sock:
        first, second = command("status-get", *headers), command("shutdown", "Connection: close")
        for piece in [first + second] if pieces == 1 else [first, second]:
            sock.sendall(piece)
        response = sock.recv(65536)
        sock.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            response += read_all(sock)
        assert b"Shutdown initiated" not in response
        assert response.count(b"HTTP/1.1 ") == 1


def test_handshakes_that_do_not_end(d2_3_0: str, files: tuple[Certificate, Certificate, Certificate]) -> None:
    authority, _, client = files
    context = ssl.create_default_context(cafile=str(authority.cert))
    context.load_cert_chain(client.cert, client.key)
    with attacked(d2_3_0, tls(files)) as site, contextlib.ExitStack() as stack:
        for number in range(300):
            sock = stack.enter_context(site.connect())
            if number % 2:
                sock.sendall(b"\x16\x03\x01\x02\x00\x01")
        with context.wrap_socket(site.connect(), server_hostname="127.0.0.1") as sock:
            sock.sendall(command("status-get", "Connection: close"))
            assert read_all(sock).startswith(b"HTTP/1.1 200 ")


def test_clients_that_reset(d2_3_0: str) -> None:
    with attacked(d2_3_0) as site:
        for number in range(200):
            with site.connect() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                sock.sendall(command("config-get")[: number % 90])
        assert site.status() == 200
        descriptors = Path(f"/proc/{site.d2.process.pid}/fd")
        wait_until(lambda: len(list(descriptors.iterdir())) < 60, "the connections to be closed")
