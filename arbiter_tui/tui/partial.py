"""Repaints that send only what differs. Owns: the cut at the left end of a partial one (Textual makes the one at the
right), the lines that a full one has sent.

Never: what is painted. Textual repaints each line from the left edge of its widget on, so that the name at the start
of a row would be sent again whenever a figure at its end changes; and it paints a dialog that opens or closes twice.
"""

from __future__ import annotations

from rich.console import Console
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.strip import Strip


class Picture:
    """The lines that the terminal shows, as far as they are known: what was sent whole and not touched since."""

    def __init__(self) -> None:
        self._lines: list[str | None] = []

    def forget(self) -> None:
        """The terminal shows something else: it was resized, or another program had it."""
        self._lines = []

    def update(self, update: object, console: Console) -> object:
        """What of an update is to be sent; of another kind: itself."""
        if type(update) is ChopsUpdate:
            return self.touched(update)
        return self.whole(update, console) if type(update) is LayoutUpdate else update

    def touched(self, update: ChopsUpdate) -> Partial:
        for y, _, _ in update.spans:
            if y < len(self._lines):
                self._lines[y] = None
        return Partial.of(update)

    def whole(self, update: LayoutUpdate, console: Console) -> CompositorUpdate | None:
        """What of it the terminal does not show yet; None where it shows everything."""
        lines = ["".join(_rendered(strip, console) for strip in strips) for strips in update.strips]
        if len(lines) != len(self._lines):
            self._lines = [None] * len(lines)
        left, top = update.region.offset
        out = [
            f"\x1b[{top + y + 1};{left + 1}H{new}"
            for y, (old, new) in enumerate(zip(self._lines, lines, strict=True))
            if new != old
        ]
        self._lines = list(lines)
        return Sent("".join(out)) if out else None


def _rendered(strip: object, console: Console) -> str:
    assert isinstance(strip, Strip)  # what a compositor that does not export holds
    return strip.render(console)


class Sent(CompositorUpdate):
    """Lines that are ready for the terminal."""

    def __init__(self, sequences: str) -> None:
        self.sequences = sequences

    def render_segments(self, console: Console) -> str:
        return self.sequences


class Partial(ChopsUpdate):
    """``spans`` of lines, from the first to the last cell that differs."""

    @classmethod
    def of(cls, update: ChopsUpdate) -> Partial:
        return cls(update.chops, update.spans, update.chop_ends)

    def render_segments(self, console: Console) -> str:
        out: list[str] = []
        for y, x1, x2 in self.spans:
            for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                if strip is None or x >= x2 or end <= x1:
                    continue
                first, last = max(x, x1), min(end, x2)
                cut = strip if (first, last) == (x, end) else strip.crop(first - x, last - x)
                out += [f"\x1b[{y + 1};{first + 1}H", cut.render(console)]
        return "".join(out)
