"""Colours as numbers: contrast, mixing, and making text legible. Pure. Never: which theme uses them (theme.py).

Contrast is that of WCAG 2.2 (relative luminance of sRGB); 4.5:1 is its least for text.
"""

from __future__ import annotations

from collections.abc import Sequence

LEAST = 4.5
Rgb = tuple[int, int, int]


def parse(colour: str) -> Rgb:
    """``#rrggbb``. Raises ValueError for anything else."""
    if len(colour) != 7 or colour[0] != "#":
        raise ValueError(colour)
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def luminance(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in parse(colour))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """1 (the same) to 21 (black on white)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def mix(one: str, other: str, share: float) -> str:
    """``one`` with ``share`` of ``other`` in it."""
    a, b = parse(one), parse(other)
    return "#" + "".join(f"{round(x + (y - x) * share):02x}" for x, y in zip(a, b, strict=True))


def legible(colour: str, backgrounds: Sequence[str], least: float = LEAST) -> str:
    """The colour, moved towards white or black no further than it takes to be read on each of the backgrounds."""
    light = max(luminance(b) for b in backgrounds) < 0.18
    for step in range(41):
        found = mix(colour, "#ffffff" if light else "#000000", step / 40)
        if all(contrast(found, b) >= least for b in backgrounds):
            return found
    return "#ffffff" if light else "#000000"
