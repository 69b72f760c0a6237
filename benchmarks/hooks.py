"""What a hook point costs the engine: CPU microseconds for each selection of a server.

Run: python -m benchmarks.hooks [ROUNDS]

Lists with a library in C++ go through Kea's HooksManager; they are measured where the bridge is. What a
library costs the whole daemon, beside the real server with the same one:
./dev bench --case add --case 'hook*'
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from ipaddress import ip_address
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING

from pyd2.config.model import Config, DdnsDomain, DnsServer, HookLibrary, TsigKey
from pyd2.config.output import to_element
from pyd2.dns.tsig import HmacKey
from pyd2.hooks.choice import load_chain
from pyd2.hooks.kea.bridge import built
from pyd2.hooks.points import RULES
from pyd2.messages import ROOT_LOGGER, Severity
from tests.kit.profile import MESSAGES

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
    const pyd2_hook_server *server;
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
CPP_LIBRARIES = {
    "no callout in C++": "",
    "an empty callout in C++": "int select_key(isc::hooks::CalloutHandle&) { return 0; }",
    "a callout in C++ that sets a key": """
isc::d2::D2TsigKeyPtr key(new isc::d2::D2TsigKey("k.:MDEyMzQ1Njc4OWFiY2RlZg==:HMAC-SHA256"));
int select_key(isc::hooks::CalloutHandle& handle) {
    isc::d2::DnsServerInfoPtr server;
    handle.getArgument("current_server", server);
    if (server->getPort() == 53) {
        handle.setArgument("tsig_key", key);
    }
    return 0;
}
""",
}
CPP_TEXT = """
#include <d2srv/d2_config.h>
#include <d2srv/d2_tsig_key.h>
#include <hooks/hooks.h>
extern "C" {
int version() { return KEA_HOOKS_VERSION; }
int multi_threading_compatible() { return 1; }
%s
}
"""
INCLUDE = Path(__file__).parents[1] / "cbridge" / "include"
KEA_INCLUDE = Path(os.environ.get("KEA_INCLUDE_DIR", "/usr/include/kea"))

KEY = HmacKey("configured.", "HMAC-SHA256", b"0123456789abcdef")
TSIG_KEY = TsigKey(
    "configured.", "HMAC-SHA256", 0, b"0123456789abcdef", "MDEyMzQ1Njc4OWFiY2RlZg==", None, None,
)
SERVER = DnsServer(ip_address("192.0.2.1"), 53, "configured.", TSIG_KEY, None)
CONFIG = Config(
    ip_address=ip_address("127.0.0.1"), port=53001, dns_server_timeout=500, ncr_protocol="UDP",
    ncr_format="JSON", tsig_keys=(TSIG_KEY,),
    forward_domains=(DdnsDomain("example.com.", "", (SERVER,), None),), reverse_domains=(),
    control_sockets=(), hooks_libraries=(), loggers=(), user_context=None,
)
ELEMENT = to_element(CONFIG).map_value()["DhcpDdns"]


class QuietLog:
    """The log at Kea's default level, INFO; it discards all messages."""

    messages = MESSAGES
    on = frozenset(name for name, message in MESSAGES.items() if message.severity > Severity.DEBUG)

    def __init__(self) -> None:
        self.followers: list[Callable[[], None]] = []

    def emit(self, message_id: str, *arguments: object) -> None:
        """Drop a message."""

    def levels(self) -> dict[str, tuple[Severity, int]]:
        """Return the level of each logger, as the bridge asks for them."""
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


def cpp_library(body: str, path: Path) -> HookLibrary:
    """Return the entry of a library in C++ for Kea, compiled."""
    source, target = path.with_suffix(".cc"), path.with_suffix(".so")
    source.write_text(CPP_TEXT % body)
    options = ["-std=c++17", "-O2", "-fPIC", "-shared", "-isystem", str(KEA_INCLUDE)]
    subprocess.run(["c++", *options, str(source), "-o", str(target)], check=True)
    return HookLibrary(str(target), None)


def make_chains(directory: Path) -> dict[str, list[HookLibrary]]:
    """Return the lists of libraries to measure: of each language that works here, and mixed."""
    sets_key = "a callout in {} that sets a key"
    entries = {name: python_library(text, directory / f"python{number}")
               for number, (name, text) in enumerate(LIBRARIES.items())}
    chains = {name: [entry] for name, entry in entries.items()}
    chains["all three in a chain"] = list(entries.values())
    python = entries["a callout that sets a key"]
    if shutil.which("cc") is None:
        return chains
    in_c = {name: c_library(body, directory / f"c{number}")
            for number, (name, body) in enumerate(C_LIBRARIES.items())}
    chains |= {name: [entry] for name, entry in in_c.items()}
    first = in_c[sets_key.format("C")]
    again = c_library(C_LIBRARIES[sets_key.format("C")], directory / "c_again")
    chains["C, Python and C, each sets a key"] = [first, python, again]
    if shutil.which("c++") is None or RULES.version not in built():
        return chains
    in_cpp = {name: cpp_library(body, directory / f"cpp{number}")
              for number, (name, body) in enumerate(CPP_LIBRARIES.items())}
    chains |= {name: [entry] for name, entry in in_cpp.items()}
    compiled = in_cpp[sets_key.format("C++")]
    chains["C++ and Python, each sets a key"] = [compiled, python]
    chains["C++ and C, each sets a key"] = [compiled, first]
    last = cpp_library(CPP_LIBRARIES[sets_key.format("C++")], directory / "cpp_again")
    chains["C++, Python and C++, each sets a key"] = [compiled, python, last]
    second = python_library(LIBRARIES["a callout that sets a key"], directory / "python_again")
    chains["C++, Python, C, Python and C++, each sets a key"] = [compiled, python, first, second, last]
    return chains


def measure(chains: dict[str, list[HookLibrary]], rounds: int) -> dict[str, float]:
    """Return the CPU microseconds of a selection for each, the best of twenty short runs; they take turns."""
    best = dict.fromkeys(chains, float("inf"))
    for _ in range(20):
        for name, entries in chains.items():
            chain = load_chain(entries, QuietLog())
            chain.configured(CONFIG, ELEMENT)
            select_key = chain.select_key
            if select_key is None:  # as the engine sees it
                continue
            begin = process_time()
            for _ in range(rounds):
                select_key(SERVER, KEY)
            best[name] = min(best[name], (process_time() - begin) / rounds * 1e6)
            chain.unload()
    return best


def main() -> None:
    """Measure libraries alone and several in a row."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3_000
    with tempfile.TemporaryDirectory() as directory:
        chains = make_chains(Path(directory))
        for name, microseconds in measure(chains, rounds).items():
            print(f"{name:50}{microseconds:8.2f} us")


if __name__ == "__main__":
    main()
