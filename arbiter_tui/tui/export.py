"""``x``: the screen as a picture and the data behind it, as three files with one name.

Owns: which data stand behind which view, and the files' form. Never: the drawing of the picture (Textual's).

``arbiter-DATE-TIME.svg`` the screen · ``.json`` the items whole, with where and when · ``.csv`` a row each
"""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.snapshot import Snapshot, to_wire
from .glyphs import safe
from .screens.sheet import Sheet
from .state import Notice

if TYPE_CHECKING:
    from .app import CockpitApp

FORMULA = ("=", "+", "-", "@")  # a spreadsheet would carry such a cell out


def export(app: CockpitApp, folder: Path) -> Path:
    """Writes the three files; the path without its suffix. Raises OSError."""
    name, items = behind(app)
    view = app.view
    found = {
        "view": name, "engine": view.address or view.where, "task": view.task,
        "taken_at": view.snapshot.taken_at if view.snapshot else None, "items": items,
    }  # fmt: skip
    base = _free(folder, time.strftime("arbiter-%Y%m%d-%H%M%S"))
    Path(f"{base}.svg").write_text(app.export_screenshot(title=f"arbiter {name}"), encoding="utf-8")
    Path(f"{base}.json").write_text(json.dumps(found, ensure_ascii=False, indent=2, default=str), encoding="utf-8")
    Path(f"{base}.csv").write_text(table(items), encoding="utf-8")
    return base


def written(app: CockpitApp) -> Notice:
    """Writes them where it may, and says where that was."""
    try:
        base = export(app, place())
    except OSError as error:
        return Notice(f"✕ nothing was written: {error.strerror or error} ({place()})", "fail")
    return Notice(f"✓ written: {base}.svg, and the data as .csv and .json", "ok")


def place() -> Path:
    """The working folder, else the home: wherever a file may be written."""
    here = Path.cwd()
    return here if os.access(here, os.W_OK) else Path.home()


def _free(folder: Path, name: str) -> Path:
    """A name that none of the three files has yet."""
    for n in range(1, 1000):
        base = folder / (name if n == 1 else f"{name}-{n}")
        if not any(Path(f"{base}{suffix}").exists() for suffix in (".svg", ".json", ".csv")):
            return base
    raise FileExistsError(f"{folder} is full of exports of this second")


# what stands behind the screen ----------------------------------------------------------------------------------------
def behind(app: CockpitApp) -> tuple[str, list[dict[str, Any]]]:
    """(the view's name, its items) of what is shown: a sheet's data, a view's table, else the focused region."""
    if isinstance(app.screen, Sheet):
        name, told = app.screen.data()
        return name, told
    shown = next((s for s in reversed(app.screen_stack) if hasattr(s, "table")), None)
    if shown is not None:
        rows: list[Any] = list(getattr(shown.table(), "items", list)())
        return str(getattr(shown, "NAME", "view")), [_plain(row) for row in rows]
    panel, snapshot = app.main.focused_panel(), app.view.snapshot
    if snapshot is None:
        return panel.name_, []
    if panel is app.main.machine:
        return panel.name_, [{"reading": k, **v} for k, v in machine(snapshot, app).items()]
    if panel is app.main.narrator:
        happened = [("operation", o) for o in snapshot.operations], [("alert", a) for a in snapshot.alerts]
        return panel.name_, [{"kind": kind, **to_wire(x)} for group in happened for kind, x in group]
    return panel.name_, [to_wire(item) for item in getattr(panel, "items", list)()]


def machine(snapshot: Snapshot, app: CockpitApp) -> dict[str, dict[str, Any]]:
    """Each reading by its path, with why it is missing; and the curves, oldest first."""
    found: dict[str, dict[str, Any]] = {}

    def walk(path: str, value: Any) -> None:
        if isinstance(value, Mapping) and "value" in value and "why" in value:
            found[path] = dict(value)
        elif isinstance(value, Mapping):
            for key, inner in value.items():
                walk(f"{path}.{key}" if path else str(key), inner)
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for i, inner in enumerate(value):
                walk(f"{path}[{i}]", inner)
        else:
            found[path] = {"value": value, "why": None, "estimated": False}

    walk("", to_wire(snapshot.hardware))
    walk("budget", to_wire(snapshot.budget))
    for name in app.view.history.curves:
        found[f"history.{name}"] = {"value": app.view.history.of(name), "why": None, "estimated": False}
    return found


def _plain(row: Any) -> dict[str, Any]:
    if is_dataclass(row) and not isinstance(row, type):
        return dict(asdict(row))
    return dict(row) if isinstance(row, Mapping) else {"item": str(row)}


# the table ------------------------------------------------------------------------------------------------------------
def table(items: Sequence[Mapping[str, Any]]) -> str:
    """CSV: a column for each field that any item has; unknown is empty, lists and objects are JSON."""
    names = list(dict.fromkeys(name for item in items for name in item))
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(names)
    for item in items:
        rows.writerow([_cell(item.get(name)) for name in names])
    return out.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        text = safe(value)
        return f"'{text}" if text.startswith(FORMULA) else text
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value
