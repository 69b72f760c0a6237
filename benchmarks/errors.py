"""What stops a measurement."""

from __future__ import annotations


class BenchmarkError(Exception):
    """Something is missing or went wrong; the text says what, and what to do about it."""
