"""``pyd2ctl apply``: gives a running daemon a configuration, watches it, and goes back if that gets worse."""

from pyd2.tools.apply.command import add_arguments, run

__all__ = ["add_arguments", "run"]
