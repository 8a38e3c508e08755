"""A partial repaint that begins where the change begins. Owns: the cut at the left end (Textual makes the
one at the right).

Never: what is repainted. Textual repaints each line from the left edge of its widget on, so that the name at the start
of a row would be sent again whenever a figure at its end changes.
"""

from __future__ import annotations

from rich.console import Console
from textual._compositor import ChopsUpdate


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
