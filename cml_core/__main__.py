"""`python -m cml_core`: the command line of this environment, whatever `cml` is on the path."""

from __future__ import annotations

from cml_core.cli import main

if __name__ == "__main__":
    main()
