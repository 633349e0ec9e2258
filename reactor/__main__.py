"""`python -m reactor` is `reactor`; the frozen `reactor` begins here, and so do its workers."""

import sys

if __name__ == "__main__":
    # A frozen build has no Python to start: for the action `python` it starts itself.
    if getattr(sys, "frozen", False) and sys.argv[1:] == ["__worker__"]:
        from reactor.connectors.python import worker

        worker.main()
    else:
        from reactor.cli import main

        sys.exit(main())
