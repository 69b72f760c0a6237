"""TLS of HTTP control sockets: versions, certificates, odd clients, and files that are wrong."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest

from pyd2.config.model import TlsFiles
from pyd2.errors import ConfigError
from pyd2.net import control_http_connection
from pyd2.net.control_tls import make_context
from tests.control.http_fakes import ADMIN, HttpLines, command, http_socket, post, status_of
from tests.kit.certificates import Certificate, make_authority, make_certificate
from tests.kit.waiting import until
from tests.net.http_ends import Client, ask, channel, client_context, make

if TYPE_CHECKING:
    from pathlib import Path

    from tests.net.conftest import Run


class Files(NamedTuple):
    """The certificates of a server, of its client, of a stranger, and the authorities."""

    authority: Certificate
    stranger: Certificate
    server: Certificate
    client: Certificate
    other: Certificate

    def tls(self, *, required: bool = True, key: str = "") -> TlsFiles:
        return TlsFiles(
            str(self.authority.cert), str(self.server.cert), key or str(self.server.key), required
        )

    def context(self, who: Certificate | None) -> ssl.SSLContext:
        return client_context(self.authority.cert, *(who.cert, who.key) if who else ())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("tls")
    authority, stranger = make_authority(folder), make_authority(folder, "stranger")
    return Files(
        authority,
        stranger,
        make_certificate(folder, authority, "IP:127.0.0.1"),
        make_certificate(folder, authority, "DNS:client.test", "client"),
        make_certificate(folder, stranger, "DNS:other.test", "other"),
    )


@pytest.fixture
def log() -> HttpLines:
    return HttpLines()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_with_a_certificate(log: HttpLines, run: Run, files: Files, version: ssl.TLSVersion) -> None:
    context = files.context(files.client)
    context.minimum_version = context.maximum_version = version

    async def main() -> None:
        async with channel(log, http_socket(tls=files.tls())) as made:
            client = await Client.connect(made.port, context)
            for number in range(3):
                assert status_of(await client.ask(command(str(number)))) == 200
            client.send(post('{ "command": "x" }' + " " * 2_000_000, "Connection: close"))
            assert status_of(await client.response()) == 200
            assert await client.ended() == b""
            client.close()
            await until(lambda: log.texts("HTTP_CONNECTION_STOP"))

    run(main())
    assert [line[0] for line in log.take("HTTP_CON", "HTTP_REQ", "HTTPS", "PYD2", "HTTP_COM")] == [
        "HTTP_COMMAND_MGR_SERVICE_STARTED",
        "HTTP_CONNECTION_HANDSHAKE_START",
        "HTTPS_REQUEST_RECEIVE_START",
        "HTTP_CONNECTION_STOP",
        "HTTP_COMMAND_MGR_SERVICE_STOPPING",
    ]


@pytest.mark.parametrize(
    ("who", "required", "reason"),
    [
        (None, True, "peer did not return a certificate (SSL routines)"),
        ("other", True, "certificate verify failed (SSL routines)"),
        (None, False, ""),
        ("other", False, ""),
    ],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_clients_without_the_right_certificate(
    log: HttpLines,
    run: Run,
    files: Files,
    who: str | None,
    required: bool,
    reason: str,
    version: ssl.TLSVersion,
) -> None:
    context = files.context(files.other if who else None)
    context.maximum_version = version

    async def main() -> None:
        async with channel(log, http_socket(tls=files.tls(required=required))) as made:
            if not reason:
                assert status_of(await ask(made.port, command("x"), context)) == 200
                return
            with pytest.raises((ssl.SSLError, ConnectionResetError, asyncio.IncompleteReadError)):
                await ask(made.port, command("x"), context)
            await until(lambda: log.texts("HTTP_CONNECTION_STOP"))

    run(main())
    expected = [f"TLS handshake with 127.0.0.1 failed with {reason}"] if reason else []
    assert log.texts("HTTP_CONNECTION_HANDSHAKE_FAILED") == expected


def test_tls_1_1_is_refused(log: HttpLines, run: Run, files: Files) -> None:
    context = files.context(files.client)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1

    async def main() -> None:
        async with channel(log, http_socket(tls=files.tls())) as made:
            with pytest.raises((ssl.SSLError, ConnectionResetError)):
                await ask(made.port, command("x"), context)
            await until(lambda: log.texts("HTTP_CONNECTION_STOP"))

    run(main())
    assert log.texts("HTTP_CONNECTION_HANDSHAKE_FAILED") == [
        "TLS handshake with 127.0.0.1 failed with unsupported protocol (SSL routines)"
    ]


def test_plain_http_on_a_socket_with_tls(log: HttpLines, run: Run, files: Files) -> None:
    async def main() -> None:
        async with channel(log, http_socket(tls=files.tls())) as made:
            client = await Client.connect(made.port)
            client.send(command("x"))
            assert await client.ended() == b"", "a reset would take an alert with it"
            client.close()

    run(main())
    assert log.texts("HTTP_CONNECTION_HANDSHAKE_FAILED") == [
        "TLS handshake with 127.0.0.1 failed with http request (SSL routines)"
    ]


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01"])
def test_a_client_that_says_nothing_is_given_up(
    log: HttpLines,
    run: Run,
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
    sent: bytes,
) -> None:
    """Kea never closes its connection."""
    monkeypatch.setattr(control_http_connection, "TIMEOUT", 0.1)

    async def main() -> None:
        async with channel(log, http_socket(tls=files.tls())) as made:
            client = await Client.connect(made.port)
            client.send(sent)
            assert await client.ended() == b""
            client.close()

    run(main())
    assert log.texts("HTTP_CONNECTION_HANDSHAKE_FAILED") == [
        "TLS handshake with 127.0.0.1 failed with no end after 0 seconds"
    ]


def test_a_client_that_leaves_in_the_handshake(log: HttpLines, run: Run, files: Files) -> None:
    async def main() -> None:
        async with channel(log, http_socket(tls=files.tls())) as made:
            client = await Client.connect(made.port)
            client.send(b"\x16\x03\x01")
            client.writer.write_eof()
            await until(lambda: log.texts("HTTP_CONNECTION_STOP"))
            client.close()

    run(main())
    assert log.texts("HTTP_CONNECTION_HANDSHAKE_FAILED") == [
        "TLS handshake with 127.0.0.1 failed with stream truncated"
    ]


def test_a_client_cannot_ask_for_another_handshake(log: HttpLines, run: Run, files: Files) -> None:
    """``openssl s_client`` asks for a renegotiation of TLS 1.2 when it reads an R."""

    async def main() -> None:
        async with channel(log, http_socket(tls=files.tls())) as made:
            process = await asyncio.create_subprocess_exec(
                "openssl",
                "s_client",
                "-connect",
                f"127.0.0.1:{made.port}",
                "-tls1_2",
                "-CAfile",
                files.authority.cert,
                "-cert",
                files.client.cert,
                "-key",
                files.client.key,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            assert process.stdin is not None
            process.stdin.write(b"R\nR\n")
            await process.stdin.drain()
            said, _ = await process.communicate()
            assert b"no renegotiation" in said
            assert status_of(await ask(made.port, command("x"), files.context(files.client))) == 200

    run(main())


def test_a_client_that_ends_its_side_of_tls(log: HttpLines, run: Run, files: Files) -> None:
    async def main() -> None:
        async with channel(log, http_socket(tls=files.tls())) as made:
            plain = socket.create_connection(("127.0.0.1", made.port))
            loop = asyncio.get_running_loop()
            wrapped = await loop.run_in_executor(
                None, lambda: files.context(files.client).wrap_socket(plain, server_hostname="127.0.0.1")
            )
            wrapped.setblocking(False)
            with pytest.raises(ssl.SSLWantReadError):
                wrapped.unwrap()
            await until(lambda: log.texts("HTTP_CONNECTION_STOP"))
            wrapped.close()

    run(main())


def test_the_successor_has_the_new_files_and_keeps_the_connections(
    log: HttpLines, run: Run, files: Files, tmp_path: Path
) -> None:
    async def main() -> None:
        old = make(log, http_socket(tls=files.tls()))
        old.open()
        port = old.port
        client = await Client.connect(port, files.context(files.client))
        strict = make(log, http_socket(0, ADMIN, tls=files.tls()))
        log.take()
        strict.open([old])
        assert log.take("HTTP_COMMAND") == [
            (
                "HTTP_COMMAND_MGR_HTTPS_SERVICE_UPDATED",
                "reused HTTPS service bound to address: 127.0.0.1 port: 0 and updated TLS settings",
            )
        ]
        old.close()
        assert status_of(await client.ask(command("x"))) == 401
        bad = make(log, http_socket(tls=files.tls(key="/nowhere")))
        with pytest.raises(ConfigError, match=r"^load of private key file '/nowhere' failed: No such file"):
            bad.open([strict])
        assert strict.listening
        assert status_of(await client.ask(command("x"))) == 401
        client.close()
        strict.close()

    run(main())


@pytest.mark.parametrize("anchor", ["ca.pem", "."])
def test_a_client_that_could_not_connect_any_more_is_disconnected(
    log: HttpLines, run: Run, files: Files, tmp_path: Path, anchor: str
) -> None:
    """A connection must not outlive what its client had to show when it came."""

    def trust(authority: Certificate) -> None:
        (tmp_path / "ca.pem").write_bytes(authority.cert.read_bytes())
        subprocess.run(["openssl", "rehash", tmp_path], check=True)

    def asking(*, required: bool) -> TlsFiles:
        place = str(tmp_path / anchor)
        return TlsFiles(place, str(files.server.cert), str(files.server.key), required)

    trust(files.authority)

    async def main() -> None:
        free = make(log, http_socket(tls=asking(required=False)))
        free.open()
        without = await Client.connect(free.port, files.context(None))
        strict = make(log, http_socket(tls=asking(required=True)))
        strict.open([free])
        # A change that is rolled back ends none.
        free.open([strict])
        strict.close()
        assert status_of(await without.ask(command("x"))) == 200
        strict = make(log, http_socket(tls=asking(required=True)))
        strict.open([free])
        free.close()
        assert await without.ended() == b""
        without.close()
        known = await Client.connect(strict.port, files.context(files.client))
        assert status_of(await known.ask(command("x"))) == 200
        # Other authorities in the same file, and one more client then.
        trust(files.stranger)
        changed = make(log, http_socket(tls=asking(required=True)))
        changed.open([strict])
        strict.close()
        assert await known.ended() == b""
        known.close()
        other = await Client.connect(changed.port, files.context(files.other))
        assert status_of(await other.ask(command("x"))) == 200
        # Where no certificate is needed, all may stay.
        free = make(log, http_socket(tls=asking(required=False)))
        free.open([changed])
        changed.close()
        assert status_of(await other.ask(command("x"))) == 200
        other.close()
        free.close()

    run(main())


def test_from_http_to_https_at_one_port_and_back(log: HttpLines, run: Run, files: Files) -> None:
    """Kea refuses that. Connections of the other kind end."""

    async def main() -> None:
        plain, secure = make(log, http_socket(0, ADMIN)), make(log, http_socket(0, ADMIN, tls=files.tls()))
        plain.open()
        port = plain.port
        client = await Client.connect(port)
        assert status_of(await client.ask(command("x"))) == 401
        log.take()
        secure.open([plain])
        plain.close()
        assert log.take("HTTP_COMMAND", "PYD2") == [
            (
                "HTTP_COMMAND_MGR_SERVICE_STOPPING",
                "Server is stopping HTTP service bound to address 127.0.0.1 port 0",
            ),
            ("HTTP_COMMAND_MGR_SERVICE_STARTED", "started HTTPS service bound to address: 127.0.0.1 port: 0"),
        ]
        assert await client.ended() == b""
        client.close()
        assert status_of(await ask(port, command("x"), files.context(files.client))) == 401
        back = make(log, http_socket(0, ADMIN))
        back.open([secure])
        secure.close()
        assert status_of(await ask(port, command("x"))) == 401
        back.close()

    run(main())


@pytest.mark.parametrize(
    ("member", "content", "text"),
    [
        ("trust_anchor", None, "load of CA file '{}' failed: No such file or directory"),
        ("cert_file", None, "load of cert file '{}' failed: No such file or directory"),
        ("key_file", None, "load of private key file '{}' failed: No such file or directory"),
        (
            "trust_anchor",
            "x",
            "load of CA file '{}' failed: no certificate or crl found (x509 certificate routines)",
        ),
        ("cert_file", "x", "load of cert file '{}' failed: no start line (PEM routines)"),
        ("cert_file", "server key", "load of cert file '{}' failed: no start line (PEM routines)"),
        ("cert_file", "half", "load of cert file '{}' failed: bad end line (PEM routines)"),
        ("trust_anchor", "half", "load of CA file '{}' failed: bad end line (PEM routines)"),
        ("trust_anchor", "typing", "load of CA file '{}' failed: bad base64 decode (PEM routines)"),
        ("cert_file", "weak", "load of cert file '{}' failed: ee key too small (SSL routines)"),
        ("key_file", "x", "load of private key file '{}' failed: unsupported (DECODER routines)"),
        (
            "key_file",
            "client",
            "load of private key file '{}' failed: key values mismatch (x509 certificate routines)",
        ),
        (
            "key_file",
            "rsa",
            "load of private key file '{}' failed: key type mismatch (x509 certificate routines)",
        ),
        ("key_file", "fifo", "load of private key file '{}' failed: "),
    ],
)
def test_files_that_are_wrong(
    files: Files,
    tmp_path: Path,
    member: str,
    content: str | None,
    text: str,
) -> None:
    path = tmp_path / "file"
    whole = files.server.cert.read_text()
    if content == "fifo":
        os.mkfifo(path)
    elif content == "client":
        path = files.client.key
    elif content == "server key":
        path = files.server.key
    elif content == "half":
        path.write_text(whole[: len(whole) // 2])
    elif content == "typing":
        path.write_text(whole.replace("M", "!", 1))
    elif content in {"weak", "rsa"}:
        path = make_rsa(tmp_path, 1024 if content == "weak" else 2048, key=content == "rsa")
    elif content is not None:
        path.write_text(content)
    tls = files.tls()
    wrong = {name: getattr(tls, name) for name in ("trust_anchor", "cert_file", "key_file")} | {
        member: str(path)
    }
    with pytest.raises(ConfigError) as caught:
        make_context(TlsFiles(**wrong, cert_required=True))
    assert str(caught.value).startswith(text.format(path))


def make_rsa(folder: Path, bits: int, *, key: bool) -> Path:
    """Return a certificate that signs itself, or its key."""
    paths = folder / "rsa.key", folder / "rsa.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", f"rsa:{bits}", "-nodes", "-subj", "/CN=rsa",
         "-keyout", paths[0], "-out", paths[1]],
        check=True, capture_output=True,
    )  # fmt: skip
    return paths[0] if key else paths[1]


def test_an_encrypted_key_is_refused_without_asking_for_its_password(files: Files, tmp_path: Path) -> None:
    key = tmp_path / "locked.key"
    subprocess.run(
        ["openssl", "ec", "-in", files.server.key, "-out", key, "-aes256", "-passout", "pass:x"],
        check=True,
        capture_output=True,
    )
    failed = rf"^load of private key file '{key}' failed: processing error \(UI routines\)$"
    with pytest.raises(ConfigError, match=failed):
        make_context(files.tls(key=str(key)))


def test_the_trust_anchor_may_be_a_directory(files: Files, run: Run, log: HttpLines, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(files.authority.cert.read_bytes())
    subprocess.run(["openssl", "rehash", tmp_path], check=True)
    tls = TlsFiles(str(tmp_path), str(files.server.cert), str(files.server.key), True)

    async def main() -> None:
        async with channel(log, http_socket(tls=tls)) as made:
            assert status_of(await ask(made.port, command("x"), files.context(files.client))) == 200

    run(main())
