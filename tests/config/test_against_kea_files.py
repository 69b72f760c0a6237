"""The real server and pyd2 say the same of random configuration files, to the byte.

With PYD2_CONFIGURATIONS=3000 there are more of them.
"""

from __future__ import annotations

import operator
import os
import random
from pathlib import Path

import pytest

from tests.config.kea_check import Outcome, kea_outcome, our_outcome, without_secrets
from tests.config.mutations import INCLUDED, Generator, mutate, random_token
from tests.config.sockets.socket_maps import FILES, SocketMaps

pytestmark = pytest.mark.peers

DATA = Path(__file__).parents[1] / "conformance" / "data" / "configs"
BASES = [path.read_bytes() for kind in ("ok", "bad") for path in sorted((DATA / kind).glob("*.json"))]
BATCHES = 10
FILES_IN_BATCH = int(os.environ.get("PYD2_CONFIGURATIONS", "480")) // (4 * BATCHES)

AT_START_ONLY = (
    "illegal severity: 0",
    "File name too long [system:36]",
    "Mandatory 'socket-type' parameter missing",
    "Mandatory 'socket-name' parameter missing",
    "Invalid 'socket-type' parameter value ",
    "'socket-name' is invalid: ",
    "cannot create socket lockfile, ",
)
"""Faults that Kea's check overlooks (decided: ours reports them)."""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The working directory with files to include and to read, and the variables that name it."""
    for name, content in INCLUDED.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "k.secret").write_bytes(b"QUJD\n")
    (tmp_path / "empty.secret").write_bytes(b" \n")
    monkeypatch.chdir(tmp_path)
    here = str(tmp_path)
    return {"KEA_LOG_FILE_DIR": here, "KEA_CONTROL_SOCKET_DIR": here, "KEA_HOOKS_PATH": f"{here}/"}


REFUSED_AT_ONCE = "invalid path in `output`: it must not contain a NUL character "
"""A fault that Kea does not see (decided: a path does not end at its first NUL); it may find another one."""


def assert_same(text: bytes, environment: dict[str, str]) -> None:
    Path("c.json").write_bytes(text)
    kea = kea_outcome("c.json", environment)
    ours = our_outcome("c.json", environment)
    # What opening hook libraries logs, and what pyd2 warns of beyond Kea, is not compared.
    kea_log = tuple(entry for entry in kea.log if entry[1] != "kea-dhcp-ddns.hooks")
    our_log = tuple(entry for entry in ours.log if not entry[2].startswith("PYD2_"))
    if kea.exit == -6:
        assert ours.stderr.startswith("Error encountered: missing parameter 'dns-servers' ("), (text, ours)
    elif ours.stderr.removeprefix("Error encountered: ").startswith(REFUSED_AT_ONCE):
        assert b"\\u0000" in text
    elif kea.exit == 0 and ours.exit != 0:
        assert ours.stderr.removeprefix("Error encountered: ").startswith(AT_START_ONLY), (text, ours)
    else:
        theirs = Outcome(kea.exit, kea.stderr, kea_log).text()
        own = Outcome(ours.exit, ours.stderr, our_log).text()
        assert operator.eq(*without_secrets(theirs, own)), (theirs, own, text)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_changed_files(batch: int, environment: dict[str, str]) -> None:
    """Recorded files with a few tokens or bytes changed: mostly faults of grammar."""
    for seed in range(batch * FILES_IN_BATCH, (batch + 1) * FILES_IN_BATCH):
        rng = random.Random(f"changed {seed}")
        assert_same(mutate(rng.choice(BASES), rng), environment)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_generated_files(batch: int, environment: dict[str, str]) -> None:
    """Files with all keys: mostly good ones and faults of logic."""
    here = environment["KEA_LOG_FILE_DIR"].encode()
    for seed in range(batch * FILES_IN_BATCH, (batch + 1) * FILES_IN_BATCH):
        text = Generator(random.Random(f"generated {seed}")).whole()
        assert_same(text.replace(b"@DIR@", here), environment)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_control_sockets(batch: int, environment: dict[str, str]) -> None:
    """Lists of control sockets, which Kea 3.0 knows."""
    Path().chmod(0o750)
    for name, content in FILES.items():
        Path(name).write_text(content)
    for seed in range(batch * FILES_IN_BATCH, (batch + 1) * FILES_IN_BATCH):
        assert_same(SocketMaps(random.Random(f"sockets {seed}")).file().encode(), environment)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_tokens(batch: int, environment: dict[str, str]) -> None:
    """Odd tokens in a row, where any value may stand: mostly faults of single tokens."""
    for seed in range(batch * FILES_IN_BATCH, (batch + 1) * FILES_IN_BATCH):
        rng = random.Random(f"tokens {seed}")
        value = b"".join(random_token(rng) for _ in range(rng.randint(1, 4)))
        end = rng.choice([b"}}}", b'"}}}', b""])
        assert_same(b'{ "DhcpDdns": { "user-context": { "a": ' + value + end, environment)
