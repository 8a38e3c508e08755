"""What ``[tui]`` asks of the cockpit, checked before anything is started: its theme and its keys.

Owns: where the user's themes lie. Never: drawing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..config import Config


def theme_folder(config: Config) -> Path:
    """``themes`` beside the configuration file, else in the user's configuration folder."""
    if config.path is not None:
        return Path(config.path).parent / "themes"
    from platformdirs import user_config_path

    return user_config_path("arbiter") / "themes"


def checked(config: Config) -> dict[str, Any]:
    """``theme`` and ``keys`` for the cockpit. Raises ConfigError."""
    from ..tui import own_themes, theme
    from ..tui.keys import check

    where = str(config.path or "the configuration")
    if config.tui.keys:
        check(config.tui.keys, where)
    own_themes.load(theme_folder(config))
    theme.choose(config.tui.theme, {})
    return {"theme": config.tui.theme, "keys": config.tui.keys}
