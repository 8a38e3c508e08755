"""Which theme the cockpit wears: at the start, from the palette, tried while the cursor moves, remembered.

Owns: the order of who decides. NO_COLOR; what was chosen in the palette, as long as the configuration says what it said
then; the configuration; the terminal. Never: what a theme looks like (theme.py, own_themes.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError
from . import memory
from . import theme as themes

if TYPE_CHECKING:
    from .app import CockpitApp

ENTRY = "theme("  # before a theme's name, of the palette's entries


def first(configured: str | None, remember: Path | None, environ: Mapping[str, str]) -> str:
    """The theme's full name at the start. Raises ConfigError for a configured name that no theme has."""
    choices = memory.load(remember) if remember is not None else memory.Choices()
    if choices.theme is not None and choices.theme_over == configured:
        try:
            return themes.choose(choices.theme, environ)
        except ConfigError:  # the user's own, and its file is gone
            pass
    return themes.choose(configured, environ)


def offered(worn: str) -> list[str]:
    """Every theme by its short name. The terminal's own colours are chosen when the screen is set up, or not at all."""
    if worn == "arbiter-ansi":
        return []
    return sorted(name for name in themes.names() if name != "ansi")


def named(entry: str | None) -> str | None:
    """The theme of a palette's entry."""
    return entry.removeprefix(ENTRY).rstrip(")") if entry is not None and entry.startswith(ENTRY) else None


def short(worn: str) -> str:
    return next((name for name, full in themes.SHORT.items() if full == worn), worn)


def show(app: CockpitApp, name: str) -> None:
    """From now on, without being remembered."""
    full = themes.choose(name, {})
    app.register_theme(themes.THEMES[full])
    if app.theme != full:
        app.theme = full


def wear(app: CockpitApp, name: str) -> None:
    show(app, name)
    app.view.theme = name
