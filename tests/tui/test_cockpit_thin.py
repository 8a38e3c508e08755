"""Fewer bytes, the same picture: what thinned output draws is compared cell by cell with what the whole one draws."""

from __future__ import annotations

import random
import subprocess
import sys

import pyte
import pytest
from canned import HEALTHY
from canned_states import FOUR_GPUS, LONG, crowd
from cockpit_seat import seat
from fake_cockpit import cockpit
from rich.color import ColorSystem
from textual.app import App
from textual.drivers.headless_driver import HeadlessDriver

from arbiter_tui.tui import theme, thin
from arbiter_tui.tui.thin import PLAIN, RESET, Look, change, look, thinned


def cells(data: str, columns: int = 120, rows: int = 40) -> list[list[object]]:
    """What a terminal shows. Of a blank only the background counts: nothing else of it is seen."""
    screen = pyte.Screen(columns, rows)
    pyte.Stream(screen).feed(data.replace("\n", "\r\n"))
    out: list[list[object]] = []
    for y in range(rows):
        line: list[object] = []
        for x in range(columns):
            c = screen.buffer[y][x]
            seen = (c.data, c.fg, c.bg, c.bold, c.italics, c.underscore, c.reverse, c.strikethrough)
            line.append(seen if c.data != " " or c.underscore or c.reverse else (" ", c.bg))
        out.append(line)
    return out


async def drawn(snapshot: object, size: tuple[int, int], theme_: str) -> str:
    """A whole screen as Textual writes it, without thinning."""
    app = cockpit(snapshot, theme=theme_)  # type: ignore[arg-type]
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        await pilot.pause()
        console = app.console
        console._color_system = ColorSystem.TRUECOLOR
        return "\x1b[1;1H" + "\n".join(s.render(console) for s in app.screen._compositor.render_strips(app.size))


@pytest.mark.parametrize("name", ["dark", "light", "ansi"])
@pytest.mark.parametrize("snapshot", [HEALTHY, crowd(), LONG, FOUR_GPUS], ids=["healthy", "crowd", "long", "gpus"])
async def test_a_screen_is_the_same_cell_by_cell_and_half_as_long(snapshot: object, name: str) -> None:
    """In every theme, with wide characters, with everything on it."""
    whole = await drawn(snapshot, (120, 40), name)
    less = thinned(whole)
    assert cells(less) == cells(whole)
    assert len(less) < 0.6 * len(whole)
    assert less.count(RESET) <= 1 or name == "ansi"


def test_random_output_is_the_same_cell_by_cell() -> None:
    """Attributes, colours of every kind, moves, line ends and resets in any order; each write stands for itself."""
    styles = [
        "1",
        "2",
        "3;4",
        "7",
        "38;5;20",
        "48;5;40",
        "38;2;1;2;3",
        "48;2;9;8;7;38;2;1;1;1",
        "31;42",
        "91;1",
        "39;49",
    ]
    for seed in range(300):
        rng = random.Random(seed)
        writes = []
        for _ in range(4):
            parts = []
            for _ in range(rng.randrange(1, 12)):
                parts.append(
                    rng.choice([f"\x1b[{rng.randrange(1, 9)};{rng.randrange(1, 30)}H", "", "\n", "\x1b[?2026h"])
                )
                style = rng.choice(styles)
                parts.append(f"\x1b[{style}m{rng.choice(['text', ' ', '    ', 'a b', '模型', '…'])}\x1b[0m")
            writes.append("".join(parts))
        one, other = "".join(writes), "".join(thinned(w) for w in writes)
        assert cells(other, 40, 10) == cells(one, 40, 10), seed


@pytest.mark.parametrize(
    "data",
    [
        "", "plain", "\x1b[?1049h\x1b[?25l", "\x1b[2J", "\x1b]0;title\x07", "\x1b[>1u", "\x1b", "\x1b[", "\x1b[31",
        "\x1bP1$r\x1b\\", "\x1b[?2026h\x1b[?2026l", "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\",
    ],
)  # fmt: skip
def test_what_is_no_style_passes_as_it_is(data: str) -> None:
    """Modes, titles, links, broken sequences."""
    assert thinned(data) == data


def test_an_unknown_style_leaves_the_whole_write_alone() -> None:
    """Rather too many bytes than another picture."""
    data = "\x1b[58;5;3mx\x1b[0m\x1b[31my\x1b[0m"
    assert thinned(data) == data


def test_erasing_uses_the_style_that_it_was_written_with() -> None:
    """A background is erased with, so it is set before."""
    assert thinned("\x1b[41ma\x1b[0m\x1b[K\x1b[41mb\x1b[0m") == "\x1b[41ma\x1b[0m\x1b[K\x1b[41mb\x1b[0m"


def test_only_what_differs_is_written() -> None:
    """A neighbour of the same style costs nothing, another colour its own numbers, a blank nothing."""
    assert thinned("\x1b[1;31;42ma\x1b[0m\x1b[1;31;42mb\x1b[0m") == "\x1b[1;31;42mab\x1b[0m"
    assert thinned("\x1b[31;42ma\x1b[0m\x1b[32;42mb\x1b[0m") == "\x1b[31;42ma\x1b[32mb\x1b[0m"
    assert thinned("\x1b[31;42ma\x1b[0m\x1b[33;42m  \x1b[0m\x1b[31;42mb\x1b[0m") == "\x1b[31;42ma  b\x1b[0m"
    assert thinned("\x1b[31;42ma\x1b[0m\x1b[31;43m \x1b[0m") == "\x1b[31;42ma\x1b[43m \x1b[0m"
    assert look("1;38;2;1;2;3;48;5;7") == Look(("1",), "38;2;1;2;3", "48;5;7")
    assert change(Look(("1",), "31", "42"), Look((), "31", "42")) == "\x1b[0;31;42m"
    assert change(PLAIN, PLAIN) == ""


async def test_the_cockpit_writes_through_it() -> None:
    """Whatever driver Textual chooses is the one that writes less."""
    async with seat() as s:
        assert issubclass(s.app.get_driver_class(), thin.ThinDriver)
    written: list[str] = []

    class Kept(HeadlessDriver):
        def write(self, data: str) -> None:
            written.append(data)

    thin.driver(Kept)(App(), size=(80, 24)).write("\x1b[31ma\x1b[0m\x1b[31mb\x1b[0m")
    assert written == ["\x1b[31mab\x1b[0m"]


@pytest.mark.parametrize(
    ("environ", "wanted", "chosen"),
    [
        ({"SSH_CONNECTION": "a b"}, None, "arbiter-ansi"),
        ({"SSH_TTY": "/dev/pts/1"}, None, "arbiter-ansi"),
        ({"SSH_CONNECTION": "a b"}, "light", "arbiter-light"),
        ({}, None, "arbiter-dark"),
    ],
)
def test_over_ssh_the_terminals_own_colours_unless_others_are_wished(
    environ: dict[str, str], wanted: str | None, chosen: str
) -> None:
    """Half the bytes by default; a theme that somebody chose stands."""
    assert theme.choose(wanted, environ) == chosen


@pytest.mark.parametrize(("environ", "every"), [({}, 0.25), ({"SSH_CONNECTION": "a b"}, 1.0)])
async def test_over_ssh_it_asks_once_a_second(
    environ: dict[str, str], every: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rate is chosen when the cockpit is made."""
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    monkeypatch.delenv("SSH_TTY", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert cockpit(HEALTHY)._every_s == every


def test_textual_is_told_before_it_is_imported() -> None:
    """It reads its rate once, at its import: the package sets it first."""
    code = "import arbiter_tui.tui.app, textual.constants as c; print(c.MAX_FPS)"
    env = {"SSH_CONNECTION": "a b", "PATH": "/usr/bin", "PYTHONPATH": ":".join(sys.path)}
    out = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip() == "20"
