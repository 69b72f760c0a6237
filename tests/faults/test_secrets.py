"""No output shows a TSIG secret: whatever is wrong with it, whoever asks, at the highest level of detail.

``config-get`` and ``config-write`` show it, as Kea's do; they are not asked here.
"""

import contextlib
import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit import control
from tests.kit.d2 import CONTROL_SOCKET, environment, private_directory
from tests.kit.ports import PortLease
from tests.kit.service_manager import ServiceManager

pytestmark = pytest.mark.faults

SECRET = "MkQ3d1ZyTHp/SnhQ0aTf8hUyB6mKcWn+9sGvXoIiR4Y="
PIECE = 6
ODD = [",", ":", ";", "!", "=", "==", "-", '"', "'", "\\", "\\q", "\\u12", "\\u0100", "\x01", "\t", "\n",
       "\0", "{", "}", "[", "]", "\u00e9", "\xff", "/*", "#", " ", "true", "null", "1e999",
       "99999999999999999999"]
CORRUPTIONS = 140
FILES = {"comma.key": f"{SECRET},\n", "long.key": f"{SECRET}=\n", "odd.key": f"'{SECRET}'",
         "late.key": f"x {SECRET}"}


def pieces(secret: str) -> set[str]:
    """Return what may not be shown: each six characters of the secret that follow each other."""
    return {secret[at : at + PIECE] for at in range(len(secret) - PIECE + 1)}


def corrupted(rng: random.Random, key: str) -> str:
    """Return the text of a TSIG key with one to three mistakes at its secret."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        start = key.index('"secret"') if '"secret"' in key else 0
        at = rng.randrange(start, len(key))
        match rng.randrange(4):
            case 0:
                key = key[:at] + rng.choice(ODD) + key[at:]
            case 1:
                key = key[:at] + key[at + 1 :]
            case 2:
                key = key[:at] + rng.choice(ODD) + key[at + 1 :]
            case _:
                key = key.replace(SECRET, rng.choice([
                    SECRET + "=", SECRET[:-1], f"{SECRET},", f'"{SECRET}', SECRET[: at % 40], f"\\{SECRET}",
                    f"{SECRET}\n", f"99999999{SECRET}",
                ]))
    return key


def texts(rng: random.Random, port: int) -> Iterator[str]:
    """Return configurations in which the secret, or something beside it, is mistyped."""
    logger = {"name": "kea-dhcp-ddns", "severity": "DEBUG", "debuglevel": 99,
              "output-options": [{"output": "stdout"}, {"output": "d2.log"}]}
    whole = json.dumps({"DhcpDdns": {"port": port, "control-socket": CONTROL_SOCKET, "loggers": [logger],
                                     "tsig-keys": ["KEY"]}})

    def config(key: str) -> str:
        return whole.replace('"KEY"', key)

    good = f'{{ "name": "k", "algorithm": "HMAC-SHA256", "secret": "{SECRET}" }}'
    yield config(good)
    for member in ("Secret", "scret", "secret-file", "algorithm", "digest-bits", "key", "user-context"):
        yield config(good.replace('"algorithm": "HMAC-SHA256", ', "").replace('"secret"', f'"{member}"'))
    yield config(good.replace('"HMAC-SHA256"', f'"{SECRET}"'))
    yield config(good.replace(f'"{SECRET}"', SECRET))
    yield config(good.replace(f'"{SECRET}"', f't{SECRET}'))
    yield config(good.replace('"secret": ', ""))
    yield config(f'"{SECRET}"')
    yield config(f'{{ "{SECRET}": "secret" }}')
    swapped = good.replace('"k"', f'"{SECRET}"').replace(f'"secret": "{SECRET}"', '"secret": "k"')
    yield config(swapped)
    yield config(swapped.replace('"secret": "k"', '"secret": "QUJD"') + ", " + swapped)
    yield config(good.replace("HMAC-SHA256", f"hmac-sha256:{SECRET}"))
    yield config(good).replace('"tsig-keys": [', f'"tsig-keys": {{ "k": "{SECRET}" }}, "x": [')
    yield config(good).replace('"tsig-keys"', '"tsig-key"').replace('"secret"', '"key"')
    for place in (f'"127.0.0.1", "key-name": "{SECRET}"', f'"{SECRET}"'):
        domain = f'"ddns-domains": [ {{ "name": "a.", "dns-servers": [ {{ "ip-address": {place} }} ] }} ]'
        yield config(good).replace('"tsig-keys"', f'"forward-ddns": {{ {domain} }}, "tsig-keys"')
    yield config(good).replace('"tsig-keys": [', '"tsig-keys": ').replace("} ]", "}")
    yield config(good.replace(f'"{SECRET}"', '<?include "secret.inc"?>'))
    for name in FILES:
        yield config(good.replace(f'"secret": "{SECRET}"', f'"secret-file": "{name}"'))
    for _ in range(CORRUPTIONS):
        yield config(corrupted(rng, good))


def run(directory: Path, *command: str) -> str:
    """Run a program in the directory; return all that it says."""
    env = environment(directory)
    done = subprocess.run(command, cwd=directory, env=env, capture_output=True, check=False, timeout=60)
    assert b"Traceback" not in done.stderr, done.stderr
    return (done.stdout + done.stderr).decode("utf-8", "surrogateescape")


def test_no_output_shows_a_mistyped_secret(d2_binary: str, is_pyd2: bool) -> None:
    if not is_pyd2:
        pytest.skip("Kea shows it in each of these")
    rng = random.Random("secrets")
    with PortLease() as lease, private_directory() as directory, ServiceManager(directory) as manager:
        port = lease.take()
        configs = [*texts(rng, port)]
        path = directory / "d2.json"
        (directory / "secret.inc").write_text(f'"{SECRET}\n"')
        for name, content in FILES.items():
            (directory / name).write_text(content)
        path.write_text(configs[0])
        said: dict[str, str] = {}
        with manager.start(d2_binary) as d2:
            d2.wait_for_commands()
            for number, text in enumerate(configs[1:], 1):
                path.write_text(text, "utf-8", "surrogateescape")
                for command in ("config-test", "config-set"):
                    request = f'{{ "command": "{command}", "arguments": {text} }}'
                    # A request without an end is answered when the client says that there is no more.
                    with contextlib.suppress(OSError):
                        answer = control.exchange(d2.socket, [request.encode("utf-8", "surrogateescape")],
                                                  half_close=True)
                        said[f"{command} {number}"] = control.decode(answer)
                said[f"reload {number}"] = json.dumps(d2.command("config-reload"))
                if number % 10 == 0:
                    heard = len([message for message in manager.hear() if "READY" in message])
                    d2.process.send_signal(signal.SIGHUP)
                    manager.wait_for("READY", heard + 1)
            said["status-get"] = json.dumps(d2.command("status-get"))
            said["statistics"] = json.dumps(d2.statistics())
        said["output"] = d2.process.output()
        said["log"] = (directory / "d2.log").read_text("utf-8", "surrogateescape")
        said["notify"] = json.dumps(manager.hear())
        for number, text in enumerate(configs[1::15]):
            path.write_text(text, "utf-8", "surrogateescape")
            tools = [sys.executable, "-m", "pyd2.tools"]
            said[f"-t {number}"] = run(directory, d2_binary, "-d", "-t", "d2.json")
            said[f"lint {number}"] = run(directory, *tools, "lint", "d2.json")
            said[f"explain {number}"] = run(directory, *tools, "explain", "d2.json", "h.example.com", "::1")
    assert "DCTL_CONFIG_START" in said["log"]
    assert "the reload failed" in said["notify"]
    shown = [(where, text[max(0, text.index(piece) - 300) : text.index(piece) + 60])
             for where, text in said.items() for piece in pieces(SECRET) if piece in text]
    assert not shown
