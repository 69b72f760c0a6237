"""Libraries in plain C in one chain with compiled Kea libraries and Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyd2.config.model import HookLibrary
from pyd2.data.element import from_plain
from tests.kit.c_libraries import ROOT, compile_library, compile_text

from .conftest import BridgeLog, Load, configure, state
from .test_compiled import TRACER, ask, python_library, said, use
from .test_keys_across import READER_C

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Probe = Callable[..., HookLibrary]

PRELUDE = '#include "c_prelude.h"\n'

TRACER_C = PRELUDE + """
    static int trace(pyd2_hook_callout *callout, void *user)
    {
        pyd2_hook_text shared = { "", 0 }, hook;
        uint32_t index;
        void *kept = NULL;
        int *count, status;
        (void)user;
        api->argument_text(callout, T("trace"), &shared);
        if (api->context(callout, T("count"), &kept) != PYD2_HOOK_OK
            && ((kept = calloc(1, sizeof *count)) == NULL
                || api->set_context(callout, T("count"), kept, free) != PYD2_HOOK_OK))
            return 1;
        count = kept;
        if (api->hook_name(callout, &hook) != PYD2_HOOK_OK || api->library_index(self, &index) != PYD2_HOOK_OK
            || api->status(callout, &status) != PYD2_HOOK_OK)
            return 2;
        say("%s %d '%s' %d status %d", hook.data, (int)index, shared.data, (*count)++, status);
        return 0;
    }
    static int start(void)
    {
        static const char *const hooks[] = {
            "command_processed", "context_create", "context_destroy", "d2_srv_configured", "select_key" };
        size_t i;
        for (i = 0; i < sizeof hooks / sizeof hooks[0]; i++)
            if (api->register_callout(self, T(hooks[i]), trace, NULL) != PYD2_HOOK_OK)
                return 1;
        return 0;
    }
"""


@pytest.mark.parametrize("hook", ["select_key", "d2_srv_configured", "command_processed"])
def test_order_and_privacy_in_a_chain_of_five(
    load: Load, probe: Probe, log: BridgeLog, tmp_path: Path, hook: str,
) -> None:
    """Kea, Python, C, Python, Kea: in the order of the list; contexts are private and live for one use."""
    first = python_library(tmp_path, TRACER, name="first.py")
    in_c = HookLibrary(str(compile_text(TRACER_C, tmp_path / "tracer.so")), None)
    second = python_library(tmp_path, TRACER, name="second.py")
    chain = load(probe("A"), first, in_c, second, probe("B"))
    configure(chain)
    for _ in range(2):
        log.lines()
        use(chain, hook)
        points = (("context_create", 0, ""), (hook, 1, "AB"), ("context_destroy", 2, "ABAB"))
        assert said(log, hook, "context_") == [
            f"{point} {index} '{shared}' {count} status 0"
            for point, count, before in points
            for index, shared in enumerate((before, *[before + "A"] * 4), start=1)
        ]


def test_a_compiled_library_signs_with_a_signer_in_c(
    load: Load, probe: Probe, log: BridgeLog, tmp_path: Path,
) -> None:
    """It sees a D2TsigKey like any other."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"0123456789abcdef")
    signer = compile_library(
        ROOT / "examples" / "hooks" / "signer.c", tmp_path / "signer.so", "-Wl,--no-as-needed", "-lcrypto",
    )
    parameters = from_plain({"name": "Rolling.", "secret-file": str(secret)})
    chain = load(HookLibrary(str(signer), parameters), probe("A", select="sign"))
    first = ask(chain).key
    assert first is not None
    assert first is ask(chain).key
    lines = said(log, "server", "signed", "verified")
    assert lines[0] == "server 192.0.2.1 port:53 key rolling. 0"
    assert lines[1].startswith("signed rolling. 0 ANY TSIG hmac-sha256. ")
    assert lines[2].startswith("verified FORMERR length ")


def test_a_key_of_a_compiled_library_goes_through_c(
    load: Load, probe: Probe, log: BridgeLog, tmp_path: Path,
) -> None:
    passer = compile_text(READER_C, tmp_path / "passer.so")
    chain = load(probe("A", select="own-key"), HookLibrary(str(passer), None), probe("B"))
    before = state(chain)["signs"]
    key = ask(chain).key
    assert key is not None
    assert len(key.create_context().sign(bytes(12), 1, 0)) > 12
    assert said(log, "read") == ["read own. hmac-sha256. True"]
    assert state(chain)["signs"] == before + 1
