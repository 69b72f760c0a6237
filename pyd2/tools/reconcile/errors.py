"""The one error of ``pyd2ctl reconcile``: what ends it with exit status 2."""

from __future__ import annotations

from pyd2.errors import Pyd2Error


class ReconcileError(Pyd2Error):
    """Leases and records cannot be compared, or must not be changed; the text says why and what to do."""
