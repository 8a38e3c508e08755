"""Where Linux's own parts are missing, the package still imports, lists and shows its screen.

A child process hides what another POSIX system lacks (or a stripped-down Python does) before anything is imported:
/proc and /sys, epoll, pidfds, processor affinity, prctl, psutil's Linux-only functions, and the modules fcntl and
resource wherever our own code asks for them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

HIDE = """
import builtins, ctypes, io, os, pathlib, select, signal, sys
import psutil

OURS = ("arbiter_tui", "arbiter_providers")
real_import, real_open = builtins.__import__, builtins.open

def import_(name, globals=None, locals=None, fromlist=(), level=0):
    asker = (globals or {}).get("__name__", "")
    if level == 0 and name in ("fcntl", "resource") and asker.startswith(OURS):
        raise ImportError(f"{name} is hidden")
    return real_import(name, globals, locals, fromlist, level)

def hidden(path):
    return isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(("/proc", "/sys"))

def open_(file, *args, **kwargs):
    if hidden(file):
        raise FileNotFoundError(2, "hidden", os.fspath(file))
    return real_open(file, *args, **kwargs)

class NoLibrary(ctypes.CDLL):
    def __getattr__(self, name):
        if name == "prctl":
            raise AttributeError(name)
        return super().__getattr__(name)

builtins.__import__, builtins.open, io.open, ctypes.CDLL = import_, open_, open_, NoLibrary
# What psutil needs of /proc it reads through its own functions: a machine without them answers otherwise.
for owner, names in (
    (os, ("sched_getaffinity", "sched_setaffinity", "pidfd_open", "posix_fallocate", "memfd_create")),
    (select, ("epoll",)),
    (signal, ("pidfd_send_signal",)),
    (psutil, ("sensors_temperatures", "sensors_fans", "RLIMIT_AS", "RLIMIT_NOFILE")),
    (psutil.Process, ("rlimit", "ionice", "cpu_affinity", "memory_maps", "io_counters")),
):
    for name in names:
        if hasattr(owner, name):
            delattr(owner, name)
def without_proc(*args, **kwargs):
    raise NotImplementedError("hidden")
psutil.cpu_percent = psutil.swap_memory = psutil.boot_time = without_proc
"""

IMPORTS = """
import importlib, pkgutil
import arbiter_tui, arbiter_providers
names = [m.name for p in (arbiter_tui, arbiter_providers) for m in pkgutil.walk_packages(p.__path__, p.__name__ + ".")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
assert "arbiter_tui.adapters.store" in names
print(len(names))
"""

LISTS = """
import asyncio, pathlib
from arbiter_tui.adapters.clock import SystemClock
from arbiter_tui.adapters.hardware import open_probe
from arbiter_tui.adapters.plugins import load_providers, provider_kinds
from arbiter_tui.adapters.store import SqliteStore

async def main():
    folder = pathlib.Path(sys.argv[1])
    store = await SqliteStore.open(folder, url="http://127.0.0.1:1", clock=SystemClock())
    try:
        await SqliteStore.open(folder, clock=SystemClock())
    except Exception as error:
        print(type(error).__name__)
    await store.save_mode("t", "off")
    assert (await store.load()).modes == {"t": "off"}
    await store.close()
    probe = open_probe()
    view = await probe.read()
    assert view.cpu.value is None and view.cpu.why, view.cpu
    assert view.swap_used_bytes.value is None and view.swap_used_bytes.why
    await probe.close()
    providers = load_providers()
    for provider in providers.values():
        await provider.available()
        print([v.version for v in await provider.discover()])
        await provider.close()
    print(provider_kinds())

asyncio.run(main())
"""

SCREEN = """
import asyncio
sys.path.insert(0, sys.argv[2])
import canned
from fake_cockpit import cockpit

async def main():
    app = cockpit(canned.HEALTHY)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert app.screen.size.width == 120
        text = app.export_screenshot()
        assert canned.GEMMA[:8] in text, "no model on the screen"

asyncio.run(main())
"""


def run(code: str, *arguments: Path) -> str:
    command = [sys.executable, "-c", HIDE + code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_imports() -> None:
    """No module of ours needs a Linux-only one to be imported."""
    assert int(run(IMPORTS)) > 40


def test_the_store_the_machine_and_the_providers_are_listed(tmp_path: Path) -> None:
    """The lock falls back, the readings become reasons, the providers say what they have."""
    said = run(LISTS, tmp_path / "state")
    assert said.startswith("StateLocked\n")
    assert "llama_server" in said


def test_the_screen_is_shown() -> None:
    """The cockpit draws its main screen from a snapshot."""
    pytest.importorskip("textual")
    run(SCREEN, HERE, HERE / "tui")
