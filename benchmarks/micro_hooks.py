"""What a hook point costs the engine: CPU microseconds for each selection of a server.

Run: python benchmarks/micro_hooks.py [ROUNDS]

Libraries in C are measured where there is a C compiler, those for Kea where the bridge is there as well.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING

from pyd2.config.model import DnsServer, HookLibrary
from pyd2.dns.tsig import HmacKey
from pyd2.hooks.chain import load_chain
from pyd2.messages import MESSAGES, ROOT_LOGGER, Severity

if TYPE_CHECKING:
    from collections.abc import Callable

LIBRARIES = {
    "an empty callout": "def select_key(handle): pass",
    "a callout that sets a key": """
from pyd2.hooks import TsigKey
key = TsigKey("k.", "HMAC-SHA256", b"0123456789abcdef")
def select_key(handle):
    if handle.get_argument("current_server").port == 53:
        handle.set_argument("tsig_key", key)
""",
    "the same with context_create and context_destroy": """
from pyd2.hooks import TsigKey
key = TsigKey("k.", "HMAC-SHA256", b"0123456789abcdef")
def context_create(handle): handle.set_context("seen", 1)
def context_destroy(handle): pass
def select_key(handle):
    if handle.get_argument("current_server").port == 53 and handle.get_context("seen"):
        handle.set_argument("tsig_key", key)
""",
}
C_LIBRARIES = {
    "an empty callout in C": "return 0;",
    "a callout in C that sets a key": """
    pyd2_hook_server *server;
    uint16_t port;
    if (api->current_server(callout, &server) != 0 || api->server_port(server, &port) != 0)
        return 1;
    return port == 53 ? api->set_tsig_key(callout, key) : 0;
""",
}
C_TEXT = """
#include "pyd2_hook.h"
PYD2_HOOK_DEFINE_VERSION
static const pyd2_hook_api *api;
static pyd2_hook_key *key;
static int select_key(pyd2_hook_callout *callout, void *user)
{
    (void)callout; (void)user;
    %s
}
int pyd2_hook_load(const pyd2_hook_api *table, pyd2_hook_library *library, void **state)
{
    (void)state;
    api = table;
    return api->key_new(library, pyd2_hook_string("k."), pyd2_hook_string("HMAC-SHA256"),
                        pyd2_hook_string("MDEyMzQ1Njc4OWFiY2RlZg=="), 0, &key)
         | api->register_callout(library, pyd2_hook_string("select_key"), select_key, NULL);
}
"""
KEA_LIBRARIES = {
    "an empty callout in C++ for Kea": "(void)handle;",
    "a callout in C++ for Kea that sets a key": """
    isc::d2::DnsServerInfoPtr server;
    handle.getArgument("current_server", server);
    if (server->getPort() == 53)
        handle.setArgument("tsig_key", key);
""",
}
KEA_TEXT = """
#include <d2srv/d2_config.h>
#include <d2srv/d2_tsig_key.h>
#include <hooks/hooks.h>
static isc::d2::D2TsigKeyPtr key;
extern "C" int version() { return KEA_HOOKS_VERSION; }
extern "C" int load(isc::hooks::LibraryHandle&)
{
    key = isc::d2::TSIGKeyInfo("k.", "HMAC-SHA256", "MDEyMzQ1Njc4OWFiY2RlZg==").getTSIGKey();
    return 0;
}
extern "C" int unload() { key.reset(); return 0; }
extern "C" int select_key(isc::hooks::CalloutHandle& handle)
{
    %s
    return 0;
}
"""
INCLUDE = Path(__file__).parents[1] / "cbridge" / "include"
SERVER = DnsServer(ip_address("192.0.2.1"), 53, "", None, None)
KEY = HmacKey("configured.", "HMAC-SHA256", b"0123456789abcdef")


class QuietLog:
    """The log at Kea's default level, INFO; what it is told goes nowhere."""

    on = frozenset(name for name, message in MESSAGES.items() if message.severity > Severity.DEBUG)

    def __init__(self) -> None:
        self.followers: list[Callable[[], None]] = []

    def emit(self, message_id: str, *arguments: object) -> None:
        """Drop a message."""

    def levels(self) -> dict[str, tuple[Severity, int]]:
        """Return what is on."""
        return {ROOT_LOGGER: (Severity.INFO, 0)}


def python_library(text: str, path: Path) -> HookLibrary:
    """Return the entry of a library in Python."""
    path = path.with_suffix(".py")
    path.write_text(f"def version(): return 20603\n{text}\n")
    return HookLibrary(str(path), None)


def c_library(body: str, path: Path) -> HookLibrary:
    """Return the entry of a library in C, compiled."""
    source, target = path.with_suffix(".c"), path.with_suffix(".so")
    source.write_text(C_TEXT % body)
    command = ["cc", "-std=c11", "-O2", "-fPIC", "-shared", f"-I{INCLUDE}", str(source), "-o", str(target)]
    subprocess.run(command, check=True)
    return HookLibrary(str(target), None)


def kea_library(body: str, path: Path) -> HookLibrary:
    """Return the entry of a library in C++ for Kea, compiled."""
    source, target = path.with_suffix(".cc"), path.with_suffix(".so")
    source.write_text(KEA_TEXT % body)
    include = os.environ.get("KEA_INCLUDE_DIR", "/usr/include/kea")
    command = ["c++", "-std=c++17", "-O2", "-fPIC", "-shared", "-isystem", include, str(source), "-o",
               str(target)]
    subprocess.run(command, check=True)
    return HookLibrary(str(target), None)


def measure(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the CPU microseconds of one call of each, the best of five runs; they take turns."""
    best = dict.fromkeys(works, float("inf"))
    for _ in range(5):
        for name, work in works.items():
            begin = process_time()
            for _ in range(rounds):
                work()
            best[name] = min(best[name], (process_time() - begin) / rounds * 1e6)
    return best


def main() -> None:
    """Measure each library alone, then several in a row."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    with tempfile.TemporaryDirectory() as directory:
        entries = {name: python_library(text, Path(directory) / f"python{number}")
                   for number, (name, text) in enumerate(LIBRARIES.items())}
        chains = {name: [entry] for name, entry in entries.items()}
        chains["all three in a chain"] = list(entries.values())
        if shutil.which("cc") is not None:
            in_c = {name: c_library(body, Path(directory) / f"c{number}")
                    for number, (name, body) in enumerate(C_LIBRARIES.items())}
            chains |= {name: [entry] for name, entry in in_c.items()}
            chains["C, Python and C, each sets a key"] = [
                in_c["a callout in C that sets a key"], entries["a callout that sets a key"],
                c_library(C_LIBRARIES["a callout in C that sets a key"], Path(directory) / "c_again"),
            ]
        loaded = {name: load_chain(libraries, QuietLog()) for name, libraries in chains.items()}
        works: dict[str, Callable[[], object]] = {}
        for name, chain in loaded.items():
            assert chain.select_key is not None
            works[name] = partial(chain.select_key, SERVER, KEY)
        for name, microseconds in measure(works, rounds).items():
            print(f"{name:50}{microseconds:8.2f} us")
        for chain in loaded.values():
            chain.unload()
        if shutil.which("cc") is not None and find_spec("pyd2.hooks.kea_shim") is not None:
            through_kea(rounds, Path(directory), entries["a callout that sets a key"],
                        in_c["a callout in C that sets a key"])


def through_kea(rounds: int, directory: Path, python: HookLibrary, plain_c: HookLibrary) -> None:
    """Measure chains with libraries for Kea, one after the other: there is one Kea in a process."""
    in_kea = {name: kea_library(body, directory / f"kea{number}")
              for number, (name, body) in enumerate(KEA_LIBRARIES.items())}
    empty, sets_key = in_kea.values()
    chains = {name: [entry] for name, entry in in_kea.items()} | {
        "C++ for Kea, and a callout in C that sets a key": [empty, plain_c],
        "C++ for Kea, and one in Python that sets a key": [empty, python],
        "C++ for Kea, Python and C, each sets a key": [sets_key, python, plain_c],
    }
    for name, libraries in chains.items():
        chain = load_chain(libraries, QuietLog())
        assert chain.select_key is not None
        for microseconds in measure({name: partial(chain.select_key, SERVER, KEY)}, rounds).values():
            print(f"{name:50}{microseconds:8.2f} us")
        chain.unload()


if __name__ == "__main__":
    main()
