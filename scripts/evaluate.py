"""Measures recall@K of a model, a snapshot or a server; the same as `recall evaluate`."""

from __future__ import annotations

import sys

from recall.cli.main import main

if __name__ == "__main__":
    main(["evaluate", *sys.argv[1:]])
