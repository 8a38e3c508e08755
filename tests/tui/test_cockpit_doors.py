"""Bad links, bad engines, bad terminals, several cockpits: what is on the screen stays true, typed and safe."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from canned import GEMMA, HEALTHY, MODELS
from canned_states import LONG
from cockpit_seat import Seat, seat
from fake_cockpit import Clock, FakeEngine, cockpit
from textual import events

from arbiter_tui.client import ControlClient
from arbiter_tui.core.snapshot import to_wire
from arbiter_tui.errors import ArbiterError, EngineUnreachable, Refused
from arbiter_tui.tui.glyphs import only_ascii, safe, spelt
from arbiter_tui.tui.guard import READS, WRITES, ReadOnly
from arbiter_tui.tui.keys import ACTIONS, BY_ID
from arbiter_tui.tui.screens.help import Help
from arbiter_tui.tui.screens.swap_dialog import SwapDialog


# a link that is lost --------------------------------------------------------------------------------------------------
async def test_what_was_typed_outlives_a_lost_link() -> None:
    """A filter half typed and an open dialog are there after loss and return, and typing goes on."""
    async with seat() as s:
        await s.press("slash", *"gem")
        s.engine.lose()
        await s.until(lambda: s.app.view.link == "gone")
        await s.press("m")
        s.engine.fail = None
        await s.until(lambda: s.app.view.link == "live")
        await s.press("a")
        assert s.app.main.pool.wanted == "gemma"
        await s.press("enter", "s")
        s.engine.lose()
        await s.until(lambda: s.app.view.link == "gone")
        s.engine.fail = None
        await s.until(lambda: s.app.view.link == "live")
        assert isinstance(s.app.screen, SwapDialog)


async def test_letters_that_follow_the_slash_at_once_belong_to_the_filter() -> None:
    """A fast hand, a paste or a slow machine: no letter of the word is taken for a key, here and in a dialog."""
    async with seat() as s:
        for key in ("/", *"uwe"):  # each of them is a key of its own
            s.app.post_message(events.Key("slash" if key == "/" else key, key))
        await s.until(lambda: s.app.main.pool.wanted == "uwe")
        assert s.app.screen is s.app.main
        await s.press("escape", "question_mark")
        for key in ("/", *"qk"):
            s.app.post_message(events.Key("slash" if key == "/" else key, key))
        await s.until(lambda: getattr(s.app.screen, "wanted", "") == "qk")


async def test_old_figures_are_greyed_and_say_their_age() -> None:
    """While the engine is gone the header counts how old the picture is."""
    clock = Clock()
    async with seat(now=clock) as s:
        s.engine.lose()
        await s.until(lambda: s.app.view.link == "gone")
        clock.at += 12.5
        s.app.check_stale()
        assert "this is 12 s old" in s.screen_text()
        assert s.app.view.dimmed
        assert "connection refused" in s.screen_text()


# an engine that is older, newer, lying or another program -------------------------------------------------------------
def wire(change: Any) -> ControlClient:
    """A client of something that answers the snapshot with whatever it is given."""
    body = change if isinstance(change, bytes) else json.dumps(change).encode()
    return ControlClient("http://remote", transport=httpx.MockTransport(lambda r: httpx.Response(200, content=body)))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>hello</html>", "what answers at http://remote is no arbiter engine: its answer is not JSON"),
        ({"hello": "world"}, "is no arbiter engine: its snapshot has no revision"),
        ([1, 2], "is no arbiter engine"),
        ({**to_wire(HEALTHY), "models": [{"version": "a", "requests": "many"}]},
         "the engine at http://remote can't be read: models[0].requests is 'many', not a whole number"),
    ],
)  # fmt: skip
async def test_a_lying_engine_is_a_sentence_on_the_screen(body: Any, said: str) -> None:
    """Never a traceback and never figures that it did not send; it is tried again, for it may be replaced."""
    app = cockpit(HEALTHY, engine=wire(body))  # type: ignore[arg-type]
    async with app.run_test(size=(120, 40)) as pilot:
        async with asyncio.timeout(30):
            while app.view.trouble is None:
                await pilot.pause()
        assert said in app.view.trouble.why
        assert app._exception is None


async def test_an_older_and_a_newer_engine_are_read_and_said() -> None:
    """Missing fields are unknown, unknown ones are passed over; that versions differ is said once."""
    newer = {**to_wire(HEALTHY), "weather": "fine", "engine": {"state": "ready", "version": "9.0", "mood": 1}}
    older = {"revision": 3, "models": [{"version": GEMMA, "state": "ready"}], "tasks": [{"task": "topic"}]}
    for body, words in ((newer, "The engine is version 9.0"), (older, GEMMA.partition(".")[0])):
        app = cockpit(HEALTHY, engine=wire(body), history=False)  # type: ignore[arg-type]
        async with app.run_test(size=(120, 40)) as pilot:
            async with asyncio.timeout(30):
                while app.view.link != "live":
                    await pilot.pause()
            await pilot.pause()
            assert words in Seat(app, FakeEngine(), pilot).screen_text()


async def test_a_slow_engine_is_stale_and_keys_still_answer() -> None:
    """No answer within three seconds greys the picture; moving and help work meanwhile."""
    clock = Clock()
    async with seat(now=clock) as s:
        clock.at += 3.5
        s.app.check_stale()
        assert s.app.view.link == "stale"
        await s.press("j", "question_mark")
        assert isinstance(s.app.screen, Help)


# what must not reach the terminal -------------------------------------------------------------------------------------
NASTY = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\x00\rmodel\n\x7f"


async def test_control_sequences_of_models_never_reach_the_terminal() -> None:
    """In names, errors, the narrator, alerts, logs and records: what is drawn has none of them."""
    bad = replace(
        HEALTHY,
        models=(replace(MODELS[0], version=NASTY + "-q4.x", error=NASTY), *MODELS[1:]),
        narrator=NASTY, alerts=(replace(HEALTHY.alerts[0], message=NASTY),),
        swaps=(replace(HEALTHY.swaps[0], reason=NASTY, error=NASTY, evidence={NASTY: NASTY}), *HEALTHY.swaps[1:]),
    )  # fmt: skip
    async with seat(bad) as s:
        s.app.main.pool.cursor = bad.models[0].version
        for keys in ((), ("enter",), ("escape", "l"), ("escape", "4", "enter"), ("escape", "s")):
            await s.press(*keys)
            drawn = [strip.text for strip in s.app.screen._compositor.render_strips(s.app.size)]
            assert all(c.isprintable() for line in drawn for c in line), keys


def test_harmless_signs_are_left_alone() -> None:
    """Wide letters, emoji with joiners, accents, right-to-left letters: these are names."""
    for text in ("一个模型", "👩‍🔬 lab", "é", "مرحبا", "plain"):
        assert safe(text) == text


# a terminal without Unicode -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("environ", "ascii"),
    [
        ({}, False), ({"LANG": "C"}, True), ({"LANG": "en_US.UTF-8"}, False), ({"LANG": "C.UTF-8"}, False),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, True), ({"LANG": "en_US.ISO-8859-1"}, True),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "POSIX"}, True), ({"LANG": "C", "LC_CTYPE": "de_DE.utf8"}, False),
    ],
)  # fmt: skip
def test_the_locale_says_whether_the_terminal_knows_unicode(environ: dict[str, str], ascii: bool) -> None:
    """As POSIX ranks them; what Python itself sets is not the user's word."""
    assert only_ascii(environ) is ascii


@pytest.mark.parametrize("keys", [(), ("question_mark",), ("enter",), ("s",), ("3", "z"), ("4", "enter")])
async def test_without_unicode_everything_is_ascii_and_in_its_place(
    monkeypatch: pytest.MonkeyPatch, keys: tuple[str, ...]
) -> None:
    """Each sign has a replacement that is as wide; what means something different looks different."""
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.setenv("LANG", "C")
    async with seat(LONG) as s:
        await s.press(*keys)
        drawn = list(s.app.screen._compositor.render_strips(s.app.size))
        assert all(strip.text.isascii() for strip in drawn)
        assert {strip.cell_length for strip in drawn} == {120}
    assert len({safe(c, ascii=True) for c in "◆◇▲✕●◐"}) == 6


@pytest.mark.parametrize("keys", [(), ("question_mark",), ("i",), ("s",)])
async def test_without_unicode_enter_and_back_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, keys: tuple[str, ...]
) -> None:
    """Keys are spelt out where the line has the room; nothing else moves out of its frame."""
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.setenv("LANG", "C")
    async with seat() as s:
        await s.press(*keys)
        drawn = list(s.app.screen._compositor.render_strips(s.app.size))
        text = "\n".join(strip.text for strip in drawn)
        assert {strip.cell_length for strip in drawn} == {120}
        assert "Enter" in text
        if keys == ("i",):
            assert "Enter next  <- back  esc skip" in text
            assert "Enter tells all about it" in " ".join(s.screen_text().replace("│", " ").split())


def test_a_key_is_spelt_out_at_the_cost_of_a_gap_and_only_there() -> None:
    """The cells are those of the longest gap behind it, else before it; without one the single sign stays."""
    assert spelt([("⏎     ", "key"), ("run", "unit")]) == [("Enter ", "key"), ("run", "unit")]
    assert spelt([("──────", "rule"), ("⏎", "key"), (" go", "unit")]) == [
        ("──", "rule"), ("Enter", "key"), (" go", "unit"),
    ]  # fmt: skip
    assert "".join(t for t, _ in spelt([("⏎ go", "key")])) == "< go"


# read-only ------------------------------------------------------------------------------------------------------------
def test_every_call_is_known_to_read_or_to_write() -> None:
    """A new call of the client must say in tui/guard.py which it is; until then it is refused when read-only."""
    calls = {n for n in vars(ControlClient) if not n.startswith("_")}
    assert calls <= READS | WRITES, f"say in tui/guard.py whether these read: {calls - READS - WRITES}"
    assert not READS & WRITES


@pytest.mark.parametrize("name", sorted(WRITES - {"alias", "put_task", "post", "put", "delete"}))
async def test_no_writing_call_passes_a_read_only_cockpit(name: str) -> None:
    """Refused with the reason, whatever screen asked; a dry run of a swap still answers."""
    engine = FakeEngine(HEALTHY)
    guarded: Any = ReadOnly(engine)
    if not hasattr(engine, name):
        setattr(engine, name, lambda *a: pytest.fail("it was called"))
    with pytest.raises(Refused, match="this cockpit only reads"):
        await getattr(guarded, name)("x", "y")
    assert not engine.calls
    assert await guarded.swap("topic", GEMMA, dry_run=True) == engine.preview
    assert (await guarded.snapshot()).revision == HEALTHY.revision


@pytest.mark.parametrize("how", ["cockpit", "engine"])
async def test_read_only_offers_no_key_that_writes(how: str) -> None:
    """Neither in the footer, nor in the help, nor in the palette; whether the cockpit or the engine only reads."""
    shown = HEALTHY if how == "cockpit" else replace(HEALTHY, engine=replace(HEALTHY.engine, read_only=True))
    async with seat(shown, read_only=how == "cockpit") as s:
        assert not any(a.writes for a in s.app.main.footer_.actions)
        for key in ("question_mark", "ctrl+p"):
            await s.press(key)
            assert isinstance(s.app.screen, Help)
            offered = {e.key for e in s.app.screen.entries(80) if e.key and not e.key.startswith("theme(")}
            assert offered == {a.id for a in ACTIONS if not a.writes}
            await s.press("escape")
        assert any(BY_ID[a].writes for a in BY_ID)
        assert "read-only" in s.screen_text()


# several cockpits -----------------------------------------------------------------------------------------------------
class Shared(FakeEngine):
    """One engine, several clients: each waits for itself."""

    def __init__(self) -> None:
        super().__init__(HEALTHY)
        self._seats: list[asyncio.Event] = []

    def show(self, snapshot: Any) -> None:
        self.snapshots.append(snapshot)
        for event in self._seats:
            event.set()

    async def snapshot(self, after: int | None = None, wait: float | None = None, task: str | None = None) -> Any:
        if after is not None and self.snapshots[-1].revision == after:
            event = asyncio.Event()
            self._seats.append(event)
            try:
                async with asyncio.timeout(wait):
                    await event.wait()
            except TimeoutError:
                pass
            self._seats.remove(event)
        return self.snapshots[-1]

    async def autopilot(self, task: str | None, mode: str) -> Any:
        tasks = tuple(replace(t, autopilot=mode) if t.task == task else t for t in HEALTHY.tasks)
        self.show(replace(HEALTHY, revision=self.snapshots[-1].revision + 1, tasks=tasks))


async def test_several_cockpits_agree() -> None:
    """What one of them sets, the other shows with its next snapshot, and both call it done by the same proof."""
    engine = Shared()
    one, other = cockpit(HEALTHY, engine=engine), cockpit(HEALTHY, engine=engine)
    async with one.run_test(size=(120, 40)) as here, other.run_test(size=(80, 24)) as there:
        async with asyncio.timeout(10):
            while one.view.snapshot is None or other.view.snapshot is None:
                await here.pause()
                await there.pause()
            await here.press("a", "j", "enter")
            while other.view.task_view() is None or other.view.task_view().autopilot != "observe":  # type: ignore[union-attr]
                await there.pause()
            while one.view.notice is None or not one.view.notice.text.startswith("✓"):
                await here.pause()
        assert one.view.snapshot is other.view.snapshot


def test_a_refusal_is_an_error_of_ours() -> None:
    """So that every screen already knows how to show it."""
    assert issubclass(Refused, ArbiterError)
    assert not issubclass(Refused, EngineUnreachable)
