"""What the first keys will need, imported while nobody waits for it. Owns: which modules, and when; how seldom the
garbage collector may come.

Never: before the first picture; two at once. A dialog's first opening took up to twice as long as its second one.
"""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable, Iterator, Sequence

SELDOM = (5_000, 10, 10)  # one picture makes thousands of objects and hardly a cycle
BEGIN_S, BETWEEN_S = 0.8, 0.1
LIKELY: Sequence[str] = (
    "actions", "screens.swap_dialog", "screens.model_detail", "screens.help", "screens.task_picker",
    "screens.explained",
)  # fmt: skip


def collect_seldom() -> None:
    """What was imported stays: the collector need not go through it while a key is being answered."""
    gc.freeze()
    gc.set_threshold(*SELDOM)


def read_ahead(later: Callable[[float, Callable[[], None]], object]) -> None:
    """``later(seconds, what)`` calls back on the application's loop."""
    modules = iter(LIKELY)
    later(BEGIN_S, lambda: _next(modules, later))


def _next(modules: Iterator[str], later: Callable[[float, Callable[[], None]], object]) -> None:
    name = next(modules, None)
    if name is not None:
        importlib.import_module(f"arbiter_tui.tui.{name}")
        later(BETWEEN_S, lambda: _next(modules, later))
    else:
        gc.collect()
        gc.freeze()  # all that now is stays: going through it took 20 ms, each few seconds
