"""Runs a conformance case against any D2 and returns the outcome in the form of the recorded one.

A case is the content of a recorded file; only its inputs are looked at. The ports in it are
replaced by free ones for the run and put back in the outcome, so cases can run side by side.
"""

import contextlib
import functools
import json
import os
import re
import shutil
import signal
import socket
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, ParamSpec

from tests.kit import control, http_steps, ncr
from tests.kit.d2 import D2, NO_LISTENER, STARTED, is_listening, private_directory
from tests.kit.normalise import PortMap, is_log, log_entries, mask, mask_response
from tests.kit.ports import PortLease
from tests.kit.scripted_dns import ScriptedDns
from tests.kit.station import FINAL, NCR_PORT, STUBS
from tests.kit.waiting import wait_until

Case = Mapping[str, Any]
Outcome = dict[str, Any]
P = ParamSpec("P")

BUSY_PORT = 53992  # taken by another program, in the recorded cases
DEFAULT_PORT = 53001  # of the NCR listener, if the configuration names none
_ATTEMPTS = 3
_RELOADED = "DCTL_CONFIG_COMPLETE|DCTL_CFG_FILE_RELOAD_ERROR"
# A real server that leaves may or may not have closed the connection before it wants to end it in order.
_CLOSED_UNDER_IT = "COMMAND_SOCKET_CONNECTION_SHUTDOWN_FAIL"
_TAKEN = re.compile(rf"{NO_LISTENER}.*Address already in use")
_HASH = re.compile(r'"hash": "([0-9A-F]{64})"')


def _wants_commands(text: str) -> bool:
    return '"d2.sock"' in text


@contextlib.contextmanager
def _taken_port(case: Case, ports: PortMap) -> Iterator[None]:
    """Listen at the port that is taken, if the case asks for one."""
    with contextlib.ExitStack() as stack:
        if case.get("busy"):
            listener = stack.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", ports[BUSY_PORT]))
            listener.listen(1)
        yield


def _describe(path: Path) -> str:
    """Return what a path is, and its mode."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return type(error).__name__
    kind = "socket" if stat.S_ISSOCK(mode) else "directory" if stat.S_ISDIR(mode) else "file"
    return f"{kind} {stat.S_IMODE(mode):#o}"


def _over_http(d2: D2, step: Case, ports: PortMap) -> list[dict[str, Any]]:
    """Carry out a step over HTTP at the ports of this run; return the answers with the recorded ports."""
    at = ports[step["port"]] if step["port"] in ports else step["port"]
    filled = json.loads(ports.apply(json.dumps(step)))
    answers = http_steps.carry_out({**filled, "port": at}, d2.directory)
    if _HASH.search("".join(answer.get("body", "") for answer in answers)) and d2.alive:
        with d2.unrecorded(), contextlib.suppress(OSError):
            ports.learn_hash(control.exchange(d2.unix_socket, ['{ "command": "config-get" }']))
    for answer in answers:
        if "json" in answer:
            answer["body"] = ports.undo(answer["body"])
            answer["json"] = json.loads(answer["body"])
    return answers


class PortTakenError(Exception):
    """A D2 did not get its port. The kernel gives those of the recorded cases to outgoing sockets, too."""


def _attempted(run: Callable[P, Outcome]) -> Callable[P, Outcome]:
    """Let a case be carried out again where another program had a port that its D2 cannot choose."""
    @functools.wraps(run)
    def carry_out(*args: P.args, **kwargs: P.kwargs) -> Outcome:
        for _ in range(_ATTEMPTS - 1):
            with contextlib.suppress(PortTakenError):
                return run(*args, **kwargs)
        return run(*args, **kwargs)

    return carry_out


def _stopped(d2: D2) -> int:
    """End a D2 and return its exit status. Raises PortTakenError when it did not get its port."""
    status = d2.stop()
    taken = _TAKEN.search(d2.process.output())
    if taken:
        raise PortTakenError(taken.group())
    return status


@contextlib.contextmanager
def _ports_of(texts: Collection[str], *, recorded: bool = False) -> Iterator[PortMap]:
    """Free ports for a case. One whose D2 may take the default port has that to itself meanwhile.

    With `recorded` they are the recorded ones: for a case in which nothing is left to ask for a hash.
    """
    with PortLease() as lease:
        if not any('"port"' in text.split("-ddns")[0] for text in texts):
            lease.take_exactly(DEFAULT_PORT)
            wait_until(lambda: not is_listening(DEFAULT_PORT), f"UDP port {DEFAULT_PORT} to be free")
        yield PortMap(lease, texts, recorded=recorded)


# -------------------------------------------------------------------------------- configurations

@_attempted
def run_config(binary: str, case: Case, folder: Path) -> Outcome:
    """Check a configuration with -t, then start with it. `folder` holds the files the case names."""
    names = [case["file"], *case.get("files", [])]
    texts = {Path(path).name: (folder / path).read_bytes().decode("latin-1") for path in names}
    texts |= case.get("contents", {})
    main = Path(case["file"]).name
    with _ports_of(texts.values()) as ports, private_directory() as directory, _taken_port(case, ports):
        for path, text in texts.items():
            (directory / path).write_bytes(ports.apply(text).encode("latin-1"))
        outcome = {"test": _check(binary, directory, main, case),
                   "start": _start(binary, directory, main, case, ports,
                                   commands=_wants_commands(texts[main]))}
        return dict(ports.undo(outcome))


def _check(binary: str, directory: Path, name: str, case: Case) -> Outcome:
    d2 = D2(binary, directory, ["-t", name], case.get("env"))
    status = d2.process.wait_for_exit()
    return {"exit": status, "stderr": mask(d2.stderr(), str(directory)),
            "log": log_entries(d2.stdout(), str(directory))}


def _start(binary: str, directory: Path, name: str, case: Case, ports: PortMap, *,
           commands: bool) -> Outcome:
    d2 = D2(binary, directory, ["-c", name], case.get("env"))
    answer = b""

    def settled() -> bool:
        nonlocal answer
        if not d2.alive:
            return True
        if not commands:
            return STARTED in d2.process.output()
        with contextlib.suppress(OSError):
            answer = control.exchange(d2.socket, ['{ "command": "config-get" }'])
        return bool(answer)

    wait_until(settled, f"{name} to start or fail")
    outcome: Outcome = {"running": d2.alive}
    if answer:
        ports.learn_hash(answer)
        text = mask(control.decode(answer), str(directory))
        outcome["config_get"] = _HASH.sub('"hash": "@HASH@"', text) if "@DIR@" in text else text
    if d2.alive and "http" in case:
        outcome["http"] = _over_http(d2, case["http"], ports)
    status = _stopped(d2)
    if "left" in case:
        outcome["left"] = {name: _describe(directory / name) for name in case["left"]}
    return outcome | {"exit": status, "stderr": mask(d2.stderr(), str(directory)),
                      "log": log_entries(d2.stdout(), str(directory))}


# -------------------------------------------------------------------------------------- commands

@_attempted
def run_commands(binary: str, case: Case) -> Outcome:
    """Carry out the steps of a case: requests on the control channel, NCRs, files, signals."""
    text = json.dumps(case["config"])
    with contextlib.ExitStack() as stack:
        texts = [json.dumps([case["config"], case["steps"]])]
        ports = stack.enter_context(_ports_of(texts, recorded=case.get("recorded_ports", False)))
        directory = stack.enter_context(private_directory())
        stubs = {name: ports[port] for name, port in STUBS.items() if port in ports}
        stack.enter_context(ScriptedDns(stubs))
        stack.enter_context(_taken_port(case, ports))
        for name, content in case.get("files", {}).items():
            (directory / name).write_text(content)
        d2 = _running(binary, directory, ports.apply(text), case)
        stack.callback(d2.process.kill)
        if NCR_PORT in ports:
            d2.wait_for_listener(ports[NCR_PORT])
        d2.barrier()
        inputs = case.get("step_inputs") or [{}] * len(case["steps"])
        steps = [_step(d2, step | more, ports) for step, more in zip(case["steps"], inputs, strict=True)]
        alive = d2.alive
        status = _stopped(d2)
        outcome = {"steps": steps, "alive_at_end": alive, "exit": status,
                   "stderr": mask(d2.stderr(), str(directory))}
        if "whole_log" in case:
            outcome["whole_log"] = log_entries(d2.stdout(), str(directory))
        return dict(ports.undo(outcome))


def _running(binary: str, directory: Path, text: str, case: Case) -> D2:
    """Return a server that has started with a configuration."""
    args = case.get("args", ("-c", "d2.json"))
    if _wants_commands(text):
        return D2.start(binary, directory, text, args)
    (directory / "d2.json").write_text(text)
    d2 = D2(binary, directory, args)
    d2.process.wait_for_output(STARTED)
    return d2


def _step(d2: D2, step: Case, ports: PortMap) -> Outcome:
    mark = len(d2.stdout())
    if "http" in step:
        answers = _over_http(d2, step["http"], ports)
        if step.get("wait_exit"):
            d2.process.wait_for_exit()
        d2.barrier()
        log = [entry for entry in log_entries(d2.stdout()[mark:], str(d2.directory)) if entry[0] != "DEBUG"]
        return {"http": step["http"], "answers": answers, "log": log}
    if "stat" in step:
        return {"stat": step["stat"], "is": {name: _describe(d2.directory / name) for name in step["stat"]}}
    if "ncr" in step:
        request = step["ncr"]
        ncr.send(ncr.datagram(request.encode() if isinstance(request, str) else request), ports[NCR_PORT])
        d2.wait_for_log(FINAL.pattern, start=mark)
        d2.barrier()
        return {"ncr": request}
    if "write_file" in step:
        name, content = step["write_file"]
        text = content if isinstance(content, str) else json.dumps(content)
        (d2.directory / name).write_text(ports.apply(text))
        return {"write_file": step["write_file"]}
    if "read_file" in step:
        content = control.decode((d2.directory / step["read_file"]).read_bytes())
        return {"read_file": step["read_file"], "content": content}
    if "signal" in step:
        before = len(d2.process.output())
        d2.process.send_signal(signal.Signals[step["signal"]])
        wait_until(lambda: re.search(_RELOADED, d2.process.output()[before:]) or not d2.alive,
                   "the end of the reload")
        d2.barrier()
        return {"signal": step["signal"], "log": log_entries(d2.stdout()[mark:], str(d2.directory))}
    return _request(d2, step, ports, mark)


def _request(d2: D2, step: Case, ports: PortMap, mark: int) -> Outcome:
    folder = str(d2.directory)
    outcome: Outcome = {"chunks": step["chunks"]}
    chunks = [ports.apply(chunk.replace("@DIR@", folder)) for chunk in step["chunks"]]
    if step.get("half_close"):
        outcome["half_close"] = True
    path = d2.directory / step.get("socket", "d2.sock")
    try:
        answer = control.exchange(path, chunks, half_close=step.get("half_close", False))
        text = control.decode(answer)
    except OSError as error:
        answer, text = b"", f"@{type(error).__name__}@"
    leaving = '"Shutdown initiated' in text
    if leaving:
        d2.process.wait_for_exit()
    d2.barrier()
    if _HASH.search(text) and d2.alive:
        with d2.unrecorded(), contextlib.suppress(OSError):
            ports.learn_hash(control.exchange(d2.unix_socket, ['{ "command": "config-get" }']))
    outcome["response_text"] = ports.undo(mask_response(text, folder))
    with contextlib.suppress(ValueError):
        outcome["response"] = json.loads(outcome["response_text"])
    outcome["log"] = [entry for entry in log_entries(d2.stdout()[mark:], folder)
                      if entry[0] != "DEBUG" and not (leaving and entry[2] == _CLOSED_UNDER_IT)]
    return outcome


# ---------------------------------------------------------------------------------- command line

@_attempted
def run_cli(binary: str, case: Case) -> Outcome:
    """Start with the case's arguments, carry out its actions, and look at the result."""
    files = {name: content if isinstance(content, str) else json.dumps(content)
             for name, content in case["files"].items()}
    with _ports_of(files.values()) as ports, private_directory() as directory:
        folder = str(directory)
        for name, mode in case.get("dirs", {}).items():
            (directory / name).mkdir()
            (directory / name).chmod(int(mode, 8))
        for name, content in files.items():
            filled = content.replace("@DIR@", folder).replace("@MYPID@", str(os.getpid()))
            (directory / name).write_text(ports.apply(filled))
        d2 = D2(binary, directory, [arg.replace("@DIR@", folder) for arg in case["args"]], case.get("env"))
        actions = []
        if case.get("actions"):
            _wait_for_start(d2, ports)
            _wait_for_lines(d2, case)
            actions = [_ACTIONS[_kind(action)](binary, d2, case, action) for action in case["actions"]]
        else:
            d2.process.wait_for_exit()
        alive = d2.alive
        status = _stopped(d2)
        outcome: Outcome = {"exit": status, "alive_before_sigterm": alive,
                            "stderr": mask(d2.stderr(), folder)}
        text = d2.stdout()
        if is_log(text) or case.get("actions"):
            outcome["log"] = log_entries(text, folder)
        else:
            outcome["stdout"] = "@CONFIGURATION REPORT@" if "configure results" in text else text
        if actions:
            outcome["actions"] = actions
        outcome["files_left"] = [name for name in _visible(directory) if name not in case["files"]]
        return dict(ports.undo(outcome))


def _visible(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if not path.name.startswith("."))


def _wait_for_start(d2: D2, ports: PortMap) -> None:
    """Wait until a server has started altogether, or failed, whatever became of its log."""
    if NCR_PORT in ports:
        d2.wait_for_listener(ports[NCR_PORT])
    wait_until(lambda: STARTED in d2.process.output() or not d2.alive
               or "Unable to use interprocess" in d2.process.stderr(), "the start")


def _wait_for_lines(d2: D2, case: Case) -> None:
    """Return when what follows a start or a reload is logged; with -d the barrier's own lines would stay."""
    if "-d" not in case["args"]:
        d2.barrier()


def _kind(action: Case) -> str:
    """An action is recorded as a map; the first key names the kind of action."""
    return next(iter(action)).split(":")[0]


def _list(binary: str, d2: D2, case: Case, action: Case) -> Outcome:
    return {"list": _visible(d2.directory)}


def _signal(binary: str, d2: D2, case: Case, action: Case) -> Outcome:
    number = signal.Signals[action["signal"]]
    out, err = len(d2.stdout()), len(d2.stderr())
    d2.process.send_signal(number)
    if number == signal.SIGHUP:
        wait_until(lambda: re.search(_RELOADED, d2.stdout()[out:] + d2.stderr()[err:]) or not d2.alive,
                   "the end of the reload")
        _wait_for_lines(d2, case)
    else:
        d2.process.wait_for_exit()
    return {"signal": action["signal"], "stdout_log": log_entries(d2.stdout()[out:], str(d2.directory)),
            "stderr": mask(d2.stderr()[err:], str(d2.directory)), "alive": d2.alive}


def _second(binary: str, d2: D2, case: Case, action: Case) -> Outcome:
    folder = str(d2.directory)
    other = D2(binary, d2.directory, case["args"], name="second")
    status = other.process.wait_for_exit()
    return {"second": {"exit": status, "stderr": mask(other.stderr(), folder),
                       "log": log_entries(other.stdout(), folder)}}


def _second_other_name(binary: str, d2: D2, case: Case, action: Case) -> Outcome:
    folder = str(d2.directory)
    shutil.copy(d2.directory / "d2.json", d2.directory / "other.json")
    other = D2(binary, d2.directory, ["-c", "other.json"], name="second")
    wait_until(lambda: not other.alive or NO_LISTENER in other.process.output()
               or STARTED in other.process.output(), "the second server to start or fail")
    alive = other.alive
    status = other.stop()
    return {"second-other-name": {"alive": alive, "exit": status, "stderr": mask(other.stderr(), folder),
                                  "log": log_entries(other.stdout(), folder)}}


def _cat(binary: str, d2: D2, case: Case, action: Case) -> Outcome:
    key = next(iter(action))
    path = d2.directory / key.partition(":")[2]
    try:
        text = re.sub(rf"\b{d2.process.pid}\b", "@PID@", path.read_text())
        text = re.sub(rf"\b{os.getpid()}\b", "@MYPID@", text)
    except OSError as error:
        return {key: type(error).__name__}
    return {key: mask(text, str(d2.directory)), "mode": oct(path.stat().st_mode & 0o7777)}


def _stat(binary: str, d2: D2, case: Case, action: Case) -> Outcome:
    key = next(iter(action))
    return {key: _describe(d2.directory / key.partition(":")[2])}


_ACTIONS: dict[str, Callable[[str, D2, Case, Case], Outcome]] = {
    "list": _list, "stat": _stat, "signal": _signal, "second": _second,
    "second-other-name": _second_other_name, "cat": _cat}
