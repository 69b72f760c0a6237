"""Files that are none: a FIFO, a device or a name with a NUL hangs no start, check, reload or command."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.kit.d2 import D2, config, environment, private_directory
from tests.kit.fifo import Fifo
from tests.kit.ports import PortLease
from tests.kit.service_manager import ServiceManager

pytestmark = pytest.mark.faults

KEY = {"name": "k.", "algorithm": "HMAC-SHA256"}


def lanes(**files: str) -> dict[str, Any]:
    switches = {f"tls-{name}-file": path for name, path in files.items()}
    return {"user-context": {"pyd2": {"lanes": {"transport": "tls", **switches}}}}


def bodies(path: str) -> dict[str, dict[str, Any]]:
    """Return the parameters that name a file, by the error when it is none."""
    logger = {"name": "kea-dhcp-ddns", "severity": "INFO", "output-options": [{"output": path, "maxsize": 0}]}
    return {
        "'tls-ca-file'": lanes(ca=path),
        "'tls-cert-file'": lanes(cert=path),
        "'tls-key-file'": lanes(cert=__file__, key=path),
        "regular file": {"tsig-keys": [{**KEY, "secret-file": path}]},
        "`output`": {"loggers": [logger]},
    }


def test_a_fifo_hangs_no_command_and_no_reload(d2_binary: str, is_pyd2: bool) -> None:
    if not is_pyd2:
        pytest.skip("Kea waits for ever for the writer of a configuration, an included file or a log")
    with PortLease() as lease, private_directory() as directory, ServiceManager(directory) as manager:
        port = lease.take()
        fifo, file = directory / "fifo", directory / "d2.json"
        os.mkfifo(fifo)
        good = json.dumps(config(port))
        file.write_text(good)
        with manager.start(d2_binary) as d2:
            d2.wait_for_commands()
            for said, body in bodies(str(fifo)).items():
                settings = config(port, body)
                for command in ("config-test", "config-set"):
                    answer = d2.command(command, settings)
                    if said == "`output`":  # it has no reader: its lines are lost, as on a full disk
                        assert answer["result"] == 0
                    else:
                        assert answer["result"] == 1
                        assert said in answer["text"]
            assert d2.command("config-set", config(port))["result"] == 0

            assert "fifo for writing" in d2.command("config-write", {"filename": "fifo"})["text"]

            heard = len([message for message in manager.hear() if "READY" in message])
            for number, text in enumerate(('{ <?include "fifo"?> }', None), 1):
                if text is None:
                    file.unlink()
                    os.mkfifo(file)
                else:
                    file.write_text(text)
                assert "it is no regular file" in d2.command("config-reload")["text"]
                d2.process.send_signal(signal.SIGHUP)
                assert "it is no regular file" in manager.wait_for("READY", heard + number)["STATUS"]
            assert d2.answers_commands()


def test_a_pipe_may_give_the_first_configuration(d2_binary: str) -> None:
    with PortLease() as lease, private_directory() as directory, Fifo(directory / "d2.json") as fifo, \
            D2(d2_binary, directory) as d2:
        fifo.wait_for_reader(d2)
        fifo.give(json.dumps(config(lease.take())))
        d2.wait_for_commands()


def said_by(directory: Path, *command: str) -> str:
    """Run a program that refuses the configuration; return its message."""
    done = subprocess.run(command, cwd=directory, env=environment(directory), capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr + done.stdout
    return done.stdout + done.stderr


@pytest.mark.parametrize("said", [
    "'tls-ca-file'", "'tls-cert-file'", "'tls-key-file'", "`output`", "'tls-hostname'", "'socket-name'",
])
def test_a_nul_in_a_path_is_a_fault_with_a_place(d2_binary: str, is_pyd2: bool, said: str) -> None:
    if not is_pyd2:
        pytest.skip("in Kea a path ends at its first NUL")
    body = bodies("x\0y").get(said, {})
    if said == "'tls-hostname'":
        body = {"user-context": {"pyd2": {"lanes": {"transport": "tls", "tls-hostname": "x\0y"}}}}
    if said == "'socket-name'":
        body = {"control-socket": {"socket-type": "unix", "socket-name": "x\0y"}}
    with PortLease() as lease, private_directory() as directory, ServiceManager(directory) as manager:
        port = lease.take()
        bad = config(port, body)
        (directory / "d2.json").write_text(json.dumps(config(port)))
        with manager.start(d2_binary) as d2:
            d2.wait_for_commands()
            (directory / "d2.json").write_text(json.dumps(bad))
            answers = [d2.command(name, bad)["text"] for name in ("config-test", "config-set")]
            answers.append(d2.command("config-reload")["text"])
            heard = len([message for message in manager.hear() if "READY" in message])
            d2.process.send_signal(signal.SIGHUP)
            answers.append(manager.wait_for("READY", heard + 1)["STATUS"])
        answers += [said_by(directory, d2_binary, flag, "d2.json") for flag in ("-t", "-c")]
        answers.append(said_by(directory, sys.executable, "-m", "pyd2.tools", "lint", "d2.json"))
        for answer in answers:
            assert said in answer
            assert "must not contain a NUL character (" in answer
        assert "PYD2_INTERNAL_ERROR" not in d2.process.output()
