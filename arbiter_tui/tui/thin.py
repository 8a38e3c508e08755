"""Fewer bytes for the same picture: what Textual writes, without the colours that are set already.

Owns: one pure function on terminal output, and the driver that applies it. Never: changes what is seen.

Textual writes each piece of text with its whole style before it and a reset behind it: nine tenths of the bytes of a
busy screen. Here a piece gets only what differs from the piece before it; blanks get nothing where the background is
the same; the reset comes once, at the end. Each write begins and ends with the terminal's own style, as Textual's does.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from textual.driver import Driver

TOKENS = re.compile(
    r"\x1b\[([\d;]*)m"  # 1: a style
    r"|(\x1b\[\d+;\d+H)"  # 2: the cursor's place, which no style touches
    r"|(\x1b(?:\][^\x07\x1b]*(?:\x07|\x1b\\)?|[P_^][^\x1b]*(?:\x1b\\)?|\[[0-?]*[ -/]*[@-~]?|.)?)"  # 3: anything else
    r"|([^\x1b]+)",  # 4: text
    re.DOTALL,
)
RESET = "\x1b[0m"


class Look(NamedTuple):
    """A style by its parts: attributes (bold, dim ...), foreground, background, each as the numbers that set it."""

    attributes: tuple[str, ...] = ()
    front: str = "39"
    back: str = "49"


PLAIN = Look()


@lru_cache(maxsize=2048)
def look(parameters: str) -> Look | None:
    """What a style sequence sets, begun from the terminal's own; None where it is of a kind that is not known here."""
    attributes: list[str] = []
    front, back = PLAIN.front, PLAIN.back
    numbers = iter(parameters.split(";") if parameters else ["0"])
    for n in numbers:
        if n in ("0", ""):
            attributes, front, back = [], PLAIN.front, PLAIN.back
        elif n in ("38", "48"):
            kind = next(numbers, "")
            colour = ";".join((n, kind, *(next(numbers, "") for _ in range({"2": 3, "5": 1}.get(kind, 0)))))
            front, back = (colour, back) if n == "38" else (front, colour)
        elif n.isdecimal() and 1 <= int(n) <= 9:
            attributes.append(n)
        elif n.isdecimal() and (30 <= int(n) <= 39 or 90 <= int(n) <= 97):
            front = n
        elif n.isdecimal() and (40 <= int(n) <= 49 or 100 <= int(n) <= 107):
            back = n
        else:
            return None
    return Look(tuple(sorted(attributes)), front, back)


@lru_cache(maxsize=4096)
def change(now: Look, wanted: Look) -> str:
    """The shortest way from one style to another."""
    if now == wanted:
        return ""
    if wanted == PLAIN:
        return RESET
    if set(now.attributes) <= set(wanted.attributes):
        added = [a for a in wanted.attributes if a not in now.attributes]
        colours = [b for a, b in ((now.front, wanted.front), (now.back, wanted.back)) if a != b]
        return f"\x1b[{';'.join([*added, *colours])}m"
    colours = [b for a, b in ((PLAIN.front, wanted.front), (PLAIN.back, wanted.back)) if a != b]
    return f"\x1b[{';'.join(['0', *wanted.attributes, *colours])}m"


def thinned(data: str) -> str:
    """The same picture in fewer bytes. What is of an unknown kind is passed on as it is, with the style it expects."""
    if "\x1b[" not in data:
        return data
    out: list[str] = []
    now = wanted = PLAIN
    for match in TOKENS.finditer(data):
        kind = match.lastindex
        if kind == 1:
            found = look(match[1])
            if found is None:
                return data
            wanted = found if match[1][:1] in ("", "0") or wanted == PLAIN else _upon(wanted, match[1])
        elif kind == 2:
            out.append(match[2])
        elif kind == 4:
            text = match[4]
            blank = text.isspace() and not now.attributes and not wanted.attributes and now.back == wanted.back
            if not (blank or text == "\n"):
                out.append(change(now, wanted))
                now = wanted
            out.append(text)
        else:
            out.append(change(now, wanted))
            now = wanted
            out.append(match[0])
    out.append(change(now, wanted))
    return "".join(out)


def _upon(before: Look, parameters: str) -> Look:
    """A style that is set upon another instead of upon the terminal's own."""
    colours = [c for c in (before.front, before.back) if c not in ("39", "49")]
    found = look(";".join([*before.attributes, *colours, parameters]))
    return before if found is None else found


class ThinDriver:
    """Mixed into whichever driver Textual has chosen."""

    def write(self, data: str) -> None:
        super().write(thinned(data))  # type: ignore[misc]


def driver(chosen: type[Driver]) -> type[Driver]:
    made: Any = type("Thin" + chosen.__name__, (ThinDriver, chosen), {})
    return made  # type: ignore[no-any-return]
