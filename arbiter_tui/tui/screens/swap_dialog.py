"""Choosing who serves a task. Owns: the list of candidates and what each would gain, need and evict. Never: swapping.

What a swap would do comes from the engine's dry run, asked for once for each candidate that the cursor rests on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.snapshot import ModelView, RowView
from ...errors import ArbiterError
from .. import format as fmt
from ..foresight import Preview, Rival, told
from ..names import distinct
from ..state import View, model_of, quality_of, row_of, task_of
from ..text import Line, line, pad, paragraphs
from .sheet import Entry, Sheet


@dataclass(frozen=True, slots=True)
class SwapChoice:
    to: str
    preview: Preview | None


class SwapDialog(Sheet[SwapChoice]):
    WIDE = 104
    HEIGHT_BELOW = 7

    def __init__(self, view: View, task: str, ask: Callable[[str], Awaitable[Any]], *, trial: bool = False) -> None:
        """``trial``: chosen is not who serves, but who is tried."""
        super().__init__(view)
        self.work, self.ask, self.trial = task, ask, trial
        self.previews: dict[str, Preview | None] = {}
        incumbent = self._incumbent()
        self.cursor = next((m.version for m in self.candidates() if m.version != incumbent), None)

    def _incumbent(self) -> str | None:
        task = task_of(self.view.snapshot, self.work)
        return task.incumbent if task else None

    def _row(self, version: str | None) -> RowView | None:
        return row_of(task_of(self.view.snapshot, self.work), version)

    def candidates(self) -> list[ModelView]:
        """Active versions, best rank first, unranked ones last."""
        if self.view.snapshot is None:
            return []

        def key(m: ModelView) -> tuple[int, str]:
            row = self._row(m.version)
            return (row.rank or 9999 if row else 9999, m.version)

        return sorted((m for m in self.view.snapshot.models if m.lifecycle == "active"), key=key)

    def heading(self) -> Line:
        return line(("try whom on " if self.trial else "who serves ", "title"), (self.work, "accent"))

    def hint(self) -> Line:
        how = " on trial, after a question  " if self.trial else " now, on trial or later  "
        return line(("⏎", "key"), (how, "unit"), ("esc", "key"), (" cancel", "unit"))

    def on_mount(self) -> None:
        self.moved()

    def entries(self, width: int) -> Sequence[Entry]:
        name = max(12, min(40, width - 46))
        head = line((f"{'#':>3}  {'model':<{name + 2}}{'util':>6}{'gain':>7}{'qual':>6}{'mem':>8}  state", "unit"))
        out = [Entry((head,))] + [self._candidate(m, name) for m in self.candidates()]
        if len(out) == 1:
            out.append(Entry((line(("no active model; arbiter activate VERSION makes one", "unit")),)))
        says = self._says(width)
        return [
            *out,
            Entry(((),)),
            *(Entry((x,)) for x in [*says, *[()] * (self.HEIGHT_BELOW - len(says))][: self.HEIGHT_BELOW]),
        ]

    def _candidate(self, model: ModelView, name: int) -> Entry:
        row, serving = self._row(model.version), self._row(self._incumbent())
        known = row and serving and row.utility is not None and serving.utility is not None
        gain = (row.utility or 0.0) - (serving.utility or 0.0) if row and serving and known else None
        here = model.version == self._incumbent()
        shown = "serves" if here else fmt.DASH if gain is None else f"{gain:+.2f}".replace("0.", ".")
        memory = (
            fmt.size(model.resident_bytes)
            if model.resident_bytes is not None
            else ("~" if model.predicted_bytes else "") + fmt.size(model.predicted_bytes)
        )
        models = self.view.snapshot.models if self.view.snapshot else ()
        label = distinct(model.version, name, [m.version for m in models])
        text = line(
            (f"{(row.rank if row else 0) or fmt.DASH:>3}  ", "unit"),
            ("◆ " if here else "  ", "serve"),
            *pad(label, name),
            (f"{fmt.score(row.utility if row else None):>6}", "figure"),
            (f"{shown:>7}", "serve" if here or (gain or 0) > 0 else "unit"),
            (f"{quality_of(row):>6}", "label"),
            (f"{memory:>8}", "label"),
            (f"  {model.state}", "label" if model.state == "ready" else "unit"),
        )
        return Entry((text,), model.version)

    def _says(self, width: int) -> list[Line]:
        """What choosing the entry under the cursor would do."""
        version = self.cursor
        if version is None:
            return []
        if version == self._incumbent():
            return paragraphs("It serves this task already: nothing would change.", width, "unit")
        preview = self.previews.get(version)
        if preview is None:
            return [line(("asking the engine what this swap would do …", "unit"))]
        model = model_of(self.view.snapshot, version)
        warm = model is not None and model.state == "ready"
        return told(preview, Rival(self._row(version), self._row(self._incumbent()), warm), width)

    def moved(self) -> None:
        version = self.cursor
        if version is None or version in self.previews or version == self._incumbent():
            return
        self.previews[version] = None
        self.run_worker(self._preview(version), exit_on_error=False)

    async def _preview(self, version: str) -> None:
        try:
            self.previews[version] = Preview.of(await self.ask(version))
        except ArbiterError as error:
            self.previews[version] = Preview(refusal=str(error))
        self.sync()

    def chosen(self, key: str) -> None:
        preview = self.previews.get(key)
        if key == self._incumbent() or (preview is not None and preview.refusal):
            return  # the lines below the list say why
        self.dismiss(SwapChoice(key, preview))
