"""What a model's worker printed. Owns: the look of its lines."""

from __future__ import annotations

from collections.abc import Sequence

from ..text import Line, line

LOUD = ("error", "fatal", "traceback", "abort", "failed")


def log_lines(text: Sequence[str]) -> list[Line]:
    """Control characters removed: a worker must not draw on this screen."""
    lines = []
    for raw in text:
        clean = "".join(c if c.isprintable() else " " for c in raw.rstrip("\n").replace("\t", "  "))
        bad = any(word in clean.lower() for word in LOUD)
        lines.append(line(("▲ " if bad else "  ", "warn"), (clean, "warn" if bad else "label")))
    return lines
