"""What is wrong with a capture."""

from __future__ import annotations


class CaptureError(Exception):
    """A file is no capture, or is damaged; the text begins with the place in the file."""


class CutShortError(CaptureError):
    """The file ends within a packet, as when the program that wrote it was killed."""
