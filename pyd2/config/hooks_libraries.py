"""The ``hooks-libraries`` (contract, section 2.2). Opening and loading them is done elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.config.model import HookLibrary
from pyd2.config.paths import confine
from pyd2.config.python_modules import find_module
from pyd2.config.values import reason
from pyd2.data.element import sorted_items
from pyd2.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyd2.data.element import Element, Position

    LibraryValidator = Callable[[Sequence[HookLibrary]], Sequence[str]]

PYTHON_PREFIX: Final = "python:"
"""Begins the name of a library that is a Python module, as in ``python:package.module``.

Which modules these may be: ``pyd2.config.python_modules``.
"""


def parse_hooks_libraries(libraries: Element, directory: str) -> tuple[HookLibrary, ...]:
    """Return the libraries with their full paths; raises ConfigError."""
    return tuple(_library(entry, directory) for entry in libraries.list_value())


def validate(libraries: Sequence[HookLibrary], position: Position, validator: LibraryValidator) -> None:
    """Have the libraries checked; raises ConfigError that names those in error."""
    if libraries and (wrong := validator(libraries)):
        raise ConfigError(
            "hooks libraries failed to validate - library or libraries in error are: "
            f"{', '.join(wrong)} ({position})"
        )


def _library(entry: Element, directory: str) -> HookLibrary:
    if not isinstance(entry.value, dict):
        raise ConfigError(
            "hooks library configuration error: one or more entries in the hooks-libraries list is not a map "
            f"({entry.position})"
        )
    library = parameters = None
    for key, element in sorted_items(entry.value):
        if key == "library":
            library = _path(element, directory)
        elif key == "parameters":
            parameters = element
        else:
            raise ConfigError(f"unknown hooks library parameter: {key}({entry.position})")
    if library is None:
        raise ConfigError(
            "hooks library configuration error: one or more hooks-libraries elements are missing the name of "
            f"the library ({entry.position})"
        )
    return HookLibrary(library, parameters, entry.position, directory)


def _path(element: Element, directory: str) -> str:
    if not isinstance(element.value, str):
        raise ConfigError(
            "hooks library configuration error: value of 'library' element is not a string giving the path "
            f"to a hooks library ({element.position})"
        )
    try:
        return _confine(element.value, directory)
    except ConfigError as error:
        raise ConfigError(
            f"hooks library configuration error: {reason(error)} ({element.position})"
        ) from None


def _confine(library: str, directory: str) -> str:
    if not library.startswith(PYTHON_PREFIX):
        return confine(library, directory)
    try:
        find_module(library.removeprefix(PYTHON_PREFIX), directory)
    except LookupError as error:
        raise ConfigError(str(error)) from error
    return library
