"""The ``hooks-libraries`` (contract, section 2.2). ``pyd2.hooks`` opens and loads them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from pyd2.config.model import HookLibrary
from pyd2.config.paths import confine
from pyd2.config.values import reason
from pyd2.data.element import sorted_items
from pyd2.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyd2.config.paths import Directories
    from pyd2.data.element import Element, Position

    LibraryValidator = Callable[[Sequence[HookLibrary]], Sequence[str]]

PYTHON_PREFIX: Final = "python:"
"""The name of a library that is a Python module begins with this, as in ``python:package.module``.

``pyd2.config.python_modules`` says which modules are allowed.
"""

GSS_TSIG: Final = "builtin:gss-tsig"
"""The name of the library that is part of pyd2; no entry can spell it."""
_GSS_TSIG_FILE: Final = "/libddns_gss_tsig.so"
"""How the path of Kea's library ends whose place it takes."""


def parse_hooks_libraries(
    libraries: Element, directories: Directories, *, own_gss_tsig: bool = False,
) -> tuple[HookLibrary, ...]:
    """Return the libraries with their full paths; raises ConfigError.

    pyd2's own GSS-TSIG takes the place of Kea's library if that is not installed, or if ``own_gss_tsig``.
    """
    return tuple(_library(entry, directories, own_gss_tsig) for entry in libraries.list_value())


def validate(libraries: Sequence[HookLibrary], position: Position, validator: LibraryValidator) -> None:
    """Check the libraries by ``validator``; raises ConfigError with the names of those in error."""
    if libraries and (wrong := validator(libraries)):
        raise ConfigError(
            "hooks libraries failed to validate - library or libraries in error are: "
            f"{', '.join(wrong)} ({position})"
        )


def _library(entry: Element, directories: Directories, own_gss_tsig: bool) -> HookLibrary:  # noqa: FBT001
    if not isinstance(entry.value, dict):
        raise ConfigError(
            "hooks library configuration error: one or more entries in the hooks-libraries list is not a map "
            f"({entry.position})"
        )
    library = parameters = None
    shown = ""
    for key, element in sorted_items(entry.value):
        if key == "library":
            library = _path(element, directories)
            if directories.rules.libraries_as_typed:
                shown = element.string_value()
        elif key == "parameters":
            parameters = element
        else:
            raise ConfigError(f"unknown hooks library parameter: {key}({entry.position})")
    if library is None:
        raise ConfigError(
            "hooks library configuration error: one or more hooks-libraries elements are missing the name of "
            f"the library ({entry.position})"
        )
    if library.endswith(_GSS_TSIG_FILE) and (own_gss_tsig or not os.path.exists(library)):  # noqa: PTH110  Path raises for too long a name
        shown = shown or library
        library = GSS_TSIG
    return HookLibrary(library, parameters, entry.position, directories.hooks, shown)


def _path(element: Element, directories: Directories) -> str:
    if not isinstance(element.value, str):
        raise ConfigError(
            "hooks library configuration error: value of 'library' element is not a string giving the path "
            f"to a hooks library ({element.position})"
        )
    try:
        return _confine(element.value, directories)
    except ConfigError as error:
        raise ConfigError(
            f"hooks library configuration error: {reason(error)} ({element.position})"
        ) from None


def _confine(library: str, directories: Directories) -> str:
    if not library.startswith(PYTHON_PREFIX):
        return confine(library, directories.hooks, directories.rules)
    from pyd2.config.python_modules import find_module  # it takes long to import

    try:
        find_module(library.removeprefix(PYTHON_PREFIX), directories.hooks)
    except LookupError as error:
        raise ConfigError(str(error)) from error
    return library
