"""What is imported before it is needed: every module exists, in order, one at a time, and then nothing more."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from arbiter_tui.tui.ahead import LIKELY, read_ahead


def test_each_likely_module_is_imported_once_and_in_turn() -> None:
    """Each call asks for one later call until all are there."""
    waiting: list[Callable[[], None]] = []
    read_ahead(lambda seconds, what: waiting.append(what))
    turns = 0
    while waiting:
        turns += 1
        assert len(waiting) == 1
        waiting.pop()()
    assert turns == len(LIKELY) + 1
    assert all(f"arbiter_tui.tui.{name}" in sys.modules for name in LIKELY)


def test_the_way_to_the_first_picture_imports_neither_mathematics_nor_http() -> None:
    """The decision's parts are the engine's, HTTP comes with the wire: neither is read before the first paint."""
    asked = (
        "import sys, arbiter_tui.commands.serving, arbiter_tui.config, arbiter_tui.tui.app, arbiter_tui.commands.demo;"
        "from arbiter_tui.commands.demo_cast import plan; plan(1); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    heavy = {f"arbiter_tui.core.{name}" for name in ("policies", "belief", "scoring", "selection", "stats", "drift")}
    assert not (heavy | {"aiohttp", "httpx", "numpy", "xllamacpp"}) & set(done.stdout.split())
