"""What lies behind a dialog: the screen beneath it, dimmed.

Owns: the dimming of finished lines. Never: what the lines say. Textual's own way runs the whole screen through a
console first, three times for each dialog that opens: on a busy machine that is what a key would wait for.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Generic, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.geometry import Region, Size
from textual.screen import ModalScreen
from textual.strip import Strip

R = TypeVar("R")


class Dialog(ModalScreen[R], Generic[R]):
    """A modal screen over the dimmed lines of the one beneath; its style's background says how much they are dimmed.

    What it says is painted first and alone: half the work, a quarter of the bytes. The next frame dims the rest.
    """

    _lines: Mapping[int, Strip] = MappingProxyType({})
    _bare = True  # nothing is dimmed yet

    def _screen_resized(self, size: Size) -> None:
        """Textual lays a new screen out when it comes up, and again when it is told the same size."""
        if size != self._compositor.size:
            super()._screen_resized(size)

    def _compositor_refresh(self) -> None:
        boxes = self._boxes() if self._bare and self is self.app.screen else set()
        if boxes:
            self._compositor._dirty_regions = set(boxes)
        super()._compositor_refresh()
        if boxes:
            self._bare = False
            self.refresh()

    def _boxes(self) -> set[Region]:
        """Where it says something."""
        placed = self._compositor.visible_widgets.items()
        return {region.intersection(clip) for widget, (region, clip) in placed if widget is not self} - {Region()}

    def render_lines(self, crop: Region) -> list[Strip]:
        self._lines = {} if self._bare else self._beneath(crop)
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        return self._lines.get(y) or Strip.blank(self.size.width)

    def _beneath(self, crop: Region) -> Mapping[int, Strip]:
        """Those lines of the screen beneath that ``crop`` touches."""
        stack = self.app.screen_stack
        at = stack.index(self) if self in stack else len(stack)
        if not at:
            return {}
        below, color = stack[at - 1]._compositor, self.styles.background
        wanted = range(crop.y, min(crop.bottom, below.size.height))
        chops = below._render_chops(below.size.region, wanted.__contains__)
        return {y: _dimmed(Strip.join(chops[y].values()), color) for y in wanted}


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
