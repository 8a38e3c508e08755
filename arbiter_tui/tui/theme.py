"""The palettes. Owns: what each token of text.py looks like in each theme, and choosing one. Never: layout.

One surface, one accent (selection and focus only), four meanings that each have a glyph of their own as well:
serving ◆, on trial ◇, attention ▲, failed ✕. The ansi palette uses the terminal's own colours; under NO_COLOR it is
reduced to weights and reverse video. Every other theme of Textual's, and the user's own (own_themes.py), is turned into
the same tokens; text is moved until it can be read on its background.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rich.style import Style
from textual.theme import BUILTIN_THEMES, Theme

from ..errors import ConfigError, nearest
from .colours import contrast, legible, mix

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
CONTRAST = {
    "surface": "#000000",
    "selected": "#003a70",
    "figure": "#ffffff",
    "label": "#ffffff",
    "unit": "#d0d0d0",
    "rule": "#909090",
    "accent": "#7fd4ff",
    "serve": "#7dffa0",
    "trial": "#dcb8ff",
    "warn": "#ffd75f",
    "fail": "#ff9d97",
    "graph": "#8fb8d0",
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


TEXT = ("figure", "label", "unit", "accent", "serve", "trial", "warn", "fail")  # what is read; the rest is drawn


def _rgb(colours: Mapping[str, str]) -> dict[str, Style]:
    """Each token on the surface and, with ``@``, on the selected row; there it may have to be stronger."""
    styles = {}
    names = [*(k for k in colours if k not in ("surface", "selected")), *ALIASES]
    for name in names:
        of = ALIASES.get(name, name)
        bold = True if name in BOLD else None
        for suffix, ground in (("", colours["surface"]), ("@", colours["selected"])):
            colour = legible(colours[of], [ground]) if of in TEXT else colours[of]
            styles[name + suffix] = Style(color=colour, bgcolor=ground, bold=bold)
    styles["stale"], styles["stale@"] = styles["unit"], styles["unit@"]
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
    "arbiter-high-contrast": _rgb(CONTRAST),
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


THEMES = {
    "arbiter-dark": _theme("arbiter-dark", DARK, True),
    "arbiter-light": _theme("arbiter-light", LIGHT, False),
    "arbiter-high-contrast": _theme("arbiter-high-contrast", CONTRAST, True),
    "arbiter-ansi": replace(BUILTIN_THEMES["ansi-dark"], name="arbiter-ansi", primary="ansi_cyan", accent="ansi_cyan"),
}
SHORT = {"dark": "arbiter-dark", "light": "arbiter-light", "ansi": "arbiter-ansi",
         "high-contrast": "arbiter-high-contrast"}  # fmt: skip
BASES: Mapping[str, Mapping[str, str]] = {"dark": DARK, "light": LIGHT, "high-contrast": CONTRAST}
_OTHERS = tuple(name for name in BUILTIN_THEMES if not name.startswith("ansi-"))  # those two are the terminal's own


def names() -> tuple[str, ...]:
    """Every theme that may be asked for by name, the short ones first; the user's own once they are read."""
    return (*SHORT, *_OTHERS, *(n for n in THEMES if n not in (*SHORT.values(), *_OTHERS)))


def add(name: str, colours: Mapping[str, str], *, dark: bool) -> None:
    """A theme from its token colours."""
    PALETTES[name], THEMES[name] = _rgb(colours), _theme(name, colours, dark)


def _hex(colour: str | None, otherwise: str) -> str:
    return colour if colour is not None and len(colour) == 7 and colour.startswith("#") else otherwise


def translated(theme: Theme) -> dict[str, str]:
    """The tokens' colours of one of Textual's own themes."""
    dark = theme.dark
    surface = _hex(theme.background, "#121212" if dark else "#e0e0e0")
    ink = "#ffffff" if dark else "#000000"
    text = _hex(theme.foreground, mix(surface, ink, 0.88))
    accent = _hex(theme.primary, "#6cb6e0" if dark else "#15649c")
    base = DARK if dark else LIGHT
    grounds = [surface, mix(surface, accent, 0.16)]
    found = {
        "surface": surface, "selected": grounds[1], "figure": legible(mix(text, ink, 0.5), grounds, 7.0),
        "label": legible(text, grounds, 5.5), "unit": legible(mix(text, surface, 0.4), grounds),
        "rule": mix(text, surface, 0.78), "accent": legible(accent, grounds),
        "graph": mix(accent, surface, 0.45),
    }  # fmt: skip
    meanings = {"serve": theme.success, "trial": theme.secondary, "warn": theme.warning, "fail": theme.error}
    return found | {token: legible(_hex(colour, base[token]), grounds) for token, colour in meanings.items()}


def far(environ: Mapping[str, str]) -> bool:
    """Whether the terminal is at the other end of an ssh link."""
    return "SSH_CONNECTION" in environ or "SSH_TTY" in environ


def choose(wanted: str | None, environ: Mapping[str, str]) -> str:
    """The theme's full name. NO_COLOR gets the terminal's own; none wanted: over ssh, too, else by the terminal's
    background.

    Raises ConfigError, which names the nearest, for a name that no theme has.
    """
    if wanted is not None and wanted not in SHORT and wanted not in THEMES:
        if wanted not in _OTHERS:
            near = nearest(wanted, names())
            hint = f"nearest: {', '.join(near)}" if near else f"known: {', '.join(names())}"
            raise ConfigError(f"tui.theme = {wanted!r}: there is no such theme; {hint}")
        builtin = BUILTIN_THEMES[wanted]
        add(wanted, translated(builtin), dark=builtin.dark)
    if "NO_COLOR" in environ:
        return "arbiter-ansi"
    if wanted is not None:
        return SHORT.get(wanted, wanted)
    if far(environ):  # the terminal's own colours are half the bytes
        return "arbiter-ansi"
    background = environ.get("COLORFGBG", "").rpartition(";")[2]
    return "arbiter-light" if background in ("7", "15") else "arbiter-dark"


def faint(palette: Mapping[str, Style]) -> dict[str, float]:
    """Token -> contrast, of the text that is harder to read than it should be; colours of the terminal's own pass."""
    found = {}
    for token in (*TEXT, *ALIASES, "stale"):
        for name in (token, token + "@"):
            style = palette[name]
            if ALIASES.get(token, token) in (*TEXT, "stale") and style.color and style.color.triplet and style.bgcolor:
                ground = style.bgcolor.triplet
                assert ground is not None
                found[name] = contrast(style.color.triplet.hex, ground.hex)
    return {name: value for name, value in found.items() if value < 4.5}
