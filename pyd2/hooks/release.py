"""Frees the modules of hook libraries in Python that were closed, without a run of the garbage collector.

A module's functions refer to its variables, and these to the functions, so reference counts alone never free
them. The garbage collector would, but here it hardly ever runs, and a run goes through all objects of the
process while updates wait. So this module does the same for the libraries' own objects: one that is referred
to from elsewhere is in use, and so is all that it leads to; the rest is emptied, and reference counts free
it.

No code of the library runs for this: classes and attributes are read as the interpreter stores them, past
``__class__``, ``__dict__`` and metaclasses of the library.
"""

from __future__ import annotations

import builtins
import gc
import sys
from contextlib import suppress
from io import IOBase
from types import (
    AsyncGeneratorType,
    CoroutineType,
    FunctionType,
    GeneratorType,
    GetSetDescriptorType,
    ModuleType,
)
from typing import TYPE_CHECKING, Any, Final, cast
from weakref import ref

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST: Final = 100_000
"""Objects that are examined; libraries with more are left to the garbage collector."""

_PAUSED: Final = (GeneratorType, CoroutineType, AsyncGeneratorType)
_C_IO: Final = IOBase.__mro__[1]
"""Ends an object by calling its ``close``."""
_module_of: Final = type.__dict__["__module__"].__get__
_variables_of: Final = type.__dict__["__dict__"].__get__
_bases_of: Final = type.__dict__["__mro__"].__get__
_globals_of: Final = cast("Any", ModuleType.__dict__)["__dict__"].__get__

_closed: list[ModuleType] = []
"""Modules that were not examined yet."""
_kept: list[ModuleType] = []
"""Modules that were still in use, for example by the key of an update: they are examined once more."""


def closed(modules: Iterable[object]) -> None:
    """Note modules as closed: nothing reads their attributes from now on.

    Other objects that a library put in the place of a module are freed like its variables.
    """
    _closed.extend(cast("ModuleType", module) for module in modules if issubclass(type(module), ModuleType))


def free_closed() -> None:
    """Free closed modules that are not in use. Call it when no local variable refers to them."""
    if not _closed and not _kept:
        return
    new = {id(module) for module in _closed}
    owned = _Owned([*_kept, *_closed])
    _kept.clear()
    _closed.clear()
    if not owned.complete:
        return
    # Twice: a thread may move an object out of a list of the library while this goes through all objects.
    used = owned.used() | owned.used()
    _kept.extend(module for module in owned.modules()
                 if id(_globals_of(module)) in used and id(module) in new)
    _empty([value for number, value in owned.objects.items() if number not in used])


class _Owned:
    """The objects that modules lead to, without those of other modules and of the server."""

    def __init__(self, modules: list[ModuleType]) -> None:
        self._variables = {id(_globals_of(module)) for module in modules}
        self._names = {name for module in modules if type(name := _globals_of(module).get("__name__")) is str}
        self.objects: dict[int, Any] = {id(module): module for module in modules}
        """By identity."""
        self.complete = True
        """Whether all were found: no more than ``MOST``."""
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
        kind = type(value)
        if kind is FunctionType:  # a function of another module may close over the library's values
            function = cast("FunctionType", value)
            return id(function.__globals__) not in self._variables and function.__closure__ is None
        if kind is dict and "__builtins__" in cast("dict[object, object]", value):
            return id(value) not in self._variables
        if issubclass(kind, type):
            return _module_name(value) not in self._names
        if issubclass(kind, ModuleType):
            return True
        # An object of the server leads to the whole server.
        return value is vars(builtins) or _module_name(kind).startswith("pyd2.")

    def modules(self) -> list[ModuleType]:
        """Return the modules among them."""
        return [value for value in self.objects.values() if issubclass(type(value), ModuleType)]

    def used(self) -> set[int]:
        """Return the identities of the objects that can be reached from elsewhere."""
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
    """Break the reference circles of objects, unless code of a library would run for it."""
    if any(map(_ends_with_code, unused)):
        return
    # A class notices changes of its attributes only when they come through it.
    of_classes = {id(one) for value in unused if issubclass(type(value), type)
                  for one in gc.get_referents(_variables_of(value))}
    for value in unused:
        kind = type(value)
        if kind is dict or kind is list or kind is set:
            if id(value) not in of_classes:
                value.clear()
        elif issubclass(kind, type):
            with suppress(TypeError):  # one of ctypes, which keeps its attributes
                for name in [name for name in _variables_of(value) if not name.startswith("__")]:
                    type.__delattr__(value, name)
        elif _module_name(kind) != "builtins" and not issubclass(kind, ModuleType):
            variables = _attribute(kind, "__dict__")
            if type(variables) is GetSetDescriptorType:
                variables.__get__(value).clear()


def _ends_with_code(value: object) -> bool:
    kind = type(value)
    if issubclass(kind, ref):
        return type(cast("Any", value).__callback__) is FunctionType
    if issubclass(kind, _C_IO) and type(_attribute(kind, "close")) is FunctionType:
        return True
    return issubclass(kind, _PAUSED) or type(_attribute(kind, "__del__")) is FunctionType


def _module_name(kind: object) -> str:
    """Return the name of a class's module; empty when it has none, or what is no name."""
    try:
        name = _module_of(kind)
    except AttributeError:
        return ""
    return name if type(name) is str else ""


def _attribute(kind: type, name: str) -> object:
    """Return an attribute of a class as it is stored, without asking its metaclass; None when it has none."""
    for base in _bases_of(kind):
        variables = _variables_of(base)
        if name in variables:
            return variables[name]
    return None
