"""What lies behind a dialog: the screen beneath it, dimmed.

Owns: the dimming of finished lines. Never: what the lines say. Textual's own way runs the whole screen through a
console first, three times for each dialog that opens: on a busy machine that is what a key would wait for.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Generic, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.geometry import Region, Size
from textual.screen import ModalScreen
from textual.strip import Strip

R = TypeVar("R")


class Dialog(ModalScreen[R], Generic[R]):
    """A modal screen over the dimmed lines of the one beneath; its style's background says how much they are dimmed."""

    _lines: list[Strip] | None = None

    def _screen_resized(self, size: Size) -> None:
        """Textual lays a new screen out when it comes up, and again when it is told the same size."""
        if size != self._compositor.size:
            super()._screen_resized(size)

    def render_lines(self, crop: Region) -> list[Strip]:
        self._lines = None  # the screen beneath may have changed since
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        if self._lines is None:
            self._lines = self._beneath()
        return self._lines[y] if y < len(self._lines) else Strip.blank(self.size.width)

    def _beneath(self) -> list[Strip]:
        stack = self.app.screen_stack
        at = stack.index(self) if self in stack else len(stack)
        if not at:
            return []
        color = self.styles.background
        return [_dimmed(strip, color) for strip in stack[at - 1]._compositor.render_strips(self.size)]


def _dimmed(strip: Strip, color: Color) -> Strip:
    return Strip([Segment(text, _dim(style or Style.null(), color)) for text, style, _ in strip], strip.cell_length)


@lru_cache(maxsize=1024)
def _dim(style: Style, color: Color) -> Style:
    """The style under a veil of the colour; nothing of it can be clicked."""
    bare = style.clear_meta_and_links()
    if color.a == 0:
        return bare
    front, back = (
        None if c is None else (Color.from_rich_color(c) + color).rich_color for c in (bare.color, bare.bgcolor)
    )
    return bare + Style.from_color(front, back)
