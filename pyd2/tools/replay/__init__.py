"""``pyd2ctl replay``: plays captured requests to a daemon, or to two that it compares."""

from pyd2.tools.replay.command import add_arguments, run

__all__ = ["add_arguments", "run"]
