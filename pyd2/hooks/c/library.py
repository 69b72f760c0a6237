"""Hook libraries in C, or in what can be called from C, that need no Kea (cbridge/include/pyd2_hook.h).

A chain runs them like libraries in Python: a callout in C is one more callable.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from pyd2.config.model import DnsServer
from pyd2.errors import HookError
from pyd2.hooks.c.handles import JSON, KEYS, Handles, RefusedError, Shared, calls, numbers
from pyd2.hooks.c.timers import Timers
from pyd2.hooks.c_abi import ffi, lib
from pyd2.hooks.points import HookRules, Status, has_argument

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pyd2.dns.tsig import SigningKey
    from pyd2.hooks.handle import CalloutHandle, LibraryHandle
    from pyd2.hooks.interface import Statistics
    from pyd2.messages import Log

_VERSION: int = lib.PYD2_HOOK_VERSION
_TABLE_SIZE: int = ffi.sizeof("pyd2_hook_api")


def _text(string: Any) -> str:  # noqa: ANN401  C data
    """Return what a C string holds."""
    octets = ffi.string(string)
    assert isinstance(octets, bytes)
    return octets.decode("utf-8", "surrogateescape")


class SharedObject(Shared):
    """A shared object in memory, until the last user of its code releases it."""

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
        """For the log: the function's name if the library exports it, else its address."""

    def __call__(self, handle: CalloutHandle) -> object:
        """Run it."""
        use = handle.use()
        servers = self._servers
        server = _NULL if servers is None else servers.in_c(use.get("current_server"))
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


CALLOUTS: Handles[tuple[CalloutHandle, SharedObject]] = Handles("callout")

_NULL = ffi.NULL
_run = lib.pyd2_glue_callout
_callouts = CALLOUTS.objects
_outcome: Any = ffi.new("pyd2_glue_outcome *")


class Servers:
    """DNS servers as a library in C sees them, made once for each; they live as long as the library."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[object, Any, tuple[object, ...]]] = {}

    def in_c(self, server: object) -> Any:  # noqa: ANN401  C data
        """Return a server as a ``pyd2_glue_server *``."""
        known = self._known.get(id(server))
        return self._add(server) if known is None else known[1]

    def _add(self, server: object) -> Any:  # noqa: ANN401  C data
        assert isinstance(server, DnsServer)
        address = str(server.address).encode()
        key_name = b"" if server.key is None else server.key.name.encode("utf-8", "surrogateescape")
        texts = ffi.from_buffer(address), ffi.from_buffer(key_name)
        made: Any = ffi.new("pyd2_glue_server *")
        made.address.data, made.key_name.data = texts
        made.address.length, made.key_name.length = len(address), len(key_name)
        made.port = server.port
        # The server is kept as well, so that no other object gets its id.
        self._known[id(server)] = server, made, texts
        return made


class Requirement(NamedTuple):
    """What a library was compiled for."""

    number: int
    size: int
    """Octets of the table of functions that it needs."""

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

    # For the chain.

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
            if requires is not None:  # libraries compiled before 1.0 have only the other one
                symbol, bind = requires, self._requires
        return None if symbol is None else lambda *arguments: bind(symbol, *arguments)

    def wrong_version(self, version: object, _rules: HookRules) -> tuple[object, object] | None:
        """Compare what ``version`` returned: None if it fits, else what it is and what is required."""
        assert isinstance(version, Requirement)
        if version.number != _VERSION:
            return version.number, _VERSION
        if version.size > _TABLE_SIZE:
            required = f"{_VERSION} with {_TABLE_SIZE} at most"
            return f"{version} with a table of {version.size} octets", required
        return None

    def attach(self, loop: asyncio.AbstractEventLoop, log: Log) -> None:
        """Start the timers in a loop."""
        self.timers.attach(loop, log)

    def share_statistics(self, statistics: Statistics) -> None:
        """Do nothing: a library in C has none."""

    def close(self) -> None:
        """Release the shared object; it leaves memory when the last key of the library is out of use."""
        self._retire()
        self.shared_object.release()
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
        """End what the library owns: its callouts and timers do not run after unload."""
        self.timers.cancel_all()
        LIBRARIES.remove(self._number)
        JSON.remove(self._parameters)
        for key in list(self._keys):
            self.release_key(key)

    # For the library's code, by way of pyd2.hooks.c.api.

    @property
    def handle(self) -> LibraryHandle:
        """The handle that a library in Python gets in ``load``."""
        assert self._handle is not None
        return self._handle

    def registrar(self) -> LibraryHandle:
        """Return the handle when callouts may be attached."""
        if not self._loading:
            raise RefusedError(lib.PYD2_HOOK_E_STATE, "callouts are attached while pyd2_hook_load runs")
        return self.handle

    def callout(self, hook: str, function: Any, user: Any) -> CCallout:  # noqa: ANN401  C data
        """Return a function of the library as a callable for the chain."""
        servers = self._servers if has_argument(hook, "current_server") else None
        return CCallout(function, user, self.shared_object, servers)

    def parameters(self) -> int:
        """Return the handle of the parameters, the same each time."""
        if not self._parameters:
            self._parameters = JSON.add(self.handle.raw_parameters())
        return self._parameters

    @property
    def shared_object(self) -> SharedObject:
        """The object that holds the library in memory."""
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


LIBRARIES: Handles[CLibrary] = Handles("library")
