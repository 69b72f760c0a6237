"""``pyd2ctl lint``: finds what is allowed but doubtful in a configuration."""

from pyd2.tools.lint.command import add_arguments, run

__all__ = ["add_arguments", "run"]
