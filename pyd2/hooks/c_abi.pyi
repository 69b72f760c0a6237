# The compiled glue (cbridge/build_hook.py), absent where it could not be built.

from typing import Any

from cffi import FFI

ffi: FFI
lib: Any
