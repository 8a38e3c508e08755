"""What may reach the terminal: no control sequence of a model's, and for a terminal without Unicode only ASCII.

Owns: the last step from text to cells. Never: layout; what is replaced keeps its width.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rich.cells import cell_len

Part = tuple[str, str]  # a text and its token
FILLS = re.compile(" {2,}|─{2,}")
# C0, DEL, C1, and what turns the reading direction of everything behind it.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_ASCII = str.maketrans({
    **dict.fromkeys("┌┐└┘├┤┬┴┼", "+"), **dict.fromkeys("─━╌┄", "-"), **dict.fromkeys("│┃▏", "|"),
    **dict.fromkeys("▸›→▶", ">"), **dict.fromkeys("←◀", "<"), "◆": "*", **dict.fromkeys("●⊙", "@"),
    **dict.fromkeys("◇○◌", "o"),
    **dict.fromkeys("◐◓◑◒", "~"), **dict.fromkeys("▲▴↑△", "^"), **dict.fromkeys("▼▾↓", "v"), "✕": "x", "✓": "+",
    "⌂": "#", "▰": "#", "▱": ".", **dict.fromkeys("▎▍▌▋▊▉█▆▇▅", "#"), **dict.fromkeys("▁▂▃▄", "."), "·": ".",
    "…": "~", **dict.fromkeys("–—", "-"), "⏎": "<", "↩": "<", "×": "x", "°": "o", "±": "~", "‖": "|", "≤": "<",
    "≥": ">", **dict.fromkeys("“”", '"'), **dict.fromkeys("‘’", "'"), "␣": "_", "•": ".", "\xa0": " ",
})  # fmt: skip


SPELT = {"⏎": "Enter", "←": "<-", "⌫": "Backspace"}  # keys that one sign of ASCII can't tell from each other


def spelt(spans: Sequence[Part]) -> list[Part]:
    """Of a laid-out line: these keys in letters. The cells come from the gap behind the key, else from the longest gap
    or rule of the line; where there is no room, the key is one sign as every other."""
    if not any(sign in text for text, _ in spans for sign in SPELT):
        return list(spans)
    parts = [(text, token) for text, token in spans]
    for sign, word in SPELT.items():
        while (at := next((i for i, (text, _) in enumerate(parts) if sign in text), None)) is not None:
            text, token = parts[at]
            before, behind = text.split(sign, 1)
            need = len(word) - 1
            if behind.startswith(" " * (need + 1)):  # a column of keys: what stands behind it stays in its place
                parts[at] = (before + word + behind[need:], token)
                continue
            shorter = _taken(parts, need)
            text = before + (_ASCII.get(ord(sign), "?") if shorter is None else word) + behind
            parts[at] = (text, token)
            parts = parts if shorter is None else _taken(parts, need) or parts
    return [part for part in parts if part[0]]


def worded(text: str) -> str:
    """A sentence before it is laid out."""
    for sign, word in SPELT.items():
        text = text.replace(sign, word)
    return text


def _taken(parts: Sequence[Part], cells: int) -> list[Part] | None:
    """``cells`` fewer of the longest run that only fills; None where none is so long."""
    runs = [(m.end() - m.start(), i, m.start()) for i, (t, _) in enumerate(parts) for m in FILLS.finditer(t)]
    longest, i, start = max(runs, default=(0, 0, 0))
    if longest <= cells:
        return None
    text, token = parts[i]
    return [*parts[:i], (text[:start] + text[start + cells :], token), *parts[i + 1 :]]


def safe(text: str, *, ascii: bool = False) -> str:
    """The text without what would steer the terminal; with ``ascii`` each other sign replaced by one as wide."""
    if UNSAFE.search(text):
        text = UNSAFE.sub("", text)  # these take no cell: what is around them stays in its column
    if not ascii or text.isascii():
        return text
    known = text.translate(_ASCII)
    return known if known.isascii() else "".join(c if c.isascii() else _unknown(c) for c in known)


def _unknown(char: str) -> str:
    if "\u2800" <= char <= "\u28ff":  # braille, of curves
        return " " if char == "\u2800" else ":"
    return "?" * cell_len(char)


def only_ascii(environ: Mapping[str, str]) -> bool:
    """Whether the locale says that the terminal knows no Unicode. A locale that says nothing is trusted to know it.

    Python itself turns ``LC_CTYPE`` to C.UTF-8 where ``LANG`` is C: that one is not the user's word.
    """
    ctype = environ.get("LC_CTYPE", "")
    if ctype == "C.UTF-8" and environ.get("LANG") in ("C", "POSIX"):
        ctype = ""
    said = environ.get("LC_ALL") or ctype or environ.get("LANG") or "utf-8"
    return "utf" not in said.lower()
