"""The official ``openai`` package for Node, kept in the user's cache folder: the suite drives the gateway with it.

``python tools/node_sdk.py`` installs it where node and npm are; elsewhere it says so and that is all: the test skips.
Standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "6.10.0"
LONGEST_S = 180


def folder() -> Path:
    """Where it is, or would be; its name has the version."""
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "arbiter" / "node" / f"openai-{VERSION}"


def missing() -> str | None:
    """Why it can't be used here; None: it can."""
    if shutil.which("node") is None:
        return "there is no node here"
    if not (folder() / "node_modules" / "openai" / "package.json").exists():
        return "the openai package for Node is not there: python tools/node_sdk.py"
    return None


def install() -> str | None:
    """Once. Why it could not be; None: it is there."""
    if missing() is None:
        return None
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "there is no node or no npm here"
    place = folder()
    place.mkdir(parents=True, exist_ok=True)
    command = [
        "npm",
        "install",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--prefix",
        str(place),
        f"openai@{VERSION}",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, cwd=place, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"npm: {error}"
    return missing() if done.returncode == 0 else f"npm: {(done.stderr.strip().splitlines() or ['failed'])[-1]}"


if __name__ == "__main__":
    why = install()
    print(why or f"openai {VERSION} for Node: {folder()}")
