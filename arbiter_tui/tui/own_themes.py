"""The user's own themes: ``themes/*.yaml`` beside the configuration. Owns: reading them. Never: choosing one.

name: harbour
base: dark            # dark, light or high-contrast: what is not named below is taken from there
colours:
  accent: "#88c0d0"
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError, nearest
from . import theme
from .colours import parse

KEYS = ("name", "base", "colours")


def load(folder: Path) -> list[str]:
    """Adds every theme of the folder; their names. Raises ConfigError that names file, key, value, nearest valid."""
    found = []
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]) if folder.is_dir() else []:
        name, colours, dark = read(path)
        theme.add(name, colours, dark=dark)
        found.append(name)
    return found


def read(path: Path) -> tuple[str, dict[str, str], bool]:
    """(name, colours of every token, whether it is dark)."""
    import yaml  # only where somebody has a theme of their own

    try:
        table: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: can't be read: {' '.join(str(error).split())}") from error
    if not isinstance(table, Mapping):
        raise ConfigError(f"{path}: must be a table with {', '.join(KEYS)}")
    for key in table:
        _known(path, str(key), table[key], KEYS)
    name, base, chosen = table.get("name", path.stem), table.get("base", "dark"), table.get("colours", {})
    if not isinstance(name, str) or not name or name in (*theme.SHORT, *theme.SHORT.values()):
        raise ConfigError(f"{path}: name = {name!r}: must be a text, and none of {', '.join(theme.SHORT)}")
    if base not in theme.BASES:
        raise _wrong(path, "base", base, tuple(theme.BASES))
    if not isinstance(chosen, Mapping):
        raise ConfigError(f"{path}: colours = {chosen!r}: must be a table")
    colours = dict(theme.BASES[base])
    for token, colour in chosen.items():
        _known(path, str(token), colour, tuple(colours), "colours.")
        colours[token] = _colour(path, str(token), colour)
    return name, colours, base != "light"


def _colour(path: Path, token: str, value: Any) -> str:
    try:
        parse(value)
    except (TypeError, ValueError, AttributeError):
        raise ConfigError(f'{path}: colours.{token} = {value!r}: must be a colour as in "#88c0d0"') from None
    return str(value)


def _known(path: Path, key: str, value: Any, valid: tuple[str, ...], below: str = "") -> None:
    if key not in valid:
        near = nearest(key, valid)
        hint = f"nearest valid key: {below}{near[0]}" if near else f"valid keys: {', '.join(valid)}"
        raise ConfigError(f"{path}: {below}{key} = {value!r}: unknown key; {hint}")


def _wrong(path: Path, key: str, value: Any, valid: tuple[str, ...]) -> ConfigError:
    near = nearest(str(value), valid)
    hint = f"nearest: {near[0]}" if near else f"valid: {', '.join(valid)}"
    return ConfigError(f"{path}: {key} = {value!r}: is not one of the valid values; {hint}")
