"""The test handles behave like those of the server, and the guide's test of a library is one that runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyd2.config.model import DnsServer
from pyd2.errors import HookError
from pyd2.hooks import Status, TsigKey
from pyd2.hooks.testing import callout_handle, dns_server, library_handle

if TYPE_CHECKING:
    from pyd2.hooks import CalloutHandle

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "hooks.md").read_text()


def test_the_guides_test_of_a_library_passes(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    (text,) = [block for block in blocks if "def test_" in block]
    (tmp_path / "test_avoid.py").write_text(text)
    shutil.copy(ROOT / "examples" / "hooks" / "avoid.py", tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_avoid.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
    spoiled = (tmp_path / "avoid.py").read_text().replace("Status.SKIP", "Status.CONTINUE")
    (tmp_path / "avoid.py").write_text(spoiled)
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 1


def test_the_members_of_a_server_are_described() -> None:
    """All that a library may count on; position and switches are pyd2's own."""
    table = GUIDE.partition("`current_server` in Python")[2].partition("\n\n\n")[0]
    members = set(DnsServer._fields) - {"position", "switches"}
    assert {name for name in members if f"`{name}`" not in table} == set()


def test_load_with_a_stand_in() -> None:
    def callout(handle: CalloutHandle) -> None: ...

    handle = library_handle({"a": [1]})
    assert handle.get_parameters() == {"a": [1]}
    handle.register_callout("select_key", callout)
    handle.register_command("my-command", callout)
    assert handle.callouts("select_key") == handle.command("my_command") == [callout]
    assert handle.callouts("d2_srv_configured") == handle.command("other") == []
    handle.log.error("broken")
    handle.log.debug("see")
    assert handle.messages == [("ERROR", "broken"), ("DEBUG", "see")]
    with pytest.raises(HookError, match="hook name nope is not recognized"):
        handle.register_callout("nope", callout)


def test_a_callout_with_a_stand_in() -> None:
    key = TsigKey("k.", "HMAC-SHA256", b"x")
    handle = callout_handle("select_key", current_server=dns_server("2001:db8::1", 5353))
    assert handle.status is Status.CONTINUE
    assert handle.get_argument("tsig_key") is None
    assert handle.get_argument("current_server").port == 5353
    handle.set_argument("tsig_key", key)
    assert handle.get_argument("tsig_key") is key
    with pytest.raises(HookError, match="unable to set argument tsig_key"):
        handle.set_argument("tsig_key", 7)


def test_a_command_with_a_stand_in() -> None:
    handle = callout_handle("$my-command", command={"command": "my-command"})
    assert handle.get_argument("command") == {"command": "my-command"}
    assert handle.get_argument("response") is None
    handle.set_argument("response", {"result": 0})
    assert handle.get_argument("response") == {"result": 0}


@pytest.mark.parametrize(("hook", "arguments", "reason"), [
    ("select_keys", {}, "hook name select_keys is not recognized"),
    ("select_key", {"server": None}, "hook select_key has no argument server"),
    ("d2_srv_configured", {"error": 7}, "a str is expected, not int"),
])
def test_a_stand_in_refuses_what_the_server_would_not_give(
    hook: str, arguments: dict[str, object], reason: str,
) -> None:
    with pytest.raises(HookError, match=reason):
        callout_handle(hook, **arguments)
    assert callout_handle("context_create").argument_names() == []
