"""What the text of an argument means: scores, shares, numbers, moments, spans of time.

Owns: the way from a text to a value, and the sentence that says what would be right. Never: an option.
"""

from __future__ import annotations

import argparse

ARCHIVED = (  # core/archive.py has them; a test holds the two together
    "models", "tasks", "profiles", "traffic", "aliases", "outcomes", "statistics", "history",
)  # fmt: skip


def score(text: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = -1.0
    if not 0.0 <= score <= 1.0:  # not a number compares false, too
        raise argparse.ArgumentTypeError(f"a score is a number from 0 (useless) to 1 (perfect), not {text!r}")
    return score


def share(text: str) -> float:
    try:
        return score(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"a share is a number from 0 to 1, not {text!r}") from None


def moment(text: str) -> float:
    """Unix seconds."""
    from datetime import datetime

    from .core import moments as known

    try:
        return known.moment(text, datetime.now().astimezone()).timestamp()
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def positive(text: str) -> int:
    return int(above_zero(text, whole=True))


def whole(text: str) -> int:
    if text.strip() == "0":
        return 0
    return positive(text)


def words(text: str) -> list[str]:
    found = [word.strip() for word in text.split(",") if word.strip()]
    if not found or any(word not in ARCHIVED for word in found):
        raise argparse.ArgumentTypeError(f"some of {', '.join(ARCHIVED)} are needed, with commas, not {text!r}")
    return found


def moments(text: str) -> tuple[int, ...]:
    return tuple(sorted({whole(part.strip()) for part in text.split(",")}))


def above_zero(text: str, *, whole: bool = False) -> float:
    try:
        value = float(int(text)) if whole else float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"a {'whole ' if whole else ''}number above 0 is needed, not {text!r}")
    return value


def above_one(text: str) -> float:
    value = above_zero(text)
    if value < 1.01:
        raise argparse.ArgumentTypeError(f"a number from 1.01 on is needed, not {text!r}")
    return value


def span(text: str) -> float:
    """Seconds."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        seconds = -1.0
    if not 0.0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"a span of time is a number with s, m, h or d, as in 12h, not {text!r}")
    return seconds
