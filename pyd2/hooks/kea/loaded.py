"""The C interface of the bridge in this process; imported only after ``bridge.extension`` has loaded it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from pyd2.hooks.kea import bridge

if TYPE_CHECKING:
    from collections.abc import Callable

_Function = TypeVar("_Function", bound="Callable[..., Any]")


class _Ffi(Protocol):
    """What cffi's own annotation does not say: ``def_extern`` is a decorator."""

    def def_extern(self, *, error: object = None) -> Callable[[_Function], _Function]:
        """Make a function that C calls."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  cffi values have no types
        """Return all else that cffi has."""


_module: Any = bridge.loaded()
ffi: Final[_Ffi] = _module.ffi
lib: Final[Any] = _module.lib
