# The system calls of the native back end (cbridge/build_wire.py), absent where it could not be built.

from typing import Any

from cffi import FFI

ffi: FFI
lib: Any
