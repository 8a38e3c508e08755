"""A partial repaint: the same picture as a whole one, sent from the first cell that differs."""

from __future__ import annotations

import random

import pytest
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from test_cockpit_thin import cells
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from arbiter_tui.tui.partial import Partial, Picture, Sent
from arbiter_tui.tui.thin import thinned

CONSOLE = Console(force_terminal=True, color_system="truecolor", width=40, file=None)


def line(rng: random.Random, width: int) -> Strip:
    """A strip of several colours, blanks among them."""
    out, left = [], width
    while left:
        n = min(left, rng.randrange(1, 9))
        out.append(Segment("".join(rng.choice("abc  ") for _ in range(n)), Style(color=f"#{rng.randrange(16**6):06x}")))
        left -= n
    return Strip(out, width)


@pytest.mark.parametrize("seed", range(60))
def test_a_partial_repaint_leaves_the_picture_that_a_whole_one_would(seed: int) -> None:
    """Two widgets beside each other; any part of any line; what lies outside of the part is not sent."""
    rng = random.Random(seed)
    before = [{0: line(rng, 15), 15: line(rng, 25)} for _ in range(6)]
    spans, after = [], []
    for y, chops in enumerate(before):
        x1 = rng.randrange(0, 39)
        x2 = rng.randrange(x1 + 1, 41)
        spans.append((y, x1, x2))
        old, new = Strip.join(chops.values()), Strip.join([line(rng, 15), line(rng, 25)])
        whole = Strip.join([old.crop(0, x1), new.crop(x1, x2), old.crop(x2, 40)])
        after.append({0: whole.crop(0, 15), 15: whole.crop(15, 40)})
    ends = [[15, 40]] * 6
    shown = "".join(f"\x1b[{y + 1};1H{Strip.join(c.values()).render(CONSOLE)}" for y, c in enumerate(before))
    wanted = "".join(f"\x1b[{y + 1};1H{Strip.join(c.values()).render(CONSOLE)}" for y, c in enumerate(after))
    update = ChopsUpdate(after, spans, ends)
    sent = Partial.of(update).render_segments(CONSOLE)
    assert cells(shown + sent, 40, 6) == cells(wanted, 40, 6)
    assert cells(shown + thinned(sent), 40, 6) == cells(wanted, 40, 6)
    assert len(sent) <= len(update.render_segments(CONSOLE)) + 12 * len(spans)


def test_what_did_not_change_is_not_sent() -> None:
    """The name at the start of a row stays where it is when the figure at its end changes."""
    row = Strip([Segment("a-long-name ", Style(color="red")), Segment("12", Style(color="blue"))], 14)
    update = ChopsUpdate([{0: row}], [(0, 12, 14)], [[14]])
    assert "name" in update.render_segments(CONSOLE)
    sent = Partial.of(update).render_segments(CONSOLE)
    assert "name" not in sent
    assert sent.startswith("\x1b[1;13H")


@pytest.mark.parametrize("seed", range(30))
def test_any_run_of_whole_and_partial_repaints_leaves_the_newest_picture(seed: int) -> None:
    """Whole ones send what differs from what was sent before, after partial ones in between, too."""
    rng, picture = random.Random(seed), Picture()
    truth = [line(rng, 40) for _ in range(6)]
    sent = ""
    for _ in range(12):
        if rng.random() < 0.5:
            truth = [line(rng, 40) if rng.random() < 0.3 else strip for strip in truth]
            update: object = LayoutUpdate([[strip] for strip in truth], Region(0, 0, 40, 6))
            wanted = truth
        else:
            y = rng.randrange(6)
            x = rng.randrange(1, 40)
            truth = [*truth[:y], Strip.join([truth[y].crop(0, x), line(rng, 40 - x)]), *truth[y + 1 :]]
            update, wanted = ChopsUpdate([{0: strip} for strip in truth], [(y, x, 40)], [[40]] * 6), []
        part = picture.update(update, CONSOLE)
        if isinstance(part, CompositorUpdate):
            sent += part.render_segments(CONSOLE)
        if wanted:
            whole = "".join(f"\x1b[{n + 1};1H{strip.render(CONSOLE)}" for n, strip in enumerate(wanted))
            assert cells(sent, 40, 6) == cells(whole, 40, 6)


def test_a_whole_repaint_of_the_same_picture_sends_nothing_until_the_terminal_showed_something_else() -> None:
    """Another program had it, or its size changed: then every line is sent again."""
    rng, picture = random.Random(1), Picture()
    update = LayoutUpdate([[line(rng, 40)] for _ in range(6)], Region(0, 0, 40, 6))
    first = picture.update(update, CONSOLE)
    assert isinstance(first, Sent)
    assert picture.update(update, CONSOLE) is None
    picture.forget()
    again = picture.update(update, CONSOLE)
    assert isinstance(again, Sent)
    assert again.sequences == first.sequences
    smaller = picture.update(LayoutUpdate(update.strips[:5], Region(0, 0, 40, 5)), CONSOLE)
    assert isinstance(smaller, Sent)
    assert smaller.sequences.count("H") >= 5
