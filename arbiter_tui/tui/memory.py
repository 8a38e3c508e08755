"""What the cockpit remembers from one sitting to the next: order and columns of the tables, regions, task.

Owns: one small JSON file. Never: anything that the engine knows. A file that can't be read or written is no trouble:
the cockpit then starts as it does the first time.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Choices:
    sorts: dict[str, str] = field(default_factory=dict)  # region -> column
    region: int = 1
    left_out: dict[str, list[str]] = field(default_factory=dict)  # region -> columns that are not wanted
    hidden: list[int] = field(default_factory=list)  # regions by their digit
    task: str | None = None
    theme: str | None = None  # chosen in the palette
    theme_over: str | None = None  # and what the configuration said then: once it says something else, that holds
    toured: bool = False  # whether the first sitting's tour was shown


def load(path: Path) -> Choices:
    """What was remembered; of a damaged or foreign file only what is what it should be."""
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Choices()
    if not isinstance(found, dict):
        return Choices()
    choices = Choices()
    if isinstance(found.get("sorts"), dict):
        choices.sorts = {str(k): str(v) for k, v in found["sorts"].items()}
    if type(found.get("region")) is int and 1 <= found["region"] <= 5:
        choices.region = found["region"]
    if isinstance(found.get("left_out"), dict):
        choices.left_out = {str(k): [str(c) for c in v] for k, v in found["left_out"].items() if isinstance(v, list)}
    if isinstance(found.get("hidden"), list):
        choices.hidden = [d for d in found["hidden"] if type(d) is int]
    if isinstance(found.get("task"), str):
        choices.task = found["task"]
    if isinstance(found.get("theme"), str):
        choices.theme = found["theme"]
        choices.theme_over = found["theme_over"] if isinstance(found.get("theme_over"), str) else None
    choices.toured = found.get("toured") is True
    return choices


def save(path: Path, choices: Choices) -> None:
    """Whole or not at all: written beside and moved."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps({f.name: asdict(choices)[f.name] for f in fields(choices)}), encoding="utf-8")
        beside.replace(path)
