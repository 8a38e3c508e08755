"""The record behind a decision. Owns: a dict as readable lines. Never: deciding which record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from textual.binding import Binding

from .. import format as fmt
from ..rules import told
from ..state import View
from ..text import Line, line, paragraphs
from .sheet import Entry, Sheet

HIDDEN = frozenset({"id", "scores"})
Body = Sequence[Line] | Callable[[int], Sequence[Line]]  # lines, or what makes them for a width


class Reading(Sheet[str]):
    """Text to read and to search: a title and lines; the newest lines of a log stand at its end. A ``body`` that is
    asked for a width is laid out anew for every size of the terminal: nothing of it is cut.

    ``offer``: the word of what ``r`` does from here; the sheet then dismisses with "offer".
    """

    WIDE = 100
    FILTER = True
    FILTER_WORD = "search"
    BINDINGS = [Binding("r", "offer", "what the lower edge offers", show=False)]

    def __init__(self, view: View, title: str, body: Body, *, from_end: bool = False, offer: str | None = None) -> None:
        super().__init__(view)
        self.title_, self.offer = title, offer
        self._body_of: Callable[[int], Sequence[Line]] = lambda width: ()
        self._entries: tuple[int, list[Entry]] | None = None
        self._take(body)
        self._start = self._offset = 1_000_000 if from_end else 0

    def heading(self) -> Line:
        return line((self.title_, "title"))

    def hint(self) -> Line:
        offered = (("r", "key"), (f" {self.offer}  ", "unit")) if self.offer else ()
        scroll = (("j k", "key"), (" scroll  ", "unit"), ("/", "key"), (f" {self.FILTER_WORD}  ", "unit"))
        return line(*offered, *scroll, ("esc", "key"), (" close", "unit"))

    def _take(self, body: Body) -> None:
        fixed = None if callable(body) else list(body)
        self._body_of = body if callable(body) else lambda width: fixed or ()
        self._entries = None

    def entries(self, width: int) -> Sequence[Entry]:
        if self._entries is None or self._entries[0] != width:
            found = [Entry((b,)) for b in self._body_of(width)]
            self._entries = width, found or [Entry((line(("nothing is recorded", "unit")),))]
        return self._entries[1]

    def visible_entries(self, width: int) -> list[Entry]:
        """Lines that have every word of the search; all of them stay readable, none is chosen."""
        found = [e for e in self.entries(width) if e.matches(self.wanted)]
        return found or [Entry((line((f"no line has “{self.wanted}”", "unit")),))]

    def action_close(self) -> None:
        """A search that ends leads back to where reading began."""
        if self.typing or self.wanted:
            self._offset = self._start
        super().action_close()

    def show(self, body: Body) -> None:
        """More has become known of the same."""
        self._take(body)
        self.fit()

    def action_offer(self) -> None:
        if self.offer:
            self.dismiss("offer")

    def chosen(self, key: str) -> None:
        self.dismiss(None)


def record(data: Mapping[str, Any], width: int, depth: int = 0) -> list[Line]:
    """Any record: names left, values right; lists of reasons a line each."""
    lines: list[Line] = []
    indent = "  " * depth
    for name, value in data.items():
        if name in HIDDEN or value in (None, "", [], (), {}):
            continue
        unit = next((u for u in ("_bytes", "_s") if str(name).endswith(u) and isinstance(value, (int, float))), "")
        label = f"{indent}{str(name).removesuffix(unit).replace('_', ' ')}"
        if isinstance(value, Mapping):
            lines += [line((label, "head")), *record(value, width, depth + 1)]
        elif isinstance(value, (list, tuple)):
            lines.append(line((label, "head")))
            for item in value:
                lines += (
                    reason(item, width, indent) if isinstance(item, Mapping) else paragraphs(f"{indent}· {item}", width)
                )
        else:
            lines += pair(label, written(str(name), value), width)
    return lines


def written(name: str, value: Any) -> str:
    """A value by the name that carries its unit."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        if name in ("at", "started_at", "taken_at", "created_at"):
            return fmt.moment(float(value))
        if name.endswith("_bytes"):
            return fmt.size(value)
        if name.endswith("_s"):
            return fmt.seconds(value)
        return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return str(value)


def pair(name: str, value: str, width: int) -> list[Line]:
    first, *rest = fmt.wrap(value, max(10, width - 18))
    return [
        line((f"{fmt.fit(name, 16):<18}", "unit"), (first, "label")),
        *(line((" " * 18), (r, "label")) for r in rest),
    ]


def reason(item: Mapping[str, Any], width: int, indent: str) -> list[Line]:
    """The rule in words with its value and limit, then what would change it; nothing of it is cut."""
    if "rule" not in item:
        return paragraphs(
            indent + "· " + ", ".join(f"{k} {written(k, v)}" for k, v in item.items() if v is not None), width
        )
    said = told(str(item["rule"]), item.get("value"), item.get("threshold"))
    room = max(10, width - len(indent) - 2)
    first, *rest = fmt.wrap(said, room)
    head = [line((f"{indent}· ", "unit"), (first, "figure")), *(line((f"{indent}  {x}", "figure")) for x in rest)]
    change = item.get("would_change_if")
    more = fmt.wrap(f"would change if {change}", room) if change else []
    return [*head, *(line((f"{indent}  {text}", "unit")) for text in more)]
