"""``pyd2ctl reconcile``: compares the leases of DHCP servers with the records in the DNS, and mends them.

``command.py`` has the options and the order of the steps; ``compare.py`` decides what differs; ``repair.py``
lets the daemon and the DHCP servers mend it. docs/reconcile.md is the operator's page.
"""

from pyd2.tools.reconcile.command import add_arguments, run

__all__ = ["add_arguments", "run"]
