"""What can be pressed in a sheet, read off its real bindings. Owns: their words and order. Never: a key's effect."""

from __future__ import annotations

from textual.binding import Binding

from ..keys import SIGNS
from ..text import Line, line
from .sheet import R, Sheet

TITLE = "keys here"
NAMED = 16  # cells of the keys
SHORT = {"escape": "esc", "pagedown": "pgdn", "pageup": "pgup", "down": "↓", "up": "↑", "left": "←", "right": "→"}


def keys_of(sheet: Sheet[R]) -> list[Line]:
    """A line for each thing that can be done, what is this sheet's own first."""
    common = {b.action for b in _of(Sheet)}
    found: dict[str, tuple[list[str], str]] = {}
    for key, bindings in sheet._bindings.key_to_bindings.items():
        for b in bindings:
            if b.description and not (b.action == "filter" and not sheet.FILTER):
                found.setdefault(b.action, ([], b.description))[0].append(key)
    order = sorted(found, key=lambda action: action in common)
    return [
        line((f"{' '.join(_named(k) for k in found[a][0]):<{NAMED}} ", "key"), (found[a][1], "label")) for a in order
    ]


def _of(kind: type[Sheet[R]]) -> list[Binding]:
    return [b for b in kind.BINDINGS if isinstance(b, Binding)]


def _named(key: str) -> str:
    return SHORT.get(key) or SIGNS.get(key) or key.replace("ctrl+", "^").replace("shift+tab", "⇧tab")
