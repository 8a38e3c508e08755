"""arbiter: the control plane for local language models. ``from arbiter_tui import Arbiter, Config``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from .config import Config
    from .engine.arbiter import Arbiter

__all__ = ["Arbiter", "Config", "__version__"]


def __getattr__(name: str) -> Any:
    # Lazy: `arbiter status` must not pay for the engine.
    if name == "Arbiter":
        from .engine.arbiter import Arbiter

        return Arbiter
    if name == "Config":
        from .config import Config

        return Config
    raise AttributeError(name)
