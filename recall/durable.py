"""Files that stay: the sync that makes what was written outlive a power cut.

`index/snapshot.py` has its own, since `index` imports nothing of this package.
"""

from __future__ import annotations

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Returns once the content of a file, or the names in a folder, are on the disk.

    Raises:
        OSError: The disk failed.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
