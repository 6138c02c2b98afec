"""`python -m daos.engine`."""

import sys

from daos.engine.process import main

sys.exit(main())
