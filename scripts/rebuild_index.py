"""Builds a snapshot from a model and a catalogue; the same as `recall rebuild`."""

from __future__ import annotations

import sys

from recall.cli.main import main

if __name__ == "__main__":
    main(["rebuild", *sys.argv[1:]])
