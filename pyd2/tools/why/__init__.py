"""``pyd2ctl why``: what became of a host, and what to do about it, from the daemon's history."""

from pyd2.tools.why.command import add_arguments, run

__all__ = ["add_arguments", "run"]
