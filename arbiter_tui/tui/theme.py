"""The palettes. Owns: what each token of text.py looks like in dark, light and ansi. Never: layout.

One surface, one accent (selection and focus only), four meanings that each have a glyph of their own as well:
serving ◆, on trial ◇, attention ▲, failed ✕. The ansi palette uses the terminal's own colours; under NO_COLOR it is
reduced to weights and reverse video.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rich.style import Style
from textual.theme import BUILTIN_THEMES, Theme

DARK = {
    "surface": "#0f1317",
    "selected": "#1b2732",
    "figure": "#eef2f5",
    "label": "#b6c0c8",
    "unit": "#7b8791",
    "rule": "#2c363f",
    "accent": "#6cb6e0",
    "serve": "#7fd1a0",
    "trial": "#c0a6f0",
    "warn": "#e6b765",
    "fail": "#ee7a74",
    "graph": "#4d6b80",
}
LIGHT = {
    "surface": "#fbfaf7",
    "selected": "#e3edf5",
    "figure": "#0c1115",
    "label": "#39424a",
    "unit": "#68727b",
    "rule": "#d3d0c8",
    "accent": "#15649c",
    "serve": "#14713f",
    "trial": "#6743b3",
    "warn": "#8a5a05",
    "fail": "#b3241f",
    "graph": "#8fa9bd",
}
BOLD = frozenset({"title", "head"})
ALIASES = {
    "ok": "serve",
    "title": "figure",
    "head": "label",
    "curve": "graph",
    "track": "rule",
    "focus": "accent",
    "key": "accent",
}


def _rgb(colours: Mapping[str, str]) -> dict[str, Style]:
    styles = {}
    names = [*(k for k in colours if k not in ("surface", "selected")), *ALIASES]
    for name in names:
        colour = colours[ALIASES.get(name, name)]
        bold = True if name in BOLD else None
        styles[name] = Style(color=colour, bgcolor=colours["surface"], bold=bold)
        styles[name + "@"] = Style(color=colour, bgcolor=colours["selected"], bold=bold)
    styles["stale"] = Style(color=colours["unit"], bgcolor=colours["surface"])
    styles["stale@"] = Style(color=colours["unit"], bgcolor=colours["selected"])
    return styles


def _ansi() -> dict[str, Style]:
    base = {
        "figure": Style(bold=True),
        "label": Style(),
        "unit": Style(dim=True),
        "rule": Style(dim=True),
        "accent": Style(color="cyan", bold=True),
        "serve": Style(color="green"),
        "trial": Style(color="magenta"),
        "warn": Style(color="yellow", bold=True),
        "fail": Style(color="red", bold=True),
        "graph": Style(dim=True),
    }
    styles = dict(base)
    for name, of in ALIASES.items():
        styles[name] = base[of] + (Style(bold=True) if name in BOLD else Style())
    styles["stale"] = Style(dim=True)
    plain = Style(color="default", bgcolor="default")
    styles = {k: plain + v for k, v in styles.items()}
    return styles | {k + "@": plain + Style(reverse=True) for k in styles}


PALETTES: dict[str, dict[str, Style]] = {
    "arbiter-dark": _rgb(DARK),
    "arbiter-light": _rgb(LIGHT),
    "arbiter-ansi": _ansi(),
}


def _theme(name: str, colours: Mapping[str, str], dark: bool) -> Theme:
    return Theme(
        name=name,
        primary=colours["accent"],
        accent=colours["accent"],
        foreground=colours["label"],
        background=colours["surface"],
        surface=colours["surface"],
        panel=colours["surface"],
        warning=colours["warn"],
        error=colours["fail"],
        success=colours["serve"],
        dark=dark,
    )


THEMES = (
    _theme("arbiter-dark", DARK, True),
    _theme("arbiter-light", LIGHT, False),
    replace(BUILTIN_THEMES["ansi-dark"], name="arbiter-ansi", primary="ansi_cyan", accent="ansi_cyan"),
)
SHORT = {"dark": "arbiter-dark", "light": "arbiter-light", "ansi": "arbiter-ansi"}


def choose(wanted: str | None, environ: Mapping[str, str]) -> str:
    """The theme's full name. NO_COLOR and terminals without true colour that ask for ansi get the terminal's own."""
    if "NO_COLOR" in environ:
        return "arbiter-ansi"
    if wanted in SHORT:
        return SHORT[wanted]
    if wanted in PALETTES:
        return wanted
    background = environ.get("COLORFGBG", "").rpartition(";")[2]
    return "arbiter-light" if background in ("7", "15") else "arbiter-dark"
