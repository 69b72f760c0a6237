"""Frees the modules of hook libraries in Python that were closed, without a run of the garbage collector.

The functions of a module refer to its variables, and these to the functions: only the collector finds out
that nothing else refers to either. Here it hardly ever runs, and then goes through everything there is, while
the updates stand still. So the same is found out among the libraries' own objects: what is referred to from
elsewhere, and what that leads to, is in use; the rest is emptied, so that reference counts free it.
"""

from __future__ import annotations

import builtins
import gc
import sys
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType, ModuleType
from typing import TYPE_CHECKING, Any, Final, cast
from weakref import ref

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST: Final = 100_000
"""Objects that are looked at; what has more is left to the collector."""

_PAUSED: Final = (GeneratorType, CoroutineType, AsyncGeneratorType)
_module_of: Final = type.__dict__["__module__"].__get__

_closed: list[ModuleType] = []
"""Not looked at yet."""
_kept: list[ModuleType] = []
"""In use when they were looked at, by the key of an update for example: looked at once more."""


def closed(modules: Iterable[ModuleType]) -> None:
    """Take modules that are closed; no attribute of theirs is asked for any more."""
    _closed.extend(modules)


def free_closed() -> None:
    """Free those closed modules that are not in use; after the last local variable that refers to them."""
    if not _closed and not _kept:
        return
    new = {id(module) for module in _closed}
    owned = _Owned([*_kept, *_closed])
    _kept.clear()
    _closed.clear()
    if not owned.complete:
        return
    used = owned.used()
    _kept.extend(module for module in owned.modules() if id(vars(module)) in used and id(module) in new)
    _empty([value for number, value in owned.objects.items() if number not in used])


class _Owned:
    """The objects that modules lead to, short of those of other modules and of the server."""

    def __init__(self, modules: list[ModuleType]) -> None:
        self._variables = {id(vars(module)) for module in modules}
        self._names = {module.__name__ for module in modules}
        self.objects: dict[int, Any] = {id(module): module for module in modules}
        """By their identity."""
        self.complete = True
        """Whether these are all."""
        waiting: list[Any] = list(modules)
        while waiting:
            for value in gc.get_referents(waiting.pop()):
                if id(value) not in self.objects and gc.is_tracked(value) and not self._foreign(value):
                    self.objects[id(value)] = value
                    waiting.append(value)
            if len(self.objects) > MOST:
                self.complete = False
                return

    def _foreign(self, value: object) -> bool:
        if isinstance(value, FunctionType):  # another module's may close over the library's values
            return id(value.__globals__) not in self._variables and value.__closure__ is None
        if type(value) is dict and "__builtins__" in value:
            return id(value) not in self._variables
        if isinstance(value, type):
            return _module_of(value) not in self._names
        if isinstance(value, ModuleType):
            return True
        # The server's objects lead to all of the server.
        return value is vars(builtins) or str(_module_of(type(value))).startswith("pyd2.")

    def modules(self) -> list[ModuleType]:
        """Return the modules among them."""
        return [value for value in self.objects.values() if isinstance(value, ModuleType)]

    def used(self) -> set[int]:
        """Return the identities of those that can be reached from elsewhere."""
        probe: list[object] = []
        self.objects[id(probe)] = probe
        number = id(probe)
        del probe
        inside = dict.fromkeys(self.objects, 0)
        for value in self.objects.values():
            for referent in gc.get_referents(value):
                if id(referent) in inside:
                    inside[id(referent)] += 1
        del referent, value
        outside = {key: sys.getrefcount(value) - inside[key] for key, value in self.objects.items()}
        del self.objects[number]
        least = outside.pop(number)
        used = {key for key, count in outside.items() if count > least}
        waiting = [self.objects[key] for key in used]
        while waiting:
            for referent in gc.get_referents(waiting.pop()):
                if id(referent) in self.objects and id(referent) not in used:
                    used.add(id(referent))
                    waiting.append(referent)
        return used


def _empty(unused: list[Any]) -> None:
    """Break the circles in which objects refer to each other, unless code of a library's would run for it."""
    if any(map(_ends_with_code, unused)):
        return
    # A class notices changes of its attributes only when they come through it.
    of_classes = {id(one) for value in unused if isinstance(value, type)
                  for one in gc.get_referents(vars(value))}
    for value in unused:
        kind = type(value)
        if kind in {dict, list, set}:
            if id(value) not in of_classes:
                value.clear()
        elif isinstance(value, type):
            for name in [name for name in vars(value) if not name.startswith("__")]:
                type.__delattr__(value, name)
        elif _module_of(kind) != "builtins" and kind.__dictoffset__ and not isinstance(value, ModuleType):
            object.__getattribute__(value, "__dict__").clear()


def _ends_with_code(value: object) -> bool:
    if isinstance(value, ref):
        return isinstance(cast("Any", value).__callback__, FunctionType)
    return isinstance(value, _PAUSED) or isinstance(getattr(type(value), "__del__", None), FunctionType)
