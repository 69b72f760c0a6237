# The compiled codec (cbridge/build_wire.py), absent where it could not be built. The classes are structures
# of C, for type checkers only.

from collections.abc import Sequence
from typing import Any

from cffi import FFI

ffi: FFI
lib: Any

class WireOutgoing:
    slot: int
    query_id: int
    at: int
    size: int

class WireLane:
    quarantined: Any
    replies: Any
    messages: Sequence[WireOutgoing]
    octets: Any
    first: int
    count: int
    used: int
    segmentation: int
    refused: int
