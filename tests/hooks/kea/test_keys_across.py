"""Keys cross languages in all directions: one library makes a key, another one reads it and hands it on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyd2.config.model import HookLibrary
from pyd2.data.element import from_plain
from pyd2.hooks.keys import TsigKey
from tests.kit.c_libraries import PRELUDE, ROOT, compile_library, compile_text
from tests.kit.dnswire import describe, parse

from .conftest import BridgeLog, Load, configure
from .test_compiled import ask, python_library, said

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Probe = Callable[..., HookLibrary]

SECRET = b"0123456789abcdef"
LANGUAGES = ("kea", "python", "c")

PLAIN_PYTHON = """
    from pyd2.hooks import TsigKey
    key = TsigKey("made.", "HMAC-SHA256", b"0123456789abcdef")
    def select_key(handle): handle.set_argument("tsig_key", key)
"""
SIGNING_PYTHON = """
    from pyd2.hooks import TsigKey
    inner = TsigKey("made.", "HMAC-SHA256", b"0123456789abcdef")
    class Key:
        name, algorithm = inner.name, inner.algorithm
        def create_context(self): return inner.create_context()
    key = Key()
    def select_key(handle): handle.set_argument("tsig_key", key)
"""
PLAIN_C = PRELUDE + """
    static pyd2_hook_key *key;
    static int callout(pyd2_hook_callout *callout, void *user)
    {
        (void)user;
        return api->set_tsig_key(callout, key);
    }
    static int start(void)
    {
        return api->key_new(self, T("Made."), T("HMAC-SHA256"), T("MDEyMzQ1Njc4OWFiY2RlZg=="), 0, &key)
             | api->register_callout(self, T("select_key"), callout, NULL);
    }
"""
READER_PYTHON = """
    def select_key(handle):
        key = handle.get_argument("tsig_key")
        signed = key.create_context().sign(bytes(12), 1, 0)
        LOG.info(f"read {key.name} {key.algorithm} {len(signed) > 12}")
        handle.set_argument("tsig_key", None)
        handle.set_argument("tsig_key", key)
"""
READER_C = PRELUDE + """
    static int callout(pyd2_hook_callout *callout, void *user)
    {
        pyd2_hook_text name, algorithm;
        const pyd2_hook_key *key;
        (void)user;
        if (api->tsig_key(callout, &key) != PYD2_HOOK_OK || api->key_name(key, &name) != PYD2_HOOK_OK
            || api->key_algorithm(key, &algorithm) != PYD2_HOOK_OK)
            return 1;
        say("read %s %s True", name.data, algorithm.data);
        return api->set_tsig_key(callout, NULL) | api->set_tsig_key(callout, key);
    }
    static int start(void) { return api->register_callout(self, T("select_key"), callout, NULL); }
"""


def maker(language: str, kind: str, probe: Probe, directory: Path) -> tuple[HookLibrary, str]:
    """Return a library that chooses a key of its own, and the key's name."""
    if language == "kea" and kind == "plain":
        return probe("A", select="key=made.:MDEyMzQ1Njc4OWFiY2RlZg==:hmac-sha256"), "made."
    if language == "kea":
        return probe("A", select="own-key"), "own."
    if language == "python":
        text = PLAIN_PYTHON if kind == "plain" else SIGNING_PYTHON
        return python_library(directory, text, name="maker.py"), "made."
    if kind == "plain":
        return HookLibrary(str(compile_text(PLAIN_C, directory / "maker.so")), None), "made."
    (directory / "secret").write_bytes(SECRET)
    signer = compile_library(ROOT / "examples" / "hooks" / "signer.c", directory / "signer.so",
                             "-Wl,--no-as-needed", "-lcrypto")
    parameters = from_plain({"name": "Made.", "secret-file": str(directory / "secret")})
    return HookLibrary(str(signer), parameters), "made."


def reader(language: str, probe: Probe, directory: Path) -> HookLibrary:
    """Return a library that reads the key, signs with it where it can, and sets it again."""
    if language == "kea":
        return probe("B", select="sign")
    if language == "python":
        return python_library(directory, READER_PYTHON, name="reader.py")
    return HookLibrary(str(compile_text(READER_C, directory / "reader.so")), None)


@pytest.mark.parametrize("kind", ["plain", "signing"])
@pytest.mark.parametrize("to", LANGUAGES)
@pytest.mark.parametrize("source", LANGUAGES)
def test_a_key_goes_from_one_language_to_another(
    load: Load, probe: Probe, log: BridgeLog, tmp_path: Path, source: str, to: str, kind: str,
) -> None:
    """It is the same key for all: name, algorithm, and MACs that others find good."""
    first, name = maker(source, kind, probe, tmp_path)
    chain = load(first, reader(to, probe, tmp_path), probe("C"))
    configure(chain)
    log.lines()
    key = ask(chain).key
    assert key is not None
    assert key is ask(chain).key or (source, kind) == ("kea", "plain")  # that one is made anew each time
    lines = said(log, "read ", "signed ", "server ")
    secret_size = 16 if kind == "plain" or source == "kea" else 0
    # The last one is compiled: it sees a D2TsigKey, with its secret where the key has one.
    assert lines[-1] == f"server 192.0.2.1 port:53 key {name} {secret_size}"
    readings = [line for line in lines if line.startswith("read ")]
    if to == "kea":
        assert sum(line.startswith(f"signed {name} 0 ANY TSIG hmac-sha256. ") for line in lines) == 2
    else:
        assert {line.replace("sha256. ", "sha256 ") for line in readings} == {f"read {name} hmac-sha256 True"}
    signed = key.create_context().sign(bytes(12), 0x1234, 1_700_000_000)
    tsig = describe(parse(signed), "A", {name: SECRET})["tsig"]
    assert (tsig["name"], tsig["algorithm"]) == (name, "hmac-sha256.")
    assert tsig["mac_valid_over_original_id"] is True


def test_a_python_key_keeps_its_class_for_python(load: Load, probe: Probe, tmp_path: Path) -> None:
    """Through the compiled library between them."""
    first = python_library(tmp_path, PLAIN_PYTHON, name="first.py")
    chain = load(first, probe("A"), python_library(tmp_path, READER_PYTHON, name="second.py"))
    assert type(ask(chain).key) is TsigKey
