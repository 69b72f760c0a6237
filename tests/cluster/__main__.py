"""See ``tests.cluster.faults``."""

import sys

from tests.cluster.faults import main

sys.exit(main())
