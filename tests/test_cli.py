"""The command line. The real server's, run beside it, is the measure."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyd2 import __version__, cli, report
from pyd2.profiles.release import KEA_2_6_3
from tests.kit.d2 import environment
from tests.kit.process import find_program

RECORDED = Path(__file__).parent / "conformance" / "data" / "cli"
USAGE_CASES = [
    path.stem
    for path in sorted(RECORDED.glob("*.json"))
    if "Usage:" in json.loads(path.read_text())["stderr"] or path.stem in {"v", "vV", "v-then-bad-option"}
]


def run(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    umask = os.umask(0o022)
    status = cli.main(arguments)
    os.umask(umask)
    sys.stdout.flush()
    sys.stderr.flush()
    return status, *capfd.readouterr()


def test_cases_are_there() -> None:
    assert len(USAGE_CASES) >= 9


@pytest.mark.parametrize("name", USAGE_CASES)
def test_recorded(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    case = json.loads((RECORDED / f"{name}.json").read_text())
    assert run(case["args"], capfd) == (case["exit"], case["stdout"], case["stderr"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-c", "a"], cli.Run("a", check_only=False, verbose=False)),
        (["-ca"], cli.Run("a", check_only=False, verbose=False)),
        (["-dca"], cli.Run("a", check_only=False, verbose=True)),
        (["-t", "a", "-c", "b"], cli.Run("b", check_only=True, verbose=False)),
        (["-c", "a", "-t", "b", "-d"], cli.Run("b", check_only=True, verbose=True)),
        (["-ct"], cli.Run("t", check_only=False, verbose=False)),
        (["-c", "-t"], cli.Run("-t", check_only=False, verbose=False)),
        (["-c", "--"], cli.Run("--", check_only=False, verbose=False)),
        (["-c", ""], cli.Run("", check_only=False, verbose=False)),
        (["-d"], cli.Run("", check_only=False, verbose=True)),
        (["--"], cli.Run("", check_only=False, verbose=False)),
        (["operand", "-v"], KEA_2_6_3.version),
        (["-c", "a", "-v"], KEA_2_6_3.version),
    ],
)
def test_parse(arguments: list[str], expected: object) -> None:
    assert cli.parse(arguments, KEA_2_6_3) == expected


# Command lines that end before the server would open anything: a missing file, a usage error or a text.
WORD = st.one_of(
    st.sampled_from(["-v", "-d", "-x", "--", "-", "-c", "-t", "operand", "-dv", "--version", "-é", "-W"]),
    st.text(alphabet="-dvctx", min_size=1, max_size=4),
)


@pytest.mark.peers
@settings(max_examples=40, deadline=None)
@given(words=st.lists(WORD, max_size=4))
def test_same_verdict_as_the_real_server(words: list[str]) -> None:
    kea = subprocess.run(
        [find_program("kea-dhcp-ddns", "kea-dhcp-ddns-server"), *words], capture_output=True, check=False,
        env=environment(Path("/nonexistent")) | {"KEA_LOCKFILE_DIR": "none"},
    )  # fmt: skip
    try:
        ours = cli.parse(words, KEA_2_6_3)
    except cli.UsageError as error:
        text = f"Usage error: {error}\n" if str(error) else ""
        assert kea.stderr == os.fsencode(f"{text}{KEA_2_6_3.usage}\n")
        assert (kea.returncode, kea.stdout) == (1, b"")
        return
    assert not kea.stderr.startswith(b"Usage")
    if isinstance(ours, str):
        assert kea.returncode == 0
        if ours == KEA_2_6_3.version:
            assert kea.stdout.decode() == f"{ours}\n"
    elif ours.check_only:
        text = "Syntax check failed" if ours.config_file else "JSON configuration file not specified"
        assert kea.stderr.decode().startswith(text)
    elif ours.config_file:
        assert b"Unable to open PID file '/nonexistent/" in kea.stderr
    else:
        assert b"config file name is not set" in kea.stderr


def test_umask(capfd: pytest.CaptureFixture[str]) -> None:
    before = os.umask(0o002)
    try:
        cli.main(["-v"])
        assert os.umask(0o177) == 0o027
        cli.main(["-v"])
        assert os.umask(before) == 0o177
    finally:
        os.umask(before)


def test_the_short_version_needs_no_heavy_import() -> None:
    """-v must answer at once: neither the daemon nor the reports are loaded."""
    program = (
        "import sys; from pyd2 import cli; cli.main(['-v']); "
        "heavy = {'asyncio', 'uvloop', 'ssl', 'dns', 'dataclasses', 'pyd2.daemon', 'pyd2.profiles.kea_2_6'}; "
        "print(*heavy.intersection(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == f"{KEA_2_6_3.version}\n\n"


def test_module_runs() -> None:
    done = subprocess.run([sys.executable, "-m", "pyd2", "-V"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{report.version_report(KEA_2_6_3)}\n"


def test_extended_version() -> None:
    lines = report.version_report(KEA_2_6_3).split("\n")
    assert lines[:3] == [f"2.6.3 (pyd2 {__version__})", "premium: no", "linked with:"]
    names = {line.split(" ")[1] for line in lines[3:]}
    assert names >= {"Python", "uvloop", "orjson", "cffi", "dnspython", "OpenSSL"}
    assert all(line.startswith("- ") and line.count(" ") >= 2 for line in lines[3:])


def test_the_build_report_has_the_labels_that_are_looked_for() -> None:
    """Those of ISC's system test of the command, as Kea's report has them."""
    labels = [line.split(":")[0].strip() for line in report.build_report(KEA_2_6_3).splitlines()]
    assert labels.count("Included Hooks") == 1
    for label in ("Valgrind", "CXX_VERSION", "MYSQL_VERSION"):
        assert labels.count(label) == 1


def test_build_report(capfd: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(["-W"], capfd)
    assert (status, err) == (0, "")
    assert out == f"{report.build_report(KEA_2_6_3)}\n"
    assert out.startswith(" \n        Kea source configure results:\n     -=-=")
    assert f"Extended version:  2.6.3 (pyd2 {__version__})" in out


@pytest.mark.peers
@pytest.mark.parametrize("arguments", ["-v", "-V", "-W", "-x", "", "-d -t d2.json", "-t none"])
@pytest.mark.parametrize("descriptor", [1, 2])
@pytest.mark.parametrize("state", ["closed", "full"])
def test_output_that_goes_nowhere(
    arguments: str, descriptor: int, state: str, d2_binary: str, tmp_path: Path
) -> None:
    """The exit status is the real server's."""
    (tmp_path / "d2.json").write_text('{ "DhcpDdns": { "port": 53001 } }')
    target = f"{descriptor}>&-" if state == "closed" else f"{descriptor}>/dev/full"
    found = [
        subprocess.run(
            ["sh", "-c", f'"$0" "$@" {3 - descriptor}>other {target}', binary, *arguments.split()],
            cwd=tmp_path, env=environment(tmp_path), check=False, timeout=60,
        ).returncode
        for binary in (find_program("kea-dhcp-ddns", "kea-dhcp-ddns-server"), d2_binary)
    ]  # fmt: skip
    assert found[0] == found[1]
