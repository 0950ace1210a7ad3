"""Where a measured figure comes from: the machine in words, and the commit of the code that decides it."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_CODE = ("index", "recall", "training", ":!recall/serving", ":!recall/cli")
"""What decides the figures of a model. A commit of documents, scripts or the server makes no other model."""


def machine() -> str:
    """Returns the machine in words: cores, memory, system, versions, device."""
    import torch  # here: a process that asks for the commit alone, to measure memory, stays small

    versions = f"{platform.system()}, Python {platform.python_version()}, torch {torch.__version__}"
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{os.cpu_count()} cores ({_processor()}), {_memory_gib()} GiB of memory, {device}, {versions}"


def code_commit(*paths: str) -> str:
    """Returns the last commit that touched the code, with a digest of what has changed since, where something has.

    Where git or the repository is missing it is `unknown`.

    Args:
        paths: What counts as the code; by default all that decides the figures of a model.
    """
    code = paths or _CODE
    commit = _git("log", "-1", "--format=%H", "--", *code)
    if not commit:
        return "unknown"
    changes = _git("status", "--porcelain", "--", *code) + _git("diff", "HEAD", "--", *code)
    return f"{commit}+{hashlib.sha256(changes.encode()).hexdigest()[:8]}" if changes else commit


def short(commit: str) -> str:
    """Returns a commit as people write it."""
    base, plus, changes = commit.partition("+")
    return base[:12] + plus + changes


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, errors="replace")
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # only Linux shows it as a file
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_gib() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
