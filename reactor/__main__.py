"""`python -m reactor` is `reactor`."""

import sys

from reactor.cli import main

if __name__ == "__main__":
    sys.exit(main())
