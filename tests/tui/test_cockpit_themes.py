"""Themes and keys: legible whichever is chosen, and a wrong word in the configuration is told by its name."""

from __future__ import annotations

from pathlib import Path

import pytest
from canned import HEALTHY
from cockpit_seat import seat
from textual.theme import BUILTIN_THEMES

from arbiter_tui.commands import look
from arbiter_tui.config import Config, TuiConfig
from arbiter_tui.errors import ConfigError
from arbiter_tui.tui import memory, own_themes, theme, wearing
from arbiter_tui.tui.colours import contrast, legible
from arbiter_tui.tui.keys import ACTIONS, binding_id, check
from arbiter_tui.tui.screens.help import Help

EVERY = [*theme.SHORT, *(n for n in BUILTIN_THEMES if not n.startswith("ansi-"))]


@pytest.mark.parametrize("name", EVERY)
def test_every_text_of_every_theme_can_be_read(name: str) -> None:
    """4.5:1 at least, dim and stale text and the selected row included; ansi is the terminal's own and passes."""
    chosen = theme.choose(name, {})
    assert theme.faint(theme.PALETTES[chosen]) == {}


def test_the_measure_of_contrast_is_the_known_one() -> None:
    """Black on white is 21, the same is 1, and grey 119 on white is just below what is asked."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#123456", "#123456") == 1
    assert 4.4 < contrast("#777777", "#ffffff") < 4.5
    assert contrast(legible("#777777", ["#ffffff"]), "#ffffff") >= 4.5
    assert theme.faint(theme._rgb({**theme.DARK, "unit": theme.DARK["unit"]})) == {}


def test_the_check_can_fail() -> None:
    """A palette that was not made legible is found out, by token."""
    from rich.style import Style

    grey = {**theme.PALETTES["arbiter-dark"], "unit": Style(color="#444444", bgcolor="#0f1317")}
    assert list(theme.faint(grey)) == ["unit"]


@pytest.mark.parametrize("name", ["dark", "light", "high-contrast", "ansi", "nord", "solarized-light"])
async def test_the_cockpit_wears_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of theme draws the same words."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    async with seat(HEALTHY, theme=name) as s:
        assert s.app.theme == theme.SHORT.get(name, name)
        assert "gemma3-270m" in s.screen_text()


def test_an_unknown_theme_names_the_nearest() -> None:
    """Before the screen is there."""
    with pytest.raises(ConfigError, match=r"tui.theme = 'gruvbx': there is no such theme; nearest: gruvbox"):
        theme.choose("gruvbx", {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x\nbase: drak\n", "base = 'drak': is not one of the valid values; nearest: dark"),
        ("name: x\ncolors: {}\n", "colors = {}: unknown key; nearest valid key: colours"),
        ("colours: {acent: '#ffffff'}", "colours.acent = '#ffffff': unknown key; nearest valid key: colours.accent"),
        ("name: x\ncolours: {accent: blue}\n", "colours.accent = 'blue': must be a colour as in"),
        ("name: x\ncolours: {accent: 12}\n", "colours.accent = 12: must be a colour"),
        ("name: dark\n", "name = 'dark': must be a text, and none of"),
        ("name: [1\n", "can't be read"),
        ("just text", "must be a table"),
        ("colours: red", "colours = 'red': must be a table"),
    ],
)  # fmt: skip
def test_a_wrong_theme_file_names_file_key_value_and_nearest(tmp_path: Path, text: str, said: str) -> None:
    """As errors of arbiter.toml do."""
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError) as wrong:
        own_themes.load(tmp_path)
    assert str(tmp_path / "mine.yaml") in str(wrong.value)
    assert said in str(wrong.value)


async def test_a_theme_of_ones_own_is_worn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside arbiter.toml, by its name; what it leaves out is its base's; text stays legible."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    (tmp_path / "themes").mkdir()
    (tmp_path / "themes" / "harbour.yaml").write_text('base: light\ncolours:\n  accent: "#bbccff"\n')
    config = Config(path=tmp_path / "arbiter.toml", tui=TuiConfig(theme="harbour"))
    assert look.checked(config)["theme"] == "harbour"
    assert theme.faint(theme.PALETTES["harbour"]) == {}
    async with seat(HEALTHY, theme="harbour") as s:
        assert s.app.theme == "harbour"


def test_the_keys_as_they_are_do_not_conflict() -> None:
    """No configuration: every action has keys of its own."""
    check({}, "arbiter.toml")


@pytest.mark.parametrize(
    ("keymap", "said"),
    [
        ({"wram": "x"}, "arbiter.toml: tui.keys.wram = 'x': there is no such action; nearest valid key: tui.keys.warm"),
        ({"warm": "u"}, "tui.keys.warm = 'u': u is the key of unload already; give tui.keys.unload another one, too"),
        ({"warm": "ctrl+w,/"}, "/ is the key of filter already"),
        ({"help": "slash"}, "/ is the key of filter already"),
        ({"warm": "X", "unload": "X"}, "X is the key of unload already"),
    ],
)
def test_a_wrong_key_is_told_by_name(keymap: dict[str, str], said: str) -> None:
    """Unknown actions and conflicts, however the key is written."""
    with pytest.raises(ConfigError) as wrong:
        check(keymap, "arbiter.toml")
    assert said in str(wrong.value)


def test_keys_may_change_places() -> None:
    """Two actions that exchange their keys are no conflict; stable ids name each of them."""
    check({"warm": "u", "unload": "w", "region-1": "f1"}, "arbiter.toml")
    assert len({binding_id(a.id) for a in ACTIONS}) == len(ACTIONS)


async def test_remapped_keys_act() -> None:
    """The exchanged keys do each other's work."""
    async with seat(HEALTHY, keys={"sort": "z", "zoom": "o"}) as s:
        await s.press("o")
        assert s.app.main.zoomed


async def test_the_palette_has_every_theme_tried_while_the_cursor_moves(tmp_path: Path) -> None:
    """Typed for, worn at once, given back by escape; enter keeps it, for the next sitting too."""
    file = tmp_path / "cockpit.json"
    async with seat(remember=file) as s:
        await s.press("ctrl+p", *"theme:")
        assert isinstance(s.app.screen, Help)
        keys = s.app.screen.keys()
        offered = {wearing.named(key) for key in keys}
        assert offered == {n for n in theme.names() if n != "ansi"}
        await s.press(*" nord")
        assert s.app.screen.keys() == ["theme(nord)"]
        s.app.screen.moved()
        assert s.app.theme == "nord"
        await s.press("escape")
        assert s.app.theme == "arbiter-dark"
        assert s.app.view.theme is None
        await s.press("ctrl+p", *"theme: nord", "enter")
        await s.until(lambda: s.app.theme == "nord")
        await s.press("q")
    async with seat(remember=file) as s:
        assert s.app.theme == "nord"
    async with seat(remember=file, theme="light") as s:
        assert s.app.theme == "arbiter-light", "the configuration was changed since: what it says now holds"


async def test_moving_off_a_theme_gives_the_worn_one_back() -> None:
    """Another command's row is no theme; running it keeps what was worn."""
    async with seat() as s:
        await s.press("ctrl+p", *"theme: gru", "down")
        await s.until(lambda: s.app.theme == "gruvbox")
        await s.press(*["backspace"] * 10, *"machine", "down")
        assert s.app.theme == "arbiter-dark"


def test_a_remembered_theme_that_is_gone_is_passed_over(tmp_path: Path) -> None:
    """The user's own file may have been removed; NO_COLOR goes before everything."""
    file = tmp_path / "cockpit.json"
    memory.save(file, memory.Choices(theme="mine-that-was", theme_over=None))
    assert wearing.first(None, file, {}) == "arbiter-dark"
    memory.save(file, memory.Choices(theme="light", theme_over=None))
    assert wearing.first(None, file, {}) == "arbiter-light"
    assert wearing.first(None, file, {"NO_COLOR": "1"}) == "arbiter-ansi"
    assert wearing.first("dark", file, {}) == "arbiter-dark"
