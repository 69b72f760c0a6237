"""The hook libraries of the cases: those of examples/hooks in each language, and one that blocks."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, Final

from benchmarks.build import HERE, ROOT, hook_library
from benchmarks.settings import KEY_NAME, SECRET

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES: Final = ROOT / "examples" / "hooks"
_KEY = {"name": KEY_NAME, "algorithm": "HMAC-SHA256", "secret": SECRET}


def entries(name: str, subject: str, directory: Path, beside_port: int) -> list[dict[str, Any]]:
    """Return the entries of hooks-libraries for a case's library; none for an empty name.

    ``beside_port`` is that of the DNS server beside, for which a callout takes long.
    Only pyd2 takes libraries in Python and C: others get the one in C++ that does the same. Raises
    BenchmarkError when it cannot be compiled.
    """
    stem, _, language = name.partition(".")
    if not stem:
        return []
    source, parameters = {
        "blocking": (HERE / "blocking_library", {}),
        "blocking_select": (HERE / "blocking_select", {"port": beside_port}),
        "key": (EXAMPLES / "key_per_server", {"keys": {"127.0.0.1": _KEY}}),
        "audit": (EXAMPLES / "audit", {"file": str(directory / "audit.log")}),
    }[stem]
    source = source.with_suffix(f".{language if subject == 'pyd2' else 'cc'}")
    library = source if source.suffix == ".py" else hook_library(source)
    place = directory / library.name  # libraries have to be in one directory: KEA_HOOKS_PATH
    shutil.copy(library, place)
    return [{"library": str(place), "parameters": parameters}]
