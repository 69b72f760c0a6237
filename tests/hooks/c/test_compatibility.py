"""Libraries and pyd2s of different ages: what is compiled against one header runs with another."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyd2.config.model import HookLibrary
from pyd2.data.element import from_plain
from pyd2.hooks.choice import check_libraries
from tests.hooks.conftest import SERVER
from tests.kit.c_libraries import PRELUDE, ROOT, WARNINGS, compile_text, other_compilers
from tests.kit.sanitized import SANITIZE, compile_sanitized, sanitized_tests

from .conftest import with_counters
from .test_timers import Loop, serve

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hooks.conftest import Load, RecordingLog

    from .conftest import Counters, WriteC

HERE = Path(__file__).parent
HEADERS = HERE / "headers"
INCLUDE = ROOT / "cbridge" / "include"
GLUE = ROOT / "cbridge" / "hook"
BEFORE_1_0 = HEADERS / "before_1_0"
GUIDE = ROOT / "docs" / "hooks-compiled.md"
FIRST_SIGNER = 7 * ctypes.sizeof(ctypes.c_void_p)
"""Octets of the first pyd2_hook_signer: two sizes and five pointers."""
COMPILERS = ["gcc", *other_compilers()]
TO_CPLUSPLUS = {"gcc": "g++", "clang": "clang++"}

COMMON = """
    #include "pyd2_hook.h"
    PYD2_HOOK_DEFINE_VERSION
    #ifndef READ_ONLY
    #define READ_ONLY const
    #endif
    #define S(string) pyd2_hook_string(string)
    static const pyd2_hook_api *api;
    static pyd2_hook_library *self;
    static pyd2_hook_key *key;
    static pyd2_hook_timer *timer;
    static int sign(void *u, void *c, const uint8_t *d, size_t n, uint8_t *m, size_t *s)
    { (void)u; (void)c; (void)d; (void)n; (void)s; m[0] = 1; return 0; }
    static int verify(void *u, void *c, const uint8_t *d, size_t n, const uint8_t *m, size_t s)
    { (void)u; (void)c; (void)d; (void)n; (void)m; (void)s; return 16; }
    static void fire(pyd2_hook_timer *which, void *user)
    {
        (void)user;
        api->log(self, PYD2_HOOK_INFO, S(which == timer ? "the timer" : "another timer"));
    }
    static int select_key(pyd2_hook_callout *callout, void *user)
    {
        READ_ONLY pyd2_hook_server *server;
        pyd2_hook_text address;
        if (api->current_server(callout, &server) != PYD2_HOOK_OK
            || api->server_address(server, &address) != PYD2_HOOK_OK)
            return 1;
        api->log(self, PYD2_HOOK_INFO, address);
        return api->set_tsig_key(callout, key)
             | api->set_status(callout, *(int *)user == 7 ? PYD2_HOOK_SKIP : PYD2_HOOK_PARK);
    }
    int pyd2_hook_load(const pyd2_hook_api *table, pyd2_hook_library *library, void **state)
    {
        static const pyd2_hook_signer signer = {
            .size = sizeof signer, .mac_size = 16, .sign = sign, .verify = verify };
        READ_ONLY pyd2_hook_json *parameters;
        static int number;
        int64_t seven;
        if (!pyd2_hook_fits(table))
            return 99;
        api = table;
        self = library;
        *state = &number;
        if (api->parameters(library, &parameters) != PYD2_HOOK_OK
            || api->json_integer(parameters, S("/seven"), &seven) != PYD2_HOOK_OK)
            return 1;
        number = (int)seven;
        api->log(library, PYD2_HOOK_INFO, S("loaded"));
        return api->signer_new(library, S("k"), S("own"), &signer, NULL, &key)
             | api->timer_start(library, 1000, 0, fire, NULL, &timer)
             | api->register_callout(library, S("select_key"), select_key, &number);
    }
    int pyd2_hook_unload(void *state) { return *(int *)state == 7 ? 0 : 1; }
"""
"""A library that every header since the first compiles and every pyd2 runs."""

LATER = "    int (*later)(void *user);\n"


def before(_directory: Path) -> tuple[str, str]:
    """Return the options for the header of before 1.0, whose handles are not const."""
    return str(BEFORE_1_0), "-DREAD_ONLY="


def now(_directory: Path) -> tuple[str, str]:
    """Return the options for the header of this version."""
    return str(INCLUDE), "-DREAD_ONLY=const"


def later(directory: Path) -> tuple[str, str]:
    """Return the options for a header of the future: table and signer have one more member each."""
    text = (INCLUDE / "pyd2_hook.h").read_text()
    for end in ("} pyd2_hook_api;", "} pyd2_hook_signer;"):
        assert text.count(end) == 1
        text = text.replace(end, LATER + end)
    (directory / "later").mkdir(exist_ok=True)
    (directory / "later" / "pyd2_hook.h").write_text(text)
    return str(directory / "later"), "-DREAD_ONLY=const"


AGES = [before, now, later]


def compile_with(age: Callable[[Path], tuple[str, str]], text: str, target: Path, *options: str) -> Path:
    """Compile a library against the header of an age."""
    include, define = age(target.parent)
    return compile_text(text, target, "-iquote", include, define, *options)


@pytest.mark.parametrize("age", AGES)
def test_a_library_of_any_header_runs(
    tmp_path: Path, load: Load, log: RecordingLog, age: Callable[[Path], tuple[str, str]],
) -> None:
    """That of before 1.0, that of now, and one of the future of which the library needs nothing new."""
    path = compile_with(age, COMMON, tmp_path / "common.so")
    chain = load(HookLibrary(str(path), from_plain({"seven": 7})))
    loop = Loop()
    serve(chain, loop)
    assert chain.select_key is not None
    assert chain.select_key(SERVER, None).skip
    loop.pass_time(1)
    chain.unload()
    assert log.said() == ["loaded", "192.0.2.1", "the timer"]


@pytest.mark.parametrize("age", AGES)
def test_it_runs_on_the_table_of_before_1_0_too(
    tmp_path: Path, age: Callable[[Path], tuple[str, str]],
) -> None:
    """The host is that pyd2. Its table ends where its memory ends; the library reads nothing behind it."""
    host = tmp_path / "host"
    build("gcc", HEADERS / "host_before_1_0.c", "-I", BEFORE_1_0, *SANITIZE, "-g", "-o", host)
    path = compile_with(age, COMMON, tmp_path / "common.so", *SANITIZE)
    done = subprocess.run([host, path], capture_output=True, text=True, check=False)
    if age is later:  # that pyd2 took no signer but its own
        assert done.stdout.splitlines()[:2] == ["loaded", "load -1"]
        return
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "loaded", "load 0", "192.0.2.1", "callout 0", "status 1", "the timer", "unload 0",
    ]


def test_that_host_refuses_what_needs_a_larger_table(tmp_path: Path) -> None:
    host = tmp_path / "host"
    build("gcc", HEADERS / "host_before_1_0.c", "-I", BEFORE_1_0, *SANITIZE, "-g", "-o", host)
    path = compile_with(later, needs("later", COMMON), tmp_path / "needs.so", *SANITIZE)
    done = subprocess.run([host, path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "refused: version 1 with a table of 328 octets\n")


def needs(member: str, text: str) -> str:
    """Return the text of a library that requires the table up to a member."""
    return text.replace("PYD2_HOOK_DEFINE_VERSION", f"PYD2_HOOK_DEFINE_VERSION_FOR({member})", 1)


def test_a_library_that_requires_more_than_there_is(tmp_path: Path, log: RecordingLog) -> None:
    """It names the member, and is refused before any other code of it runs."""
    path = str(compile_with(later, needs("later", COMMON), tmp_path / "needs.so"))
    assert check_libraries([HookLibrary(path, None)], log) == [path]
    assert log.lines()[0] == (
        f"HOOKS_INCORRECT_VERSION hook library {path} is at version 1 with a table of 328 octets, "
        "require version 1 with 320 at most"
    )


def test_a_library_asks_for_what_it_can_do_without(
    tmp_path: Path, load: Load, log: RecordingLog, counters: Counters,
) -> None:
    """It is compiled against a later header, requires little, and finds out what there is."""
    text = needs("log", PRELUDE.replace("c_prelude", "later_prelude")) + """
        static int start(void)
        {
            say("%d %d %d", PYD2_HOOK_HAS(api, json_type), PYD2_HOOK_HAS(api, timer_cancel),
                PYD2_HOOK_HAS(api, later));
            return 0;
        }
    """
    prelude = needs("log", (ROOT / "tests" / "kit" / "c_prelude.h").read_text())
    (tmp_path / "later_prelude.h").write_text(prelude)
    path = compile_with(later, text, tmp_path / "asks.so", f"-I{tmp_path}")
    load(HookLibrary(str(path), from_plain(with_counters(counters))))
    assert log.said() == ["1 1 0"]


SIGNERS = """
    static int sign(void *u, void *c, const uint8_t *d, size_t n, uint8_t *m, size_t *s)
    { (void)u; (void)c; (void)d; (void)n; (void)s; m[0] = 1; return 0; }
    static int verify(void *u, void *c, const uint8_t *d, size_t n, const uint8_t *m, size_t s)
    { (void)u; (void)c; (void)d; (void)n; (void)m; (void)s; return 0; }
    static void release(void *user) { ++*(int *)user; }
    /* Pass a signer in memory of exactly `size` octets, the last of which is `last`. */
    static void pass(const char *what, size_t size, size_t claimed, int last)
    {
        const pyd2_hook_signer signer = { sizeof signer, 16, NULL, sign, verify, NULL, release };
        char *given = calloc(1, size);
        pyd2_hook_key *key = NULL;
        memcpy(given, &signer, size < sizeof signer ? size : sizeof signer);
        if (last != 0)
            given[size - 1] = (char)last;
        memcpy(given, &claimed, sizeof claimed);
        outcome(what, api->signer_new(self, T("k"), T("own"), (const pyd2_hook_signer *)(void *)given,
                                      counters(), &key));
        if (key != NULL)
            api->key_release(self, key);
        free(given);
    }
    static int start(void)
    {
        pass("first", FIRST, FIRST, 0);
        pass("newer, unused", sizeof(pyd2_hook_signer) + 24, sizeof(pyd2_hook_signer) + 24, 0);
        pass("newer, used", sizeof(pyd2_hook_signer) + 24, sizeof(pyd2_hook_signer) + 24, 1);
        pass("older than the first", FIRST - 1, FIRST - 1, 0);
        pass("only a size", sizeof(size_t), sizeof(size_t), 0);
        pass("forgotten", FIRST, 0, 0);
        pass("absurd", FIRST, (size_t)-1, 0);
        return 0;
    }
"""


def test_the_size_of_a_signer(write_c: WriteC, load: Load, log: RecordingLog, counters: Counters) -> None:
    """A shorter one is taken, one with a member that is unknown here only if that is zero."""
    load(write_c(f"#define FIRST {FIRST_SIGNER}\n{SIGNERS}", with_counters(counters)))
    said = log.said()
    assert said[:2] == ["first 0 ", "newer, unused 0 "]
    assert re.fullmatch(
        r"newer, used -1 signer uses a member that needs a newer pyd2: octet (\d+) of \d+ is not 0", said[2])
    assert said[3:] == [
        f"{what} -1 signer->size is {size}, which no version of this structure has" for what, size in (
            ("older than the first", FIRST_SIGNER - 1), ("only a size", ctypes.sizeof(ctypes.c_size_t)),
            ("forgotten", 0), ("absurd", ctypes.c_size_t(-1).value),
        )
    ]
    assert counters[0] == 2  # what was refused is not released


def test_structures_of_all_sizes(tmp_path: Path) -> None:
    """What copies them, under the sanitizers."""
    program = tmp_path / "copy_grown"
    build("gcc", "-std=gnu11", HEADERS / "copy_grown.c", GLUE / "guard.c", "-I", INCLUDE, "-I", GLUE,
          *SANITIZE, "-g", "-o", program)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


def test_on_a_later_pyd2(tmp_path: Path) -> None:
    """The glue for a later header runs the libraries of today's, under the sanitizers."""
    include, _ = later(tmp_path)
    make = (f'make(__import__("pathlib").Path({include!r}), extra_compile_args=["-std=gnu11", "-g", *flags], '
            "extra_link_args=flags)")
    glue = compile_sanitized("build_hook", tmp_path, make)
    tests = [str(HERE / name) for name in ("test_keys.py", "test_compatibility.py")]
    done = sanitized_tests("pyd2.hooks.c_abi", glue, *tests, "-m", "not peers",
                           "-k", "test_keys or of_any_header or size_of_a_signer",
                           HOOK_TEST_FLAGS=" ".join(SANITIZE))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert re.search(r"^\d\d+ passed", done.stdout, re.MULTILINE)
    assert "runtime error" not in done.stderr


@pytest.mark.parametrize("exported", ["requires", "version"])
def test_a_library_that_exports_one_of_the_two_functions(
    write_c: WriteC, load: Load, log: RecordingLog, exported: str,
) -> None:
    """A language that returns no structures exports the one, a library of before 1.0 has the other alone."""
    text = {
        "requires": "void pyd2_hook_requires(uint32_t *version, uint32_t *api_size)"
                    " { *version = 1; *api_size = 16; }",
        "version": "pyd2_hook_requirement pyd2_hook_version(void)"
                   " { pyd2_hook_requirement r = { 1, 16 }; return r; }",
    }
    entry = write_c(text[exported], prelude='#include "pyd2_hook.h"\n')
    load(entry)
    assert ("HOOKS_LIBRARY_VERSION", (entry.library, "1")) in log.entries


def guide() -> list[str]:
    """Return the libraries that the guide shows for this subject."""
    _, _, rest = GUIDE.read_text().partition("\n## Compatibility\n")
    section = rest.partition("\n## ")[0]
    blocks: list[str] = re.findall(r"^```c\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return blocks


def test_the_guide_shows_libraries_that_run(write_c: WriteC, load: Load, log: RecordingLog) -> None:
    with_a_timer, other_language = guide()
    number = re.findall(r"api_size = (\d+);", other_language)
    size = f'_Static_assert(PYD2_HOOK_SIZE_TO(pyd2_hook_api, log) == {number[0]}, "what the guide says");\n'
    chain = load(write_c(with_a_timer, prelude=""), write_c(other_language + size, prelude=""))
    assert log.said() == []
    loop = Loop()
    serve(chain, loop)
    assert len(loop.waiting) == 1


def test_each_error_has_a_text(write_c: WriteC, load: Load, log: RecordingLog) -> None:
    load(write_c("""
        static int start(void)
        {
            int code;
            for (code = 1; code >= -8; code--)
                say("%d %s", code, pyd2_hook_error_text(code));
            return 0;
        }
    """))
    said = [line.partition(" ")[2] for line in log.said()]
    assert said[0] == said[-1] == "unknown error"
    assert said[1] == "success"
    assert len(set(said)) == 9
    codes = re.findall(r"PYD2_HOOK_E_\w+ = (-\d)", (INCLUDE / "pyd2_hook.h").read_text())
    assert len(codes) == 7  # no code without a text


@pytest.mark.parametrize("compiler", COMPILERS)
def test_there_are_no_warnings(compiler: str, tmp_path: Path) -> None:
    """The glue, the header in C and in C++, and the examples."""
    to = ("-O2", "-I", INCLUDE, "-c", "-o", tmp_path / "object.o")
    strict = ("-Wconversion", "-Wcast-qual", *to)
    for source in sorted(GLUE.glob("*.c")):
        build(compiler, "-std=gnu11", *strict, "-I", GLUE, source)
    (tmp_path / "all.c").write_text(COMMON)
    for standard in ("c99", "c11", "c17"):
        build(compiler, f"-std={standard}", *strict, tmp_path / "all.c")
    for example in sorted((ROOT / "examples" / "hooks").glob("*.c")):
        build(compiler, "-std=c11", *to, example)


@pytest.mark.peers  # the compiler for C++ is installed with them
@pytest.mark.parametrize("compiler", COMPILERS)
def test_there_are_no_warnings_in_cplusplus(compiler: str, tmp_path: Path) -> None:
    name, dash, version = compiler.partition("-")
    cplusplus = TO_CPLUSPLUS[name] + dash + version
    if shutil.which(cplusplus) is None:
        pytest.skip(f"{cplusplus} is not installed")
    to = ("-O2", "-I", INCLUDE, "-c", "-o", tmp_path / "object.o")
    (tmp_path / "all.cpp").write_text(
        '#include "pyd2_hook.h"\nPYD2_HOOK_DEFINE_VERSION_FOR(log)\n'
        "int pyd2_hook_load(const pyd2_hook_api *api, pyd2_hook_library *, void **)\n"
        "{ return pyd2_hook_fits(api) && PYD2_HOOK_HAS(api, timer_start) ? 0 : 1; }\n"
    )
    for standard in ("c++11", "c++17", "c++20"):
        build(cplusplus, f"-std={standard}", "-Wconversion", "-Wold-style-cast", *to, tmp_path / "all.cpp")
    for example in sorted((ROOT / "examples" / "hooks").glob("*.cpp")):
        build(cplusplus, "-std=c++17", *to, example)


def build(compiler: str, *arguments: str | Path) -> None:
    """Run a compiler; every warning is an error."""
    command = [compiler, *WARNINGS, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
