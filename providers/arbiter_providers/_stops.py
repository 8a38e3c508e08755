"""Cuts a growing text at the first stop sequence, holding back what might become one.

Owns: that one piece of bookkeeping. Never: tokens, any process. Imported by a worker: standard library only.
"""

from __future__ import annotations

from collections.abc import Sequence


class StopFilter:
    """``feed`` pieces; it returns what may be shown. ``stopped`` turns True when a stop sequence was complete."""

    def __init__(self, stops: Sequence[str], *, strip_start: bool = False) -> None:
        self._stops = tuple(s for s in stops if s)
        self._strip = strip_start
        self._held = ""
        self.stopped = False

    def feed(self, piece: str) -> str:
        text = self._held + piece
        if self._strip:
            text = text.lstrip()
            self._strip = not text
        cut = min((at for at in (text.find(s) for s in self._stops) if at >= 0), default=None)
        if cut is not None:
            self.stopped, self._held = True, ""
            return text[:cut]
        keep = max((self._overlap(text, s) for s in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> str:
        """What was held back, now that nothing follows."""
        held, self._held = self._held, ""
        return held

    @staticmethod
    def _overlap(text: str, stop: str) -> int:
        """Length of the longest end of ``text`` that begins ``stop``."""
        return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if stop.startswith(text[-n:])), 0)
