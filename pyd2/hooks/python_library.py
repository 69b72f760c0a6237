"""Hook libraries written in Python: a file ``DIRECTORY/NAME.py``, or a module ``python:package.module``.

pyd2.config.python_modules says which modules may be used. Each opening runs the source afresh in a new module
with a new name, so that two openings share nothing. No byte code is written or read: a changed file counts at
the next reload even when its size and the second of its time stamp are the same.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import re
import sys
from itertools import count
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, cast

from pyd2.config.hooks_libraries import PYTHON_PREFIX
from pyd2.config.python_modules import Found, find_module
from pyd2.errors import HookError
from pyd2.hooks.describe import explain, returned
from pyd2.hooks.library import read_library
from pyd2.hooks.points import VERSION
from pyd2.hooks.release import closed

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from types import CodeType

    from pyd2.hooks.interface import Statistics
    from pyd2.hooks.points import HookRules
    from pyd2.messages import Log

_serial = count(1)


class PythonLibrary:
    """An open hook library in Python; a ``Library``."""

    __slots__ = ("_module", "_root", "name")

    def __init__(self, name: str, module: ModuleType, root: str) -> None:
        """All modules in ``sys.modules`` at and below the name ``root`` belong to the library."""
        self.name = name
        """The entry's ``library``."""
        self._module = module
        self._root = root

    def function(self, name: str) -> Callable[..., object] | None:
        """Return the library's function of that name, None when it has none."""
        # From the dict, so that no code of the library (a module's __getattr__) runs here.
        found = vars(self._module).get(name)
        return cast("Callable[..., object]", found) if callable(found) else None

    def function_names(self) -> list[str]:
        """Return the names of the functions that the library's own source defines."""
        own = vars(self._module)
        return [name for name, value in own.items()
                if type(value) is FunctionType and value.__globals__ is own]

    def wrong_version(self, version: object, rules: HookRules) -> tuple[object, object] | None:
        """Say what is wrong with a version."""
        # VERSION is that of the interface for Python, which is the same under all releases of Kea.
        right = type(version) is int and version in {rules.version, VERSION}
        return None if right else (returned(version), rules.version)

    def attach(self, loop: asyncio.AbstractEventLoop, log: Log) -> None:
        """Do nothing: a library in Python uses the loop itself."""

    def share_statistics(self, statistics: Statistics) -> None:
        """Do nothing: a library in Python has none."""

    def close(self) -> None:
        """Remove the library's modules from ``sys.modules``; ``pyd2.hooks.release`` frees them.

        Keys that are in use live on, with all that they need, until their last use ends.
        """
        own = self._root
        # A copy: other threads may import something meanwhile.
        names = [name for name in [*sys.modules] if name == own or name.startswith(own + ".")]
        modules: list[object] = [sys.modules.pop(name) for name in names]
        closed([self._module, *(module for module in modules if module is not self._module)])
        self._module = ModuleType("closed")


class _Source:
    """A library's source, read and parsed; nothing of it has run."""

    def __init__(self, path: str, code: CodeType, found: Found | None, module: str) -> None:
        self.path = path
        self.code = code
        self.found = found
        self.module = module
        """The name behind ``python:``; of a file its own without the ending."""


def check_python(name: str, directory: str) -> None:
    """Find a library, read its source and parse it; raises HookError when that fails."""
    _read(name, directory)


def open_python(name: str, directory: str) -> PythonLibrary:
    """Run a library's source in a new module. Raises HookError with the reason of HOOKS_OPEN_ERROR."""
    source = _read(name, directory)
    own = f"pyd2_hook_{next(_serial)}_"
    found = source.found
    if found is None:
        root = module = own + re.sub(r"\W", "_", source.module)
    else:
        parent, dot, last = source.module.rpartition(".")
        if found.declared:
            root = module = f"{parent}{dot}{own}{last}"
        else:
            # Not on Python's path: the packages that it lies in are the library's own.
            module = own + source.module
            root = module.partition(".")[0]
    spec = importlib.machinery.ModuleSpec(module, None, origin=source.path)
    spec.has_location = True
    if found is not None and found.is_package:
        spec.submodule_search_locations = [str(Path(found.path).parent)]
    made = importlib.util.module_from_spec(spec)
    library = PythonLibrary(name, made, root)
    try:
        if found is not None and found.declared:
            importlib.invalidate_caches()
            if parent:
                importlib.import_module(parent)
        elif found is not None:
            _open_parents(module, Path(found.path), is_package=found.is_package)
        sys.modules[module] = made
        exec(source.code, made.__dict__)  # noqa: S102  what loading means
    except BaseException as error:
        library.close()
        raise HookError(explain(error)) from error
    return library


def _open_parents(module: str, path: Path, *, is_package: bool) -> None:
    """Run the packages that a module below the hooks directory lies in, from the top down."""
    places = list((path.parent if is_package else path).parents)
    parents = module.split(".")[:-1]
    importlib.invalidate_caches()
    for depth in range(1, len(parents) + 1):
        place = places[len(parents) - depth]
        name = ".".join(parents[:depth])
        spec = importlib.util.spec_from_file_location(
            name, place / "__init__.py", submodule_search_locations=[str(place)],
        )
        assert spec is not None
        assert spec.loader is not None
        made = importlib.util.module_from_spec(spec)
        sys.modules[name] = made
        if (place / "__init__.py").is_file():
            spec.loader.exec_module(made)


def _read(name: str, directory: str) -> _Source:
    found = None
    if name.startswith(PYTHON_PREFIX):
        module = name.removeprefix(PYTHON_PREFIX)
        try:
            found = find_module(module, directory)
        except LookupError as error:
            raise HookError(str(error)) from error
        path = found.path
    else:
        path = name.partition("\0")[0]
        module = Path(path).stem
    content = read_library(path)
    try:
        code = compile(content, path, "exec", dont_inherit=True)
    except BaseException as error:  # a SyntaxError, or whatever the parser meets in an odd file
        raise HookError(explain(error)) from error
    return _Source(path, code, found, module)
