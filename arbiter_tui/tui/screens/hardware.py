"""The whole machine: ten minutes of it as curves, every reading, and why one is missing.

Owns: asking for the past while it is open, the curves' places, what enter says. Never: reading a sensor (the engine
does), the rows (widgets/readings.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from textual.css.query import NoMatches

from ...errors import ArbiterError
from .. import format as fmt
from .. import plot
from ..source import Engine
from ..state import View
from ..text import Line, line, pad, paragraphs
from ..widgets.readings import Row, rows
from .sheet import Entry, Sheet

EVERY_S = 2.0
ROWS = 4
NARROW = 46  # cells that a curve needs
KEPT = 600
FEW = 2  # so many GPUs have a curve of their memory and their power as well


class Past:
    """The machine's readings as far as this cockpit knows them: at most ten minutes."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.curves: dict[str, list[float | None]] = {}

    def add(self, answer: Mapping[str, Any]) -> None:
        """Append what is newer. Raises TypeError, ValueError, KeyError on nonsense, and then adds nothing."""
        at = [float(x) for x in answer["at"]]
        got = {
            str(k): [None if x is None else float(x) for x in v]
            for k, v in answer["curves"].items()
            if len(v) == len(at)
        }
        for name in {*self.curves, *got}:
            before = self.curves.get(name, [None] * len(self.at))
            self.curves[name] = [*before, *got.get(name, [None] * len(at))][-KEPT:]
        self.at = [*self.at, *at][-KEPT:]


class Hardware(Sheet[None]):
    WHOLE = True

    def __init__(self, view: View, engine: Engine | None) -> None:
        super().__init__(view)
        self.engine, self.past = engine, Past()
        self.spent: Sequence[Mapping[str, Any]] = ()
        self.trouble = ""
        self.reason: Row | None = None  # the row whose reason is open

    def on_mount(self) -> None:
        if self.engine is not None:
            self.run_worker(self._follow(self.engine), exit_on_error=False)

    async def _follow(self, engine: Engine) -> None:
        while True:
            try:
                answer = await engine.machine(self.past.at[-1] if self.past.at else None)
                self.past.add(answer)
                self.spent, self.trouble = [dict(s) for s in answer.get("spent", ())], ""
            except (ArbiterError, OSError, TimeoutError) as error:
                self.trouble = f"the past can't be read: {error}"
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                self.trouble = f"the past is told in a way that this cockpit can't read ({type(error).__name__})"
            try:
                self.fit()
            except NoMatches:
                return  # closed meanwhile
            await asyncio.sleep(EVERY_S)

    # drawing -----------------------------------------------------------------------------------------------------
    def heading(self) -> Line:
        return line(("machine", "title"))

    def hint(self) -> Line:
        return line(
            ("⏎", "key"), (" why  ", "unit"), ("j k", "key"), (" move  ", "unit"), ("esc", "key"), (" close", "unit")
        )

    def entries(self, width: int) -> Sequence[Entry]:
        if self.view.snapshot is None:
            return [Entry((line(("nothing is known yet", "unit")),))]
        out = [Entry((x,)) for x in self.curves(width)]
        for row in rows(self.view.snapshot, self.spent, width):
            opened = self.reason is not None and self.reason.key == row.key and bool(row.key)
            lines = (*row.lines, *(told(row, width) if opened else ()))
            out.append(Entry(lines, row.key or None))
        return out

    def curves(self, width: int) -> list[Line]:
        """Ten minutes, as many curves beside each other as have room."""
        panels = self._panels()
        known = [p for p in panels if any(v is not None for v in p[1])]
        minutes = (self.past.at[-1] - self.past.at[0]) / 60 if len(self.past.at) > 1 else 0.0
        said = self.trouble or (f"the last {minutes:.0f} minutes" if minutes >= 1 else "the last minute")
        lines = [line((said, "warn" if self.trouble else "head"))]
        if not known:
            return lines if self.trouble else [line(("no reading is kept yet", "unit"))]
        beside = max(1, min(3, (width + 3) // (NARROW + 3), len(known)))
        each = (width - 3 * (beside - 1)) // beside
        for start in range(0, len(known), beside):
            drawn = [plot.panel(t, v, each, ROWS, w, span=s) for t, v, w, s in known[start : start + beside]]
            for parts in zip(*drawn, strict=True):
                joined: list[Any] = []
                for i, part in enumerate(parts):
                    joined += [*(line("   ") if i else ()), *pad(part, each)]
                lines.append(tuple(joined))
            lines.append(())
        return lines[:-1]

    def _panels(self) -> list[tuple[str, list[float | None], Callable[[float | None], str], plot.Range | None]]:
        whole = plot.Range(0.0, 1.0)
        names = [("cpu", "processor"), ("ram", "memory"), ("pool", "models' budget")]
        snapshot = self.view.snapshot
        gpus = snapshot.hardware.gpus if snapshot else ()
        for gpu in gpus:
            n = f"gpu{gpu.index}"
            names += [(n, n), (f"{n}_memory", f"{n} memory")] if len(gpus) <= FEW else [(n, n)]
        out: list[tuple[str, list[float | None], Callable[[float | None], str], plot.Range | None]] = [
            (title, self.past.curves.get(name, []), fmt.percent, whole) for name, title in names
        ]
        power = [("cpu_power_w", "processor power")]
        power += [(f"gpu{g.index}_power_w", f"gpu{g.index} power") for g in gpus if len(gpus) <= FEW]
        return out + [(title, self.past.curves.get(name, []), watts, None) for name, title in power]

    def data(self) -> tuple[str, list[dict[str, Any]]]:
        from ..export import machine

        snapshot = self.view.snapshot
        readings = machine(snapshot, self.cockpit) if snapshot is not None else {}
        curves = [{"reading": f"past.{k}", "value": v, "at": self.past.at} for k, v in self.past.curves.items()]
        return "machine", [*({"reading": k, **v} for k, v in readings.items()), *curves]

    # keys --------------------------------------------------------------------------------------------------------
    def chosen(self, key: str) -> None:
        """Opens why a reading is as it is, or closes that again."""
        snapshot = self.view.snapshot
        found = rows(snapshot, self.spent, 60) if snapshot else []
        row = next((r for r in found if r.key == key), None)
        self.reason = None if self.reason is not None and self.reason.key == key else row
        self.fit()


def watts(value: float | None) -> str:
    return fmt.DASH if value is None else f"{value:.0f} W"


def told(row: Row, width: int) -> list[Line]:
    """What enter says: the figure in full, or why there is none and how to get it."""
    lines: list[Line] = []
    if row.why is not None:
        lines += paragraphs(f"▲ {row.why}.".replace("..", "."), width - 4, "warn")
        lines += paragraphs(f"→ {row.how}", width - 4, "label") if row.how else []
    else:
        lines += paragraphs(row.said or "nothing more is known", width - 4, "label")
    return [line("    ", *x) for x in lines]
