"""What this machine is called where its measurements are compared with those of others.

Owns: a fingerprint of the hardware: the same on every start, from which nothing can be read back. Never: a name, a
serial number or an address in clear; what a GPU adds (it may come and go).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import psutil

from .hardware.generic import cpu_name

IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


def fingerprint() -> str:
    """16 hexadecimal digits: of the system's id where there is one, the processor, its cores, and the memory."""
    facts = (_system(), cpu_name(), str(os.cpu_count()), str(round(psutil.virtual_memory().total / 2**30)))
    return hashlib.sha256("\n".join(("arbiter machine", *facts)).encode()).hexdigest()[:16]


def _system() -> str:
    for path in IDS:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if found := path.read_text(encoding="ascii").strip():
                return found
    return ""
