"""Hook libraries in C, or in what can be called from C, that need no Kea (cbridge/include/pyd2_hook.h).

They stand in the same chain as libraries in Python: to the chain, a callout in C is one more callable.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from pyd2.config.model import DnsServer
from pyd2.errors import HookError
from pyd2.hooks.c_abi import ffi, lib
from pyd2.hooks.c_calls import RefusedError, Shared, calls, numbers
from pyd2.hooks.c_table import CALLOUTS, JSON, KEYS, LIBRARIES
from pyd2.hooks.c_timers import Timers
from pyd2.hooks.points import HookRules, Status

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pyd2.dns.tsig import SigningKey
    from pyd2.hooks.handle import CalloutHandle, LibraryHandle
    from pyd2.messages import Log

_VERSION: int = lib.PYD2_HOOK_VERSION
_TABLE_SIZE: int = ffi.sizeof("pyd2_hook_api")


def _text(string: Any) -> str:  # noqa: ANN401  C data
    """Return what a C string holds."""
    octets = ffi.string(string)
    assert isinstance(octets, bytes)
    return octets.decode("utf-8", "surrogateescape")


class SharedObject(Shared):
    """A shared object in memory, until the last that uses its code gives it up."""

    __slots__ = ("_object", "path")

    def __init__(self, path: str) -> None:
        """Load it; HookError with the system's reason when that fails."""
        super().__init__()
        self.path = path
        reason = ffi.new("char **")
        self._object = lib.pyd2_glue_open(os.fsencode(path), reason)
        if not self._object:
            raise HookError(_text(reason[0]))

    def end(self) -> None:
        """Remove it from memory."""
        lib.pyd2_glue_close(self._object)

    def symbol(self, name: str) -> Any:  # noqa: ANN401  C data
        """Return the address of a symbol, None if there is none."""
        return lib.pyd2_glue_symbol(self._object, name.encode()) or None


class CCallout:
    """A callout in C, which the chain calls as it calls one in Python."""

    __slots__ = ("_function", "_servers", "_shared_object", "_user", "hook_place")

    def __init__(
        self, function: Any, user: Any,  # noqa: ANN401  C data
        shared_object: SharedObject, servers: Servers | None,
    ) -> None:
        """``servers`` is None when the hook point has no current_server."""
        self._function = function
        self._user = user
        self._shared_object = shared_object
        self._servers = servers
        name = _text(lib.pyd2_glue_name_of(function))
        self.hook_place = f"{shared_object.path}:{name or hex(int(ffi.cast('uintptr_t', function)))}"
        """What the log says of it: its name if the library tells, else its address."""

    def __call__(self, handle: CalloutHandle) -> object:
        """Run it."""
        use = handle.use()
        servers = self._servers
        server = _NULL if servers is None else servers.told(use.get("current_server"))
        status = use.status
        number = next(numbers)
        _callouts[number] = handle, self._shared_object
        try:
            changed = calls.run(_run, self._function, self._user, number, server, status, _outcome)
        finally:
            del _callouts[number]
        if not changed:
            return None
        if _outcome.status != status:
            use.status = Status(_outcome.status)
        if _outcome.key_set:
            key = _outcome.key
            use.set("tsig_key", KEYS.get(key) if key else None)
        return _outcome.code


_NULL = ffi.NULL
_run = lib.pyd2_glue_callout
_callouts = CALLOUTS.objects
_outcome: Any = ffi.new("pyd2_glue_outcome *")


class Servers:
    """What a library in C is told of DNS servers, made once for each: they live as long as the library."""

    def __init__(self) -> None:
        self._told: dict[int, tuple[object, Any, tuple[object, ...]]] = {}

    def told(self, server: object) -> Any:  # noqa: ANN401  C data
        """Return the C form of a server."""
        found = self._told.get(id(server))
        return self._tell(server) if found is None else found[1]

    def _tell(self, server: object) -> Any:  # noqa: ANN401  C data
        assert isinstance(server, DnsServer)
        address = str(server.address).encode()
        key_name = b"" if server.key is None else server.key.name.encode("utf-8", "surrogateescape")
        texts = ffi.from_buffer(address), ffi.from_buffer(key_name)
        told: Any = ffi.new("pyd2_glue_server *")
        told.address.data, told.key_name.data = texts
        told.address.length, told.key_name.length = len(address), len(key_name)
        told.port = server.port
        # The server itself is kept as well, so that no other gets its id.
        self._told[id(server)] = server, told, texts
        return told


class Requirement(NamedTuple):
    """What a library was compiled for."""

    number: int
    size: int
    """Octets of the table of functions."""

    def __str__(self) -> str:
        return str(self.number)


class CLibrary:
    """An open library in C; a ``Library``."""

    def __init__(self, name: str) -> None:
        """Load the shared object. Raises HookError."""
        self.name = name
        self._shared_object: SharedObject | None = SharedObject(name)
        self._number = 0
        self._loading = False
        self._state = ffi.new("void **")
        self._parameters = 0
        self._keys: set[int] = set()
        self._servers = Servers()
        self.timers = Timers(name)
        self._handle: LibraryHandle | None = None

    # What the chain asks for.

    def function(self, name: str) -> Callable[..., object] | None:
        """Return one of the library's own functions: version, load or unload. Callouts attach in load."""
        own: dict[str, Callable[..., object]] = {
            "version": self._version, "load": self._load, "unload": self._unload,
        }
        bind = own.get(name)
        if bind is None:
            return None
        symbol = self.shared_object.symbol(f"pyd2_hook_{name}")
        if name == "version":
            requires = self.shared_object.symbol("pyd2_hook_requires")
            if requires is not None:  # libraries compiled before 1.0 have the other one alone
                symbol, bind = requires, self._requires
        return None if symbol is None else lambda *arguments: bind(symbol, *arguments)

    def wrong_version(self, version: object, _rules: HookRules) -> tuple[object, object] | None:
        """Say what is wrong with what ``version`` returned: that, and what is required. None: nothing."""
        assert isinstance(version, Requirement)
        if version.number != _VERSION:
            return version.number, _VERSION
        if version.size > _TABLE_SIZE:
            required = f"{_VERSION} with {_TABLE_SIZE} at most"
            return f"{version} with a table of {version.size} octets", required
        return None

    def attach(self, loop: asyncio.AbstractEventLoop, log: Log) -> None:
        """Let the timers run in a loop."""
        self.timers.attach(loop, log)

    def close(self) -> None:
        """Give the shared object up; it leaves memory when the last key of the library's is out of use."""
        self._retire()
        self.shared_object.give_up()
        self._shared_object = None

    def _requires(self, symbol: Any) -> Requirement:  # noqa: ANN401  C data
        version, size = ffi.new("uint32_t *"), ffi.new("uint32_t *")
        calls.run(lib.pyd2_glue_requires, symbol, version, size)
        return Requirement(version[0], size[0])

    def _version(self, symbol: Any) -> Requirement:  # noqa: ANN401  C data
        requirement = calls.run(lib.pyd2_glue_version, symbol)
        return Requirement(requirement.version, requirement.api_size)

    def _load(self, symbol: Any, handle: LibraryHandle) -> int:  # noqa: ANN401  C data
        self._handle = handle
        self._number = LIBRARIES.add(self)
        self._loading = True
        try:
            return int(calls.run(lib.pyd2_glue_load, symbol, self._number, self._state))
        finally:
            self._loading = False

    def _unload(self, symbol: Any) -> int:  # noqa: ANN401  C data
        try:
            return int(calls.run(lib.pyd2_glue_unload, symbol, self._state[0]))
        finally:
            self._retire()

    def _retire(self) -> None:
        """End what the library's code owns: no code of its callouts and timers runs after unload."""
        self.timers.cancel_all()
        LIBRARIES.remove(self._number)
        JSON.remove(self._parameters)
        for key in list(self._keys):
            self.release_key(key)

    # What the library's code asks for; c_table calls these.

    @property
    def handle(self) -> LibraryHandle:
        """What a library in Python would get in ``load``."""
        assert self._handle is not None
        return self._handle

    def registrar(self) -> LibraryHandle:
        """Return the handle when callouts may be attached."""
        if not self._loading:
            raise RefusedError(lib.PYD2_HOOK_E_STATE, "callouts are attached while pyd2_hook_load runs")
        return self.handle

    def callout(self, hook: str, function: Any, user: Any) -> CCallout:  # noqa: ANN401  C data
        """Return a function of the library as the chain calls it."""
        servers = self._servers if hook == "select_key" else None
        return CCallout(function, user, self.shared_object, servers)

    def parameters(self) -> int:
        """Return the handle of the parameters, the same each time."""
        if not self._parameters:
            self._parameters = JSON.add(self.handle.raw_parameters())
        return self._parameters

    @property
    def shared_object(self) -> SharedObject:
        """What holds the library in memory."""
        assert self._shared_object is not None
        return self._shared_object

    def add_key(self, key: SigningKey) -> int:
        """Return the handle of a key that the library has made."""
        number = KEYS.add(key)
        self._keys.add(number)
        lib.pyd2_glue_key_begins(number)
        return number

    def release_key(self, number: int) -> None:
        """End the handle of a key that the library has made."""
        if number not in self._keys:
            raise RefusedError(lib.PYD2_HOOK_E_HANDLE, "this library has no such key, or released it")
        lib.pyd2_glue_key_ends(number)
        self._keys.remove(number)
        KEYS.remove(number)
