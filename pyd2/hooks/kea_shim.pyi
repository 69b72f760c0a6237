# The bridge to Kea (cbridge/build_kea.py), absent where it could not be built.

from collections.abc import Callable
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])

class _FFI:
    # What cffi's own annotation does not say: it is a decorator.
    def def_extern(self, *, error: object = None) -> Callable[[_Function], _Function]: ...
    def __getattr__(self, name: str) -> Any: ...  # noqa: ANN401  cffi values have no types

ffi: _FFI
lib: Any
