"""One model, whole: what it is, where it comes from, what became of it, what it needs and gives, what it prints.

Owns: what is shown of it and in which order, and asking the engine for its past while it is open. Never: acting: a key
closes the sheet with the action's name, and the main screen carries it out on the same version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from textual.binding import Binding
from textual.css.query import NoMatches

from ...core.snapshot import ModelView, to_wire
from ...errors import ArbiterError
from .. import format as fmt
from ..keys import BY_ID
from ..source import Engine
from ..state import View, model_of
from ..text import Line, line, pad, paragraphs, width_of
from ..widgets.facts import LABEL, facts, replicas, results
from ..widgets.pool_table import GLYPHS
from ..widgets.swaps import RESULTS, TRIGGERS
from .log import log_lines
from .past import changes, memory_lines, plots, provenance, states, when
from .sheet import Entry, Sheet

BESIDE = 104  # inner cells from which on the past stands beside the present
LOG_LINES = 2_000
SHOWN_LOG = 8
AROUND = 5  # lines of the sheet itself, and the log's heading
FOLLOW_S = 20.0
AGAIN_S = 1.0
ACTIONS = ("warm", "unload", "swap", "log")


class ModelDetail(Sheet[str]):
    """Dismisses with the id of an action that is wanted, or None."""

    WHOLE = True
    FILTER, FILTER_WORD = True, "search"
    BINDINGS = [
        Binding("w", "act('warm')", "warm it up", show=False),
        Binding("u", "act('unload')", "unload it", show=False),
        Binding("s", "act('swap')", "let another or this one serve the task", show=False),
        Binding("l", "act('log')", "its log", show=False),
    ]

    def __init__(self, view: View, version: str, engine: Engine | None, why_not: Mapping[str, str | None]) -> None:
        super().__init__(view)
        self.version, self.engine, self.why_not = version, engine, why_not
        self.refused = ""  # what the last key was told
        self.about: Mapping[str, Any] = {}
        self.past: Mapping[str, Any] | None = None
        self.output: list[str] = []
        self.trouble = ""
        self._asked: object = None

    # asking ------------------------------------------------------------------------------------------------------
    def on_mount(self) -> None:
        self._ask_again()
        if self.engine is not None:
            self.run_worker(self._follow(self.engine), exit_on_error=False)

    def sync(self) -> None:
        self._ask_again()
        super().sync()

    def _ask_again(self) -> None:
        """The past is asked for when it has become longer, not every second."""
        model = model_of(self.view.snapshot, self.version)
        now = None if model is None else (model.requests, model.state, model.lifecycle, model.aliases, model.pinned)
        if self.engine is not None and now != self._asked and self.view.link == "live":
            self._asked = now
            self.run_worker(self._fetch(self.engine), exclusive=True, group="past", exit_on_error=False)

    async def _fetch(self, engine: Engine) -> None:
        first = self.past is None
        if not first:
            await asyncio.sleep(AGAIN_S)  # a burst of requests asks once
        try:
            self.about = await engine.model(self.version)
            past = await engine.model_history(self.version)
            plots(past, 0.0, 40), states(past, 0.0, 40), changes(past, 0.0, 40)  # what can't be drawn is refused here
            self.past, self.trouble = past, ""
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self.trouble = f"its past is told in a way that this cockpit can't read ({type(error).__name__})"
        except (ArbiterError, OSError, TimeoutError) as error:
            self.trouble = f"its past can't be read: {error}"
        self._redraw(first)

    async def _follow(self, engine: Engine) -> None:
        """The worker's newest lines, as they come."""
        mark: str | None = None
        while True:
            try:
                lines, mark = await engine.log_page(self.version, mark, FOLLOW_S if mark else None)
            except (ArbiterError, OSError, TimeoutError):
                await asyncio.sleep(FOLLOW_S / 4)
                continue
            if lines:
                self.output = [*self.output, *lines][-LOG_LINES:]
                self._redraw(True)
            else:
                await asyncio.sleep(AGAIN_S)

    def _redraw(self, grown: bool) -> None:
        try:
            self.fit() if grown else super().sync()
        except NoMatches:
            pass  # closed meanwhile

    # drawing -----------------------------------------------------------------------------------------------------
    def heading(self) -> Line:
        return line((self.version, "title"))

    def hint(self) -> Line:
        words = {"warm": "warm up", "unload": "unload", "swap": "swap", "log": "log"}
        offered = [a for a in ACTIONS if self.why_not.get(a) is None]
        keys = [part for a in offered for part in ((a[0], "key"), (f" {words[a]}  ", "unit"))]
        return line(
            (self.refused, "warn"), *keys, ("/", "key"), (" search  ", "unit"), ("esc", "key"), (" close", "unit")
        )

    def entries(self, width: int) -> Sequence[Entry]:
        model = model_of(self.view.snapshot, self.version)
        if model is None:
            return [Entry((line(("✕ the engine no longer knows it", "fail")),))]
        return [Entry((x,)) for x in self.lines(model, width)]

    def visible_entries(self, width: int) -> list[Entry]:
        """Lines that have every word of the search; they are read, none is chosen."""
        if not self.wanted:
            return list(self.entries(width))
        model = model_of(self.view.snapshot, self.version)
        found = [Entry((x,)) for x in self.one_column(model, width, LOG_LINES)] if model else []
        return [e for e in found if e.matches(self.wanted)] or [
            Entry((line((f"no line has “{self.wanted}”", "unit")),))
        ]

    def lines(self, model: ModelView, width: int) -> list[Line]:
        if width < BESIDE:
            return self.one_column(model, width)
        half = (width - 4) // 2
        left, right = self.present(model, half), self.became(model, width - half - 4)
        both = []
        for i in range(max(len(left), len(right))):
            a, b = left[i] if i < len(left) else (), right[i] if i < len(right) else ()
            both.append((*pad(a, half), *line("    "), *b))
        above = [head_line(model), line(), *both, line()]
        return [*above, *self.printed(width, self.app.size.height - AROUND - len(above))]

    def one_column(self, model: ModelView, width: int, newest: int = SHOWN_LOG) -> list[Line]:
        return [
            head_line(model), line(), *self.present(model, width), line(), *self.became(model, width), line(),
            *self.printed(width, newest),
        ]  # fmt: skip

    def present(self, model: ModelView, width: int) -> list[Line]:
        """What it is and what it needs."""
        lines = facts(self.view, model, width)
        if model.digest:
            lines.append(line((f"{'digest':<{LABEL}}", "unit"), (fmt.fit(model.digest, width - LABEL), "label")))
        if model.last_used_at:
            lines.append(line((f"{'last used':<{LABEL}}", "unit"), (fmt.moment(model.last_used_at), "label")))
        parts = [replicas(model, width), provenance(self.about, width), memory_lines(model, self.past or {}, width)]
        return _apart(lines, *parts, results(self.view, model, width))

    def became(self, model: ModelView, width: int) -> list[Line]:
        """What became of it: plots, steps, changes, swaps."""
        if self.past is None:
            said = self.trouble or ("asking the engine for its past …" if self.engine else "no engine is connected")
            told = paragraphs(said, width, "warn" if self.trouble else "unit")
            return _apart(told, swaps(self.view, model, width))
        now = self.view.snapshot.taken_at if self.view.snapshot else 0.0
        lines = plots(self.past, now, width)
        return _apart(
            lines, states(self.past, now, width), changes(self.past, now, width), swaps(self.view, model, width)
        )

    def printed(self, width: int, newest: int) -> list[Line]:
        """What its worker printed last, as it comes: what room there is, and a few lines in any case."""
        head = line(("its worker printed", "head"), ("  newest last; / searches, l has all of it", "unit"))
        if not self.output:
            return [line(("its worker printed", "head")), line(("  nothing yet", "unit"))]
        return [head, *(pad(x, width) for x in log_lines(self.output[-max(SHOWN_LOG, newest) :]))]

    def data(self) -> tuple[str, list[dict[str, Any]]]:
        model = model_of(self.view.snapshot, self.version)
        known = to_wire(model) if model is not None else {"version": self.version}
        return "model", [{**known, "about": dict(self.about), "past": dict(self.past or {}), "log": self.output}]

    # keys --------------------------------------------------------------------------------------------------------
    def action_act(self, action: str) -> None:
        reason = self.why_not.get(action)
        if reason is None:
            self.dismiss(action)
        else:
            self.refused = f"▲ {BY_ID[action].word}: {reason}  "
            self.sync()

    def chosen(self, key: str) -> None:
        self.dismiss(None)


def _apart(*parts: list[Line]) -> list[Line]:
    """The parts that there are, an empty line between them."""
    out: list[Line] = []
    for part in parts:
        if part:
            out += [line(), *part] if out else part
    return out


def head_line(model: ModelView) -> Line:
    glyph, token = GLYPHS.get(model.state, ("?", "unit"))
    rate = model.tokens_per_second
    speed = f"{fmt.rate(rate)} tokens/s" if rate is not None else "speed not measured"
    ttft = f"first token {fmt.seconds(model.ttft_s)}" if model.ttft_s is not None else ""
    said = "  ·  ".join(x for x in (model.lifecycle, speed, ttft) if x)
    return line((f"{glyph} {model.state}", token), ("  " + said, "label"))


def swaps(view: View, model: ModelView, width: int) -> list[Line]:
    """The swaps that brought it and took it away, newest first."""
    snapshot = view.snapshot
    found = [s for s in snapshot.swaps if model.version in (s.from_, s.to)] if snapshot else []
    lines = [line(("swaps in and out", "head"))] if found else []
    for s in found:
        glyph, token = RESULTS.get(s.result, ("?", "unit"))
        came = s.to == model.version
        other = (s.from_ or "nothing") if came else s.to
        way = ("in for" if came else "out for") if s.result != "failed" else ("not in for" if came else "stayed, not")
        head = line(
            (f"  {when(s.started_at, snapshot.taken_at if snapshot else 0.0):>12}  ", "unit"),
            (f"{glyph} ", token),
            (f"{fmt.fit(s.task, 12)} ", "figure"),
            (f"{TRIGGERS.get(s.trigger, s.trigger):<8}", "unit"),
        )
        text, room = f"{way} {other}", width - width_of(head)
        if width_of(line(text)) <= room:
            lines.append((*head, *line((text, "label"))))
        else:  # a name that is cut names nothing
            lines += [head, line((" " * 18, "unit"), (fmt.shorten(text, max(8, width - 18)), "label"))]
    return lines
