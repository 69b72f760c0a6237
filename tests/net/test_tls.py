"""TLS towards a DNS server: what its files, and the server, cannot bring about."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pyd2.config.tls import TlsSwitches
from tests.kit.certificates import make_authority, make_certificate
from tests.kit.process import find_program

if TYPE_CHECKING:
    from pathlib import Path

OPENSSL = find_program("openssl", "openssl")
READ = """
import sys
from pyd2.config.tls import TlsError, TlsSwitches
try:
    TlsSwitches("opportunistic", cert_file=sys.argv[1], key_file=sys.argv[2]).make_context()
except TlsError as error:
    print(error)
"""


def test_a_key_with_a_password_is_a_fault_and_no_question(tmp_path: Path) -> None:
    """OpenSSL asked for it at the terminal: a command waited until an operator typed it there."""
    made, locked = make_authority(tmp_path), tmp_path / "locked.key"
    lock = ["ec", "-in", str(made.key), "-aes256", "-passout", "pass:secret", "-out", str(locked)]
    subprocess.run([OPENSSL, *lock], check=True, capture_output=True)
    # Without a terminal it reads from standard input, which stays open and empty.
    reading = subprocess.Popen(
        [sys.executable, "-c", READ, made.cert, locked], start_new_session=True, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    with reading:
        try:
            assert reading.wait(30) == 0
        finally:
            reading.kill()
        assert reading.stdout is not None
        assert reading.stdout.read().startswith(
            f"'tls-cert-file' {made.cert} with 'tls-key-file' {locked} cannot be used: ")


@pytest.mark.parametrize("mode", ["strict", "opportunistic"])
def test_a_server_cannot_ask_for_another_handshake(tmp_path: Path, mode: str) -> None:
    """Of TLS 1.2: each took the update thread some milliseconds, as many as the server asked for.

    ``openssl s_server`` asks for one when it reads an r.
    """
    authority = make_authority(tmp_path)
    shown = make_certificate(tmp_path, authority, "DNS:ns.test")
    switches = TlsSwitches(mode, ca_file=str(authority.cert))

    async def main() -> None:
        server = await asyncio.create_subprocess_exec(
            OPENSSL, "s_server", "-accept", "127.0.0.1:0", "-tls1_2", "-naccept", "1",
            "-cert", shown.cert, "-key", shown.key,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            async with asyncio.timeout(20):
                await server.stdout.readuntil(b"ACCEPT 127.0.0.1:")
                port = int(await server.stdout.readline())
                _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=switches.make_context(),
                                                          server_hostname="ns.test")
                await server.stdout.readuntil(b"Secure Renegotiation IS supported\n")
                server.stdin.write(b"r\n")
                await server.stdin.drain()
                await server.stdout.readuntil(b"no renegotiation")
                writer.close()
        finally:
            server.kill()
            await server.wait()

    asyncio.run(main())
