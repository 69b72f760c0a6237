"""Hook libraries for long: what a million callouts and a thousand reloads leave in memory; valgrind's view.

Run: python -m tests.soak [--callouts N] [--reloads N] [--kind KIND]     memory, each kind in its own process
     python -m tests.soak --valgrind [--callouts N] [--reloads N]        every access to memory, and leaks
     --kea 3.0                                                           the same on Kea 3.0 (./dev kea)

Exit status 0: no kind grew by more than the limit after its warm-up; valgrind has found no wrong access that
is not explained in soak.supp, and no leak of pyd2's compiled parts or of the libraries. The interpreter's own
leaks are counted and not judged: it keeps names and code for the life of the process, some thousand blocks,
and where its symbols are stripped, as Debian's are, nothing tells one from another. The kinds with a library
in C++ need the bridge and Kea's headers.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree

from benchmarks.hooks import (
    C_LIBRARIES,
    CONFIG,
    CPP_LIBRARIES,
    CPP_TEXT,
    ELEMENT,
    KEY,
    LIBRARIES,
    SERVER,
    QuietLog,
    c_library,
)
from pyd2.config.model import HookLibrary
from tests.kit import kea
from tests.kit.kea import load_chain
from tests.kit.memory import in_use

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
SUPPRESSIONS = Path(__file__).with_suffix(".supp")

PYTHON = LIBRARIES["the same with context_create and context_destroy"]
C = C_LIBRARIES["a callout in C that sets a key"]
CPP = CPP_LIBRARIES["a callout in C++ that sets a key"]
NEW_KEYS = """
#include <memory>
int select_key(isc::hooks::CalloutHandle& handle) {
    isc::d2::D2TsigKeyPtr key(new isc::d2::D2TsigKey("k.:MDEyMzQ1Njc4OWFiY2RlZg==:HMAC-SHA256"));
    handle.setArgument("tsig_key", key);
    return 0;
}
"""
FAULTY = """
int select_key(isc::hooks::CalloutHandle& handle) {
    volatile int behind = 8;
    volatile char* octets = new char[8];
    octets[behind] = 1;
    delete[] octets;
    handle.setArgument("tsig_key", isc::d2::D2TsigKeyPtr());
    return 0;
}
"""


def python_library(text: str, path: Path) -> HookLibrary:
    """Return the entry of a library in Python, of the hooks version of the chosen Kea."""
    path = path.with_suffix(".py")
    path.write_text(f"def version(): return {kea.chosen().rules.version}\n{text}\n")
    return HookLibrary(str(path), None)


def cpp_library(body: str, path: Path) -> HookLibrary:
    """Return the entry of a library in C++ for the chosen Kea, compiled."""
    source, target = path.with_suffix(".cc"), path.with_suffix(".so")
    source.write_text(CPP_TEXT % body)
    subprocess.run([*kea.chosen().compiler(), "-O2", str(source), "-o", str(target)], check=True)
    return HookLibrary(str(target), None)


LEAKY_C = "extern void *malloc(size_t); *(volatile char *)malloc(1001) = 1;" + C
LEAKY_CPP = CPP.replace("return 0;", "volatile char* octets = new char[1002]; *octets = 1; return 0;")
KINDS: dict[str, tuple[tuple[Callable[[str, Path], HookLibrary], str], ...]] = {
    "python": ((python_library, PYTHON),),
    "c": ((c_library, C),),
    "c++": ((cpp_library, CPP),),
    "new-keys": ((cpp_library, NEW_KEYS),),
    "mixed": ((cpp_library, CPP), (python_library, PYTHON), (c_library, C), (python_library, PYTHON),
              (cpp_library, CPP)),
    "faulty": ((cpp_library, FAULTY),),
    "leaky": ((c_library, LEAKY_C), (cpp_library, LEAKY_CPP)),
}
"""Of each the makers and the texts of its libraries. Callouts set a key; ``new-keys`` makes it, too.

``faulty`` writes where it must not, which only valgrind sees. ``leaky`` loses a block for each callout in C,
in C++, and one of the bridge's for each reload.
"""
WRONG = ("faulty", "leaky")
"""They show that valgrind would tell; each is run when it is named."""


def grown(work: Callable[[], None], times: int) -> tuple[int, float]:
    """Return by how many KiB memory grows while something is done many times, and the CPU us of each.

    A fifth as many go before, as the warm-up: Kea and the dynamic linker fill tables for some hundred
    reloads.
    """
    for _ in range(max(times // 5, 1)):
        work()
    before, begin = in_use(), process_time()
    for _ in range(times):
        work()
    took = process_time() - begin
    return in_use() - before, took / times * 1e6


def make_libraries(kind: str, directory: Path) -> list[HookLibrary]:
    """Make the libraries of a kind; one that comes twice is copied, for one file would be one library."""
    made: dict[str, HookLibrary] = {}
    entries = []
    for number, (make, text) in enumerate(KINDS[kind]):
        place = directory / f"library{number}"
        if text in made:
            first = Path(made[text].library)
            entries.append(HookLibrary(str(shutil.copy(first, place.with_suffix(first.suffix))), None))
        else:
            made[text] = make(text, place)
            entries.append(made[text])
    return entries


def soak(kind: str, callouts: int, reloads: int, limit: int) -> bool:
    """Measure a kind and print what was found; False when memory grew by more KiB than the limit."""
    log = QuietLog()
    with tempfile.TemporaryDirectory() as directory:
        entries = make_libraries(kind, Path(directory))
        chain = load_chain(entries, log)
        chain.configured(CONFIG, ELEMENT)

        def select() -> None:
            assert chain.select_key is not None
            assert chain.select_key(SERVER, KEY).key is not KEY

        def reload() -> None:
            nonlocal chain
            chain.unload()
            chain = load_chain(entries, log)
            assert chain.configured(CONFIG, ELEMENT) == (True, "")
            select()
            if kind == "leaky":
                kea.shim().lib.kb_module_path()  # a copy for the caller

        by_callouts, callout_took = grown(select, callouts)
        by_reloads, reload_took = grown(reload, reloads)
        chain.unload()
    print(f"{kind:10}{callouts:9} callouts {by_callouts:6} KiB {callout_took:8.2f} us each"
          f"{reloads:7} reloads {by_reloads:6} KiB {reload_took:8.0f} us each", flush=True)
    return max(by_callouts, by_reloads) <= limit


def each_in_its_process(kinds: list[str], *arguments: str) -> bool:
    """Soak kinds one after the other; True when none grew too much."""
    command = [sys.executable, "-m", "tests.soak", f"--kea={kea.chosen().release}", *arguments, "--kind"]
    statuses = [subprocess.run([*command, kind], cwd=ROOT, check=False).returncode for kind in kinds]
    return not any(statuses)


# valgrind.

class Frame(NamedTuple):
    """A place in the stack of what memcheck has found: the file of the code, and its function."""

    file: str
    function: str


class Found(NamedTuple):
    """What memcheck has found: its kind, in words, and the stack, the innermost first."""

    kind: str
    words: str
    stack: list[Frame]

    def __str__(self) -> str:
        stack = [f"    {frame.function} ({frame.file})" for frame in self.stack]
        return "\n".join([f"{self.kind}: {self.words}", *stack])


def read_report(report: Path) -> list[Found]:
    """Return what memcheck has written as XML. ElementTree.ParseError: it did not come to its end."""
    found = []
    for error in ElementTree.parse(report).iter("error"):
        words = error.findtext("what") or error.findtext("xwhat/text") or ""
        stack = [Frame(frame.findtext("obj") or "?", frame.findtext("fn") or "?")
                 for frame in error.findall("stack[1]/frame")]
        found.append(Found(error.findtext("kind") or "?", words, stack))
    return found


def is_ours(found: Found, folders: tuple[Path, ...]) -> bool:
    """Tell whether something is to be judged: each wrong access, and each leak of code below these folders.

    A leak belongs to the code that allocated: pyd2's or the interpreter's, whichever is nearer.
    What a callout in Python makes the interpreter allocate is the interpreter's; that it does not grow is
    what soak() shows.
    """
    if not found.kind.startswith("Leak_"):
        return True
    interpreter = (Path(sys.executable).resolve().name, "libpython3")
    for frame in found.stack:
        file = Path(frame.file)
        if any(folder in file.parents for folder in folders):
            return True
        if file.name.startswith(interpreter):
            return False
    return False


def under_valgrind(kind: str, *arguments: str) -> bool:
    """Run a kind in memcheck; True when it has found nothing that is_ours()."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report"
        command = [
            "valgrind", "--xml=yes", f"--xml-file={report}", f"--suppressions={SUPPRESSIONS}",
            "--leak-check=full", "--show-leak-kinds=definite", "--num-callers=40",
            "--keep-debuginfo=yes",  # of libraries that are unloaded, too: they would have no file
            sys.executable, "-m", "tests.soak", f"--kea={kea.chosen().release}", "--kind", kind, *arguments,
            "--limit=1000000",
        ]
        # Each object of Python's in memory of its own: else valgrind sees its arenas only. The libraries
        # are made below the folder.
        env = os.environ | {"PYTHONMALLOC": "malloc", "TMPDIR": directory}
        done = subprocess.run(command, cwd=ROOT, env=env, check=False)
        try:
            found = read_report(report)
        except (OSError, ElementTree.ParseError) as error:
            print(f"{kind:10}  valgrind wrote no whole report: {error}; exit status {done.returncode}")
            return False
    ours = [one for one in found if is_ours(one, (ROOT / "pyd2", Path(directory).resolve()))]
    leaks = sum(one.kind.startswith("Leak_") for one in ours)
    print(f"{kind:10}{len(ours) - leaks:6} wrong accesses{leaks:6} leaks"
          f"{len(found) - len(ours):6} leaks of the interpreter's own, not judged", flush=True)
    for one in ours:
        print(one, flush=True)
    return done.returncode == 0 and not ours


def main() -> int:
    """Carry out what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--callouts", type=int, metavar="N", help="of each kind (1,000,000; valgrind: 1,000)")
    parser.add_argument("--reloads", type=int, metavar="N", help="of each kind (1,000; valgrind: 20)")
    parser.add_argument("--kind", choices=KINDS, help="only this one")
    parser.add_argument("--limit", type=int, default=1024, metavar="KiB", help="of growth (1024)")
    parser.add_argument("--valgrind", action="store_true", help="run the mixed list, or --kind, in memcheck")
    parser.add_argument("--kea", default="2.6", metavar="RELEASE", help="2.6 (installed) or 3.0 (./dev kea)")
    chosen = parser.parse_args()
    kea.choose(chosen.kea)
    callouts = chosen.callouts or (1_000 if chosen.valgrind else 1_000_000)
    reloads = chosen.reloads or (20 if chosen.valgrind else 1_000)
    arguments = ("--callouts", str(callouts), "--reloads", str(reloads))
    if chosen.valgrind:
        good = under_valgrind(chosen.kind or "mixed", *arguments)
    elif chosen.kind:
        good = soak(chosen.kind, callouts, reloads, chosen.limit)
    else:
        kinds = [kind for kind in KINDS if kind not in WRONG]
        good = each_in_its_process(kinds, *arguments, "--limit", str(chosen.limit))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
