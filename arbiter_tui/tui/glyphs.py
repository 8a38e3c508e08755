"""What may reach the terminal: no control sequence of a model's, and for a terminal without Unicode only ASCII.

Owns: the last step from text to cells. Never: layout; what is replaced keeps its width.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from rich.cells import cell_len

# C0, DEL, C1, and what turns the reading direction of everything behind it.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_ASCII = str.maketrans({
    **dict.fromkeys("┌┐└┘├┤┬┴┼", "+"), **dict.fromkeys("─━╌┄", "-"), **dict.fromkeys("│┃▏", "|"),
    **dict.fromkeys("▸›→▶", ">"), **dict.fromkeys("←◀", "<"), "◆": "*", **dict.fromkeys("●⊙", "@"),
    **dict.fromkeys("◇○◌", "o"),
    **dict.fromkeys("◐◓◑◒", "~"), **dict.fromkeys("▲▴↑△", "^"), **dict.fromkeys("▼▾↓", "v"), "✕": "x", "✓": "+",
    "⌂": "#", "▰": "#", "▱": ".", **dict.fromkeys("▎▍▌▋▊▉█▆▇▅", "#"), **dict.fromkeys("▁▂▃▄", "."), "·": ".",
    "…": "~", **dict.fromkeys("–—", "-"), "⏎": "<", "↩": "<", "×": "x", "°": "o", "±": "~", "‖": "|", "≤": "<",
    "≥": ">", **dict.fromkeys("“”", '"'), **dict.fromkeys("‘’", "'"), "␣": "_", "\xa0": " ",
})  # fmt: skip


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
