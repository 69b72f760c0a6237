"""Loggers, levels and outputs, compared with the files that the real server writes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyd2.config.model import Logger, OutputOption
from pyd2.messages import ROOT_LOGGER, Log, Severity
from pyd2.observe.log import full_name
from pyd2.observe.template import substitute
from tests.kit.profile import MESSAGES, message_log
from tests.observe import kea

ROOT: dict[str, Any] = {"name": ROOT_LOGGER, "severity": "INFO", "output-options": [{"output": "a.log"}]}
EVERYTHING = {"severity": "DEBUG", "debuglevel": 99}
SETUPS: dict[str, list[dict[str, Any]]] = {
    "root": [ROOT],
    "no output, no root": [{"name": "dctl", **EVERYTHING}],
    "child with outputs only": [{"name": "dctl", **EVERYTHING, "output-options": [{"output": "a.log"}]}],
    "child borrows the root's outputs": [ROOT, {"name": "commands", **EVERYTHING}],
    "root after its child": [{"name": "commands", **EVERYTHING}, ROOT],
    "child with outputs writes to them only": [
        ROOT,
        {"name": "kea-dhcp-ddns.dctl", **EVERYTHING, "output-options": [{"output": "b.log"}]},
        {"name": "dhcpddns", "severity": "ERROR"},
    ],
    "two roots": [ROOT, {**ROOT, **EVERYTHING, "output-options": [{"output": "b.log"}]}],
    "two entries for one child": [
        ROOT,
        {"name": "dctl", **EVERYTHING, "output-options": [{"output": "b.log"}]},
        {"name": "kea-dhcp-ddns.dctl", "severity": "INFO", "output-options": [{"output": "c.log"}]},
    ],
    "one output twice": [{**ROOT, "output-options": [{"output": "a.log"}, {"output": "a.log"}]}],
    "two outputs": [{**ROOT, "output-options": [{"output": "a.log"}, {"output": "b.log", "flush": False}]}],
    "root at NONE": [{**ROOT, "severity": "NONE"}, {"name": "dctl", "severity": "DEBUG"}],
    "a name that only begins like the root's": [ROOT, {"name": "kea-dhcp-ddns-x", **EVERYTHING}],
    "below a child": [ROOT, {"name": "dctl.x", **EVERYTHING}, {"name": "dctl", "severity": "NONE"}],
    "debuglevel 40": [{**ROOT, "severity": "DEBUG", "debuglevel": 40}],
    "debuglevel without DEBUG": [{**ROOT, "severity": "WARN", "debuglevel": 99}],
}
PATTERN = "%p %c %m%n"
HEAD = re.compile(r"^\S+ \S+ +(\w+) +\[([^/]+)/\d+\.\d+\] (\w+)", re.MULTILINE)
"""The head of a line in the default pattern."""


@pytest.fixture
def quiet() -> dict[str, str]:
    """An environment in which the log of the test writes nothing and locks nothing."""
    return {"KEA_LOCKFILE_DIR": "none", "KEA_LOGGER_DESTINATION": "/dev/null"}


@pytest.fixture(scope="module")
def happened(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The IDs of all messages that the real server logs from its configuration to its end."""
    directory = tmp_path_factory.mktemp("kea")
    kea.run(directory, [{"name": ROOT_LOGGER, **EVERYTHING, "output-options": [kea.reference_output()]}])
    return {record["m"].split(" ")[0] for record in kea.read_reference(directory)}


def loggers(entries: list[dict[str, Any]], directory: Path) -> tuple[Logger, ...]:
    """Return the loggers of a configuration as the configuration's reader makes them."""
    return tuple(
        Logger(
            entry["name"], entry["severity"], entry.get("debuglevel", 0),
            tuple(
                OutputOption(str(directory / option["output"]), option.get("flush", True), pattern=PATTERN)
                for option in entry.get("output-options", ())
            ),
            None,
        )
        for entry in entries
    )  # fmt: skip


def heads(directory: Path) -> dict[str, set[tuple[str, ...]]]:
    """Return what was logged in each file: severity, logger and ID."""
    return {
        path.name: {tuple(line.split(" ")[:3]) for line in path.read_text().splitlines()}
        for path in directory.glob("?.log")
        if path.stat().st_size  # the real server also creates files that it then does not use
    }


@pytest.mark.peers
@pytest.mark.parametrize("setup", SETUPS)
def test_same_messages_in_the_same_files_as_kea(
    setup: str, happened: set[str], tmp_path: Path, quiet: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    real, ours = tmp_path / "real", tmp_path / "ours"
    real.mkdir()
    ours.mkdir()
    with_pattern = json.dumps(SETUPS[setup]).replace('.log"', f'.log", "pattern": "{PATTERN}"')
    entries = json.loads(with_pattern)
    d2 = kea.run(real, entries)
    log = message_log(quiet)
    log.configure(loggers(SETUPS[setup], ours))
    for message_id in happened:
        log.emit(message_id, *["x"] * len(set(re.findall(r"%\d", MESSAGES[message_id].text))))
    log.close()
    assert heads(ours) == heads(real)
    assert set(HEAD.findall(capfd.readouterr().err)) == set(HEAD.findall(d2.process.stderr()))


def test_one_output_twice_writes_twice(tmp_path: Path, quiet: dict[str, str]) -> None:
    log = message_log(quiet)
    log.configure(loggers(SETUPS["one output twice"], tmp_path))
    log.emit("DHCP_DDNS_STARTED", "1")
    log.close()
    assert (tmp_path / "a.log").read_text().count("DHCP_DDNS_STARTED") == 2


def test_on_follows_the_configuration(tmp_path: Path, quiet: dict[str, str]) -> None:
    log = message_log(quiet)
    interface: Log = log
    on = interface.on
    assert "DCTL_STARTING" in on
    assert "DHCP_DDNS_STARTING_TRANSACTION" not in on
    log.configure(loggers([{**ROOT, "severity": "DEBUG", "debuglevel": 50}], tmp_path))
    assert "DHCP_DDNS_STARTING_TRANSACTION" in on
    assert "DHCP_DDNS_REQUEST_DROPPED" not in on  # debug level 55
    log.configure(loggers([{**ROOT, "severity": "NONE"}], tmp_path))
    assert not on
    log.close()


def test_without_loggers_stderr_at_info(capfd: pytest.CaptureFixture[str]) -> None:
    log = message_log({"KEA_LOCKFILE_DIR": "none"}, verbose=True)
    log.emit("DCTL_INIT_PROCESS", "DhcpDdns")
    log.configure(())
    log.emit("DCTL_INIT_PROCESS", "DhcpDdns")
    log.emit("DHCP_DDNS_STARTED", "2.6.3")
    log.close()
    out, err = capfd.readouterr()
    assert HEAD.findall(out) == [("DEBUG", "kea-dhcp-ddns.dctl", "DCTL_INIT_PROCESS")]
    assert HEAD.findall(err) == [("INFO", "kea-dhcp-ddns.dhcpddns", "DHCP_DDNS_STARTED")]


@pytest.mark.parametrize(
    ("environment", "stdout", "stderr", "file"),
    [
        ({}, 1, 0, 0),
        ({"KEA_LOGGER_DESTINATION": "stderr"}, 0, 1, 0),
        ({"KEA_LOGGER_DESTINATION": "@DIR@/d.log"}, 0, 0, 1),
        ({"KEA_LOGGER_SEVERITY": "ERROR"}, 0, 0, 0),
        ({"KEA_LOGGER_SEVERITY": "DEBUG"}, 2, 0, 0),
        ({"KEA_LOGGER_SEVERITY": "debug", "KEA_LOGGER_DBGLEVEL": "0"}, 2, 0, 0),
        ({"KEA_LOGGER_SEVERITY": "DEBUG", "KEA_LOGGER_DBGLEVEL": "x"}, 2, 1, 0),
        ({"KEA_LOGGER_SEVERITY": "DEBUG", "KEA_LOGGER_DBGLEVEL": "9" * 5000}, 2, 1, 0),
        ({"KEA_LOGGER_SEVERITY": "bogus"}, 1, 1, 0),
    ],
)
def test_before_the_configuration(
    environment: dict[str, str], stdout: int, stderr: int, file: int, tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    environ = {key: value.replace("@DIR@", str(tmp_path)) for key, value in environment.items()}
    log = message_log({"KEA_LOCKFILE_DIR": "none"} | environ)
    log.emit("DCTL_INIT_PROCESS", "DhcpDdns")
    log.emit("DCTL_STARTING", "DhcpDdns", 1, "2.6.3", "stable")
    log.close()
    out, err = capfd.readouterr()
    path = tmp_path / "d.log"
    written = path.read_text().count("\n") if path.exists() else 0
    assert (out.count("\n"), err.count("\n"), written) == (stdout, stderr, file)
    assert not Path(f"{path}.lock").exists()  # before the configuration files do not roll


def test_lock_file_beside_kea(tmp_path: Path) -> None:
    log = message_log({"KEA_LOCKFILE_DIR": str(tmp_path), "KEA_LOGGER_DESTINATION": "/dev/null"})
    assert not (tmp_path / "logger_lockfile").exists()  # it comes with the first line
    log.emit("DHCP_DDNS_STARTED", "1")
    log.close()
    assert (tmp_path / "logger_lockfile").stat().st_mode & 0o777 == 0o660


def test_check_only_locks_only_where_the_environment_says(tmp_path: Path) -> None:
    for environ in ({}, {"KEA_LOCKFILE_DIR": str(tmp_path)}):
        log = message_log({"KEA_LOGGER_DESTINATION": "/dev/null"} | environ, check_only=True)
        log.emit("DHCP_DDNS_STARTED", "1")
        log.close()
        assert (tmp_path / "logger_lockfile").exists() == bool(environ)


def test_an_unusable_lock_directory_costs_no_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Kea loses every message then: row 24 of docs/differences.md."""
    log = message_log({"KEA_LOCKFILE_DIR": str(tmp_path / "no")})
    log.emit("DHCP_DDNS_STARTED", "1")
    log.emit("DHCP_DDNS_STARTED", "2")
    log.close()
    out = capfd.readouterr().out
    message_ids = [message_id for _, _, message_id in HEAD.findall(out)]
    assert message_ids == ["DHCP_DDNS_STARTED", "PYD2_LOCKFILE_UNUSABLE", "DHCP_DDNS_STARTED"]
    assert f"cannot use the log lock file {tmp_path}/no/logger_lockfile (No such file or directory)" in out


def test_hook_loggers(tmp_path: Path, quiet: dict[str, str]) -> None:
    log = message_log(quiet)
    entries = [ROOT, {"name": "gss-tsig-hooks", "severity": "DEBUG", "debuglevel": 10}]
    log.configure(loggers(entries, tmp_path))
    gss, other = log.logger("gss-tsig-hooks"), log.logger("kea-dhcp-ddns.other")
    assert gss.enabled(Severity.DEBUG, 10)
    assert not gss.enabled(Severity.DEBUG, 11)
    assert not other.enabled(Severity.DEBUG)
    gss.message(Severity.DEBUG, 10, "GSS_ONE", "100% %1")
    gss.message(Severity.DEBUG, 11, "GSS_TWO", "text")
    other.message(Severity.WARN, 0, "OTHER", "text")
    log.configure(loggers([{**ROOT, "severity": "ERROR"}], tmp_path))
    other.message(Severity.WARN, 0, "OTHER_LATER", "text")
    log.close()
    assert (tmp_path / "a.log").read_text() == (
        "DEBUG kea-dhcp-ddns.gss-tsig-hooks GSS_ONE 100% %1\nWARN kea-dhcp-ddns.other OTHER text\n"
    )


def test_bytes_that_are_no_utf_8(tmp_path: Path, quiet: dict[str, str]) -> None:
    log = message_log(quiet)
    log.configure(loggers([ROOT], tmp_path))
    log.emit("DHCP_DDNS_STARTED", b"\xe9\xff".decode("utf-8", "surrogateescape"))
    log.emit("DHCP_DDNS_STARTED", "\ud800")
    log.close()
    first, second = (tmp_path / "a.log").read_bytes().splitlines()
    assert b"version \xe9\xff started" in first
    assert b"version \\ud800 started" in second


def test_after_close_nothing_is_written(quiet: dict[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    log = message_log(quiet | {"KEA_LOGGER_DESTINATION": "stdout"})
    hook = log.logger("x")
    log.close()
    log.emit("DCTL_STARTING", "DhcpDdns", 1, "2.6.3", "stable")
    hook.message(Severity.FATAL, 0, "X", "y")
    assert capfd.readouterr() == ("", "")


@pytest.mark.peers
def test_marks_are_replaced_as_kea_replaces_them(tmp_path: Path) -> None:
    """The real server takes marks in the arguments for its own, and says so in the message."""
    (tmp_path / "d2.json").write_text('{"DhcpDdns":{"ip-address": "a%1b%2c"}}')
    output = kea.check(tmp_path)
    text = output.partition("DHCP_DDNS_CONFIG_CHECK_FAIL")[2].splitlines()[0]
    argument = (
        "Failed to convert 'a%1b%2c' to address: "
        "Failed to convert string to address 'a%1b%2c': Invalid argument(d2.json:1:28)"
    )
    message = MESSAGES["DHCP_DDNS_CONFIG_CHECK_FAIL"]
    assert f"{message.message_id}{text}" == substitute(f"{message.message_id} {message.text}", [argument])


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="%")), max_size=5))
def test_substitute(arguments: list[str]) -> None:
    template = "ID" + "".join(f" <%{number}>" for number in range(1, len(arguments) + 1))
    assert substitute(template, arguments) == "ID" + "".join(f" <{argument}>" for argument in arguments)


def test_substitute_complains_inside_the_text() -> None:
    assert substitute("ID %1 %2", ["a"]) == "ID a %2 @@Excess logger placeholder '%2' still exists@@"
    assert substitute("ID", ["a"]) == "ID @@Missing logger placeholder '%1' for value 'a'@@"


def test_full_name() -> None:
    assert full_name("dctl") == full_name("kea-dhcp-ddns.dctl") == "kea-dhcp-ddns.dctl"
    assert full_name("kea-dhcp-ddns") == "kea-dhcp-ddns"
    assert full_name("kea-dhcp-ddns2") == "kea-dhcp-ddns.kea-dhcp-ddns2"
