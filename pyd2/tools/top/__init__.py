"""``pyd2ctl top``: how a daemon is doing, in a terminal, again and again."""

from pyd2.tools.top.command import add_arguments, run

__all__ = ["add_arguments", "run"]
