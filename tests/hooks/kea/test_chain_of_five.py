"""Five libraries in a chain, at every hook point, and what one of them may do wrong, in each language."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.config.model import HookLibrary
from pyd2.data.element import Element, from_plain
from pyd2.errors import HookError
from tests.kit.c_libraries import PRELUDE, compile_text
from tests.kit.kea import load_chain

from .conftest import SOURCES, BridgeLog, Compile, Load, configure
from .rig import Rig, compare
from .test_compiled import HMAC, ask, python_library

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from pyd2.hooks.interface import Chain

    from .test_tkey import Entry

    Probe = Callable[..., HookLibrary]

POINTS = ("d2_srv_configured", "select_key", "command_processed", "$both")

PYTHON = """
    def trace(handle):
        LOG.info(f"{handle.hook_name} {handle.library_index} status {int(handle.status)}")
        ACT
    context_create = context_destroy = select_key = d2_srv_configured = command_processed = trace
"""
ACTS = {
    "nothing": "pass", "throw": "raise ValueError('asked to throw')", "error": "return 7",
    "skip": "handle.status = 1", "drop": "handle.status = 2", "park": "handle.status = 3",
    "wrong": "handle.set_argument('tsig_key', 4711.5)",
}

IN_C = PRELUDE + """
    static int trace(pyd2_hook_callout *callout, void *user)
    {
        pyd2_hook_text hook;
        uint32_t index;
        int status;
        (void)user;
        if (api->hook_name(callout, &hook) != PYD2_HOOK_OK || api->library_index(self, &index) != PYD2_HOOK_OK
            || api->status(callout, &status) != PYD2_HOOK_OK)
            return 2;
        say("%s %d status %d", hook.data, (int)index, status);
        ACT
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
        return api->register_command(self, T("both"), trace, NULL);
    }
"""
ACTS_IN_C = {
    "nothing": "", "error": "return 7;", "skip": "api->set_status(callout, 1);",
    "drop": "api->set_status(callout, 2);", "park": "api->set_status(callout, 3);",
    "wrong": 'return api->set_argument_text(callout, T("tsig_key"), T("no key"));',
}

STATUS = {"throw": 2, "throw-int": 2, "skip": 1, "drop": 2, "park": 3}


class Five:
    """Makes the libraries of a chain."""

    def __init__(self, probe: Probe, directory: Path) -> None:
        self._probe = probe
        self._directory = directory

    def library(self, language: str, name: str, act: str = "nothing") -> HookLibrary:
        """Return a library that notes each callout and then does something."""
        if language == "kea":
            act = "" if act == "nothing" else act
            return self._probe(name, select=act, configured=act, command=act, context=act, both=act)
        if language == "python":
            return python_library(self._directory, PYTHON.replace("ACT", ACTS[act]), name=f"{name}.py",
                                  load="handle.register_command('both', trace)")
        text = IN_C.replace("ACT", ACTS_IN_C[act])
        return HookLibrary(str(compile_text(text, self._directory / f"{name}.so")), None)

    def chain(self, languages: Iterable[str], act: str) -> list[HookLibrary]:
        """Return five libraries; the third does what ``act`` says."""
        return [self.library(language, name, act if name == "C" else "nothing")
                for language, name in zip(languages, "ABCDE", strict=True)]


@pytest.fixture
def five(probe: Probe, tmp_path: Path) -> Five:
    return Five(probe, tmp_path)


def use(chain: Chain, point: str) -> object:
    """Have the callouts of a point run; return what the server takes from them."""
    if point == "d2_srv_configured":
        return configure(chain)
    if point == "select_key":
        return ask(chain)
    if point == "command_processed":
        return chain.command_processed("x", None, from_plain({"result": 0}))
    return chain.run_command("both", from_plain({"command": "both"}))


def noted(log: BridgeLog) -> tuple[list[str], int, int]:
    """Return what the libraries noted, and how many exceptions and errors the chain reported."""
    lines = log.lines()
    found = [re.search(r"(?:says|: ) ?(\S+ \d)(?: '\w*' \d+)? (status \d)$", line) for line in lines]
    return ([f"{match[1]} {match[2]}" for match in found if match],
            sum(line.startswith("HOOKS_CALLOUT_EXCEPTION ") for line in lines),
            sum(line.startswith("HOOKS_CALLOUT_ERROR ") for line in lines))


CHAINS = [
    ("kea", "python", "kea", "c", "kea"), ("kea", "c", "python", "python", "kea"),
    ("python", "kea", "c", "kea", "python"),
]


@pytest.mark.parametrize(("languages", "act"), [
    (languages, act) for languages in CHAINS
    for act in {"kea": ["nothing", "throw", "throw-int", "error", "skip", "drop", "park"],
                "python": list(ACTS), "c": list(ACTS_IN_C)}[languages[2]] if act != "wrong"
], ids=lambda value: value if isinstance(value, str) else "-".join(value))
def test_one_of_five_at_every_point(
    load: Load, five: Five, log: BridgeLog, languages: tuple[str, ...], act: str,
) -> None:
    """The order holds, those after it run and see the status that it left, and only the server minds."""
    chain = load(*five.chain(languages, act))
    configure(chain)
    raises = act in {"throw", "throw-int"}
    status = STATUS.get(act, 0)
    for point in POINTS:
        log.lines()
        result = use(chain, point)
        lines, exceptions, errors = noted(log)
        assert lines == [
            f"{at} {index} status {status if index > 3 else 0}"
            for at in ("context_create", point, "context_destroy") for index in range(1, 6)
        ]
        assert (exceptions, errors) == (3 * raises, 3 * (act == "error"))
        if point == "select_key":
            assert getattr(result, "skip", None) is (status != 0)
        elif point == "d2_srv_configured":
            assert result == (status != 2, "")
        elif point == "command_processed":
            assert isinstance(result, Element)
            assert result.plain() == {"result": 0}
        else:
            kea = [name for name, language in zip("ABCDE", languages, strict=True) if language == "kea"]
            assert isinstance(result, Element)
            answer: Any = result.plain()
            assert re.findall(r"\w", answer["text"]) == kea


@pytest.mark.parametrize("language", ["kea", "python", "c"])
def test_a_value_of_the_wrong_type(load: Load, five: Five, log: BridgeLog, language: str) -> None:
    """Python and C refuse to set it. C++ can, and then the server, or a library after it, cannot read it."""
    chain = load(*five.chain(("kea", "python", language, "python", "c"), "wrong"))
    log.lines()
    if language == "kea":
        with pytest.raises(HookError, match="bad_any_cast"):
            ask(chain)
    elif language == "c":
        assert ask(chain).key is HMAC  # the error is its own, and the chain continues
    else:
        assert ask(chain).skip


LOADS = {
    "python": ("raise RuntimeError('as asked')", "HOOKS_LOAD_EXCEPTION"),
    "c": ("return 3;", "HOOKS_LOAD_ERROR"),
    "kea": ("throw", "HOOKS_LOAD_FRAMEWORK_EXCEPTION"),
    "kea-error": ("error", "HOOKS_LOAD_ERROR"),
    "kea-int": ("throw-int", "HOOKS_LOAD_EXCEPTION"),
}
GONE = """
    def unload():
        LOG.info("gone")
        ACT
"""
GONE_IN_C = PRELUDE + """
    int pyd2_hook_unload(void *state) { (void)state; say("gone"); UNLOAD }
    static int start(void) { LOAD }
"""


def leaver(five: Five, language: str, name: str, *, load: str = "", unload: str = "") -> HookLibrary:
    """Return a library that says when it is unloaded."""
    directory, probe = five._directory, five._probe
    if language == "python":
        return python_library(directory, GONE.replace("ACT", unload or "pass"), name=f"{name}.py",
                              load=load or "pass")
    if language == "c":
        text = GONE_IN_C.replace("UNLOAD", unload or "return 0;").replace("LOAD", load or "return 0;")
        return HookLibrary(str(compile_text(text, directory / f"{name}.so")), None)
    return probe(name, load=load, unload=unload)


def left(log: BridgeLog, entries: list[HookLibrary]) -> tuple[list[int], list[str]]:
    """Return the places of the libraries that were unloaded, in order, and the faults that were logged."""
    places, faults = [], []
    for line in log.lines():
        name = re.match(r"PROBE_SAY(\w) \w says unload$", line)
        if name is not None:
            places.append("ABCDE".index(name[1]) + 1)
        elif line.endswith(": gone"):
            places.append(next(n for n, entry in enumerate(entries, 1) if entry.library in line))
        elif re.match(r"HOOKS_(UN)?LOAD_\w*(ERROR|EXCEPTION) ", line):
            faults.append(line.split(" ", 1)[0])
    return places, faults


@pytest.mark.parametrize("how", LOADS)
def test_a_load_that_fails_in_the_fourth_of_five(five: Five, log: BridgeLog, how: str) -> None:
    language = how.partition("-")[0]
    load, fault = LOADS[how]
    entries = [leaver(five, other, name) for name, other in zip("ABC", ("kea", "python", "c"), strict=True)]
    entries += [leaver(five, language, "D", load=load), leaver(five, "kea", "E")]
    with pytest.raises(HookError, match="One or more hook libraries failed to load"):
        load_chain(entries, log)
    assert left(log, entries) == ([4, 3, 2, 1], [fault])


UNLOADS = {
    "python": ("raise RuntimeError('as asked')", "HOOKS_UNLOAD_EXCEPTION"),
    "c": ("return 3;", "HOOKS_UNLOAD_ERROR"),
    "kea": ("throw", "HOOKS_UNLOAD_FRAMEWORK_EXCEPTION"),
    "kea-error": ("error", "HOOKS_UNLOAD_ERROR"),
}


@pytest.mark.parametrize("how", UNLOADS)
def test_an_unload_that_fails_in_the_third_of_five(five: Five, log: BridgeLog, how: str) -> None:
    """All are unloaded, the last first, and can be loaded again."""
    language = how.partition("-")[0]
    unload, fault = UNLOADS[how]
    entries = [leaver(five, "kea", "A"), leaver(five, "c", "B"),
               leaver(five, language, "C", unload=unload), leaver(five, "python", "D"),
               leaver(five, "kea", "E")]
    for _ in range(2):
        chain = load_chain(entries, log)
        log.lines()
        chain.unload()
        assert left(log, entries) == ([5, 4, 3, 2, 1], [fault])


def test_five_compiled_libraries_beside_the_real_server(d2_binary: str, compile_library: Compile) -> None:
    """Each does something else at each point; order, effects and log are Kea's to the line."""
    library = compile_library(SOURCES / "probe.cc")
    key = "key=one.:bm90IHZlcnkgc2VjcmV0:hmac-sha256"
    acts = [
        {"select": key, "configured": "", "command": "change", "both": ""},
        {"select": "throw", "configured": "skip", "command": "throw", "both": "error", "context": "skip"},
        {"select": "error", "configured": "error", "command": "error", "both": "throw", "context": "error"},
        {"select": "", "configured": "park", "command": "skip", "both": "skip", "context": "throw"},
        {"select": "own-key", "configured": "", "command": "", "both": "", "unload": "throw"},
    ]
    libraries: list[Entry] = []
    for name, act in zip("ABCDE", acts, strict=True):
        copy = library.with_name(f"probe-five-{name}.so")
        copy.write_bytes(library.read_bytes())
        libraries.append((copy, {"name": name, **act}))

    def scenario(at: Rig) -> list[Any]:
        at.update(1)
        return [at.d2.command("both"), at.d2.command("no-such"), at.d2.command("E-state")["result"],
                at.d2.command("list-commands")]

    compare(d2_binary, libraries, scenario)
