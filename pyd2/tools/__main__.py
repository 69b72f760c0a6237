"""``python -m pyd2.tools``: the same as ``pyd2ctl``."""

import sys

from pyd2.tools.cli import main

sys.exit(main())
