"""``python -m pyd2`` is the daemon's command line."""

import sys

from pyd2.cli import main

sys.exit(main())
