"""Parts of a message that are no text, for runtimes that take them in another form than OpenAI's, or not at all.

Owns: pure translation, and the refusal. Never: whether a model sees (its capabilities say so), a picture's content.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arbiter_tui.errors import NotSupported
from arbiter_tui.provider import Request


def refuse(request: Request, version: str, why: str) -> None:
    """Raises NotSupported if ``request`` needs a runtime that takes more than text."""
    if request.has_parts:
        raise NotSupported(f"{version} takes text only: {why}")


def image(part: Mapping[str, Any], version: str) -> str:
    """The address of a picture, ``data:`` or another. Raises NotSupported for what is none."""
    told = part.get("image_url")
    url = told.get("url") if isinstance(told, Mapping) else None
    if part.get("type") != "image_url" or not isinstance(url, str):
        raise NotSupported(f"{version}: a part of the type {part.get('type')!r} can't be put into its runtime's words")
    return url


def inline(url: str) -> tuple[str, str] | None:
    """Media type and base64 of a ``data:`` address; None for any other."""
    head, found, data = url.partition(",")
    if not found or not head.startswith("data:") or not head.endswith(";base64"):
        return None
    return head[5:-7], data
