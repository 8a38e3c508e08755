"""A model's own sheet: everything that is known of it, live, and the keys that act on it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from canned import GEMMA, HEALTHY, NOW, SMOL_CPP
from canned_past import ABOUT, past
from cockpit_seat import seat, with_model

from arbiter_tui.core.snapshot import RowView
from arbiter_tui.errors import UnknownName
from arbiter_tui.tui.screens.model_detail import ModelDetail
from arbiter_tui.tui.screens.past import changes, memory_lines, plots, provenance, states, when
from arbiter_tui.tui.state import FEW, quality_of
from arbiter_tui.tui.text import plain, width_of

SIZES = [(80, 24), (120, 40), (200, 60)]


@pytest.mark.parametrize("size", [(80, 100), (120, 100), (200, 100)])
async def test_the_sheet_shows_all_that_is_known(size: tuple[int, int]) -> None:
    """Identity, provenance, memory expected and measured, both curves, steps, life cycle, tasks, swaps, log."""
    async with seat(size=size) as s:
        await s.press("enter")
        assert isinstance(s.app.screen, ModelDetail)
        await s.until(lambda: "llama_model_load: line 39" in s.screen_text() and "tokens/s" in s.screen_text())
        text = s.screen_text()
        for word in (
            "gemma3-270m · Q4_K_M", "/srv/models/gemma-3-270m-it-Q4_K_M.gguf", "268.1 M parameters", "champion",
            "expected", "most seen", "now 131", "median", "first token", "ready after 0.31 s", "killed by SIGKILL",
            "its life cycle", "kept warm · by operator", "registered", "◆ topic", "swaps in and out", "in for smol",
        ):  # fmt: skip
            assert word in text, word
        assert any(0x2800 < ord(c) <= 0x28FF for c in text)


@pytest.mark.parametrize("size", SIZES)
async def test_it_is_live(size: tuple[int, int]) -> None:
    """A new snapshot is drawn at once; the past is asked for again when there is more of it, and not before."""
    async with seat(size=size) as s:
        await s.press("enter")
        await s.until(lambda: s.did("model_history", GEMMA))
        await s.show(replace(HEALTHY, revision=90))
        await s.pilot.pause(0.0)
        assert s.engine.calls.count(("model_history", GEMMA)) == 1
        await s.show(with_model(GEMMA, state="failed", error="it died", requests=3171))
        assert "✕ failed" in s.screen_text()
        await s.until(lambda: s.engine.calls.count(("model_history", GEMMA)) == 2)


async def test_a_search_keeps_the_lines_with_its_words() -> None:
    """The two columns become one; escape gives them back, and the next one closes."""
    async with seat() as s:
        await s.press("enter")
        await s.until(lambda: "its life cycle" in s.screen_text())
        await s.press("slash", *"sigkill")
        assert "killed by SIGKILL" in s.screen_text()
        assert "its life cycle" not in s.screen_text()
        await s.press("escape")
        assert "its life cycle" in s.screen_text()
        await s.press("escape")
        assert not isinstance(s.app.screen, ModelDetail)


@pytest.mark.parametrize(
    ("key", "version", "call"), [("w", SMOL_CPP, ("warm", SMOL_CPP)), ("l", GEMMA, ("log", GEMMA))]
)
async def test_its_keys_act_on_this_model(key: str, version: str, call: tuple[str, str]) -> None:
    """The sheet closes and the main screen does it on the same version, wherever the cursor has gone meanwhile."""
    async with seat() as s:
        s.app.main.pool.cursor = version
        await s.press("enter")
        assert isinstance(s.app.screen, ModelDetail)
        s.app.main.pool.cursor = "elsewhere"
        await s.press(key)
        await s.until(lambda: s.did(*call))


async def test_unload_asks_and_swap_opens_its_dialog() -> None:
    """What is dangerous stays a question."""
    async with seat() as s:
        await s.press("enter", "u")
        await s.until(lambda: "It serves topic" in s.screen_text())
        await s.press("escape", "enter", "s")
        await s.until(lambda: "who serves" in s.screen_text())


async def test_keys_that_do_not_apply_are_not_offered() -> None:
    """A ready model is not warmed; read-only changes nothing."""
    async with seat(read_only=True) as s:
        await s.press("enter")
        text = s.screen_text()
        assert "warm up" not in text
        assert "swap  " not in text.splitlines()[-1]
        await s.press("w", "u", "s")
        assert isinstance(s.app.screen, ModelDetail)
        assert not [c for c in s.engine.calls if c[0] in ("warm", "unload", "swap")]


async def test_an_engine_that_does_not_tell_the_past_says_so() -> None:
    """An older one has no such call: everything else is shown."""
    async with seat() as s:
        s.engine.refuse["model_history"] = UnknownName("path", "history", [])
        await s.press("enter")
        await s.until(lambda: "its past can't be read" in s.screen_text())
        assert "champion" in s.screen_text()


@pytest.mark.parametrize(
    "broken", [{"samples": [3]}, {"states": [{"at": "noon"}]}, {"changes": 7}, {"samples": [{"at": None}]}]
)
async def test_a_past_that_makes_no_sense_is_refused_whole(broken: dict[str, object]) -> None:
    """An engine that lies costs a sentence, never the cockpit."""
    async with seat() as s:

        async def lie(v: str) -> dict[str, object]:
            return {**past(v), **broken}

        s.engine.model_history = lie  # type: ignore[method-assign, assignment]
        await s.press("enter")
        await s.until(lambda: "can't read" in s.screen_text())
        assert s.app._exception is None


async def test_a_model_that_vanishes_while_it_is_read() -> None:
    """The sheet says so and stays."""
    async with seat() as s:
        await s.press("enter")
        await s.show(replace(HEALTHY, revision=91, models=HEALTHY.models[2:]))
        assert "no longer knows it" in s.screen_text()
        await s.press("escape")


def test_nothing_measured_is_no_curve() -> None:
    """A dash or a word, never a line at 0."""
    lines = plots({"samples": [{"at": NOW, "tokens_per_second": None, "ttft_s": None}]}, NOW, 60)
    assert [plain(x).split()[-3:] for x in lines if x] == [["not", "measured", "yet"]] * 2
    assert states({}, NOW, 60) == changes({}, NOW, 60) == provenance({}, 60) == []
    cold = replace(HEALTHY.models[3], predicted_bytes=None)
    assert memory_lines(cold, {}, 60) == []


def test_lines_never_exceed_their_width() -> None:
    """Whatever the width, nothing is pushed out of its column."""
    for width in (30, 44, 57, 90):
        for part in (plots(past(GEMMA), NOW, width), states(past(GEMMA), NOW, width), changes(past(GEMMA), NOW, width),
                     provenance(ABOUT, width), memory_lines(HEALTHY.models[1], past(GEMMA), width)):  # fmt: skip
            assert all(width_of(x) <= width for x in part), width


def test_the_life_cycle_leaves_out_whom_it_serves() -> None:
    """Routes are swaps, and those have a list of their own: they must not push the registration out of sight."""
    routes = [{"at": NOW, "who": "engine", "action": "route", "subject": f"task -> {GEMMA}"}] * 20
    told = changes({**past(GEMMA), "changes": [*routes, *past(GEMMA)["changes"]]}, NOW, 60)
    assert any("registered" in plain(x) for x in told)
    assert not any("route" in plain(x) for x in told)


def test_times_are_as_exact_as_they_are_fresh() -> None:
    """Seconds today, the day before that."""
    assert when(NOW - 5, NOW) == "14:30:55"
    assert when(NOW - 86_400, NOW).endswith("14:31")


def test_control_sequences_of_an_engine_do_not_reach_the_lines() -> None:
    """Messages of workers are text."""
    said = {"states": [{"at": NOW, "state": "failed", "message": "bad\x1b[2J\nline"}]}
    assert all(x.text.isprintable() for row in states(said, NOW, 60) for x in row)


@pytest.mark.parametrize("size", SIZES)
async def test_a_search_reads_all_that_its_worker_printed(size: tuple[int, int]) -> None:
    """The sheet shows what has room of it; the search knows the rest."""
    async with seat(size=size) as s:
        await s.press("enter")
        sheet = s.app.screen
        assert isinstance(sheet, ModelDetail)
        await s.until(lambda: len(sheet.output) > 30)
        await s.press("slash", *"load:", "space", *"line", "space", "3")
        await s.until(lambda: "llama_model_load: line 3 " in s.screen_text())
        assert "llama_model_load: line 13" in s.screen_text()


@pytest.mark.parametrize("width", [40, 54, 74])
def test_a_source_is_told_whole(width: int) -> None:
    """A path of usual length, even in half of a narrow screen: a cut one names no file."""
    path = "/srv/models/huggingface/hub/models--google--gemma-3-270m-it-GGUF/snapshots/main/gemma-3-270m-it-Q4_K_M.gguf"
    told = "".join(plain(x)[12:].strip() for x in provenance({"source": path}, width)[1:])
    assert told == path


def test_what_a_few_samples_say_is_marked() -> None:
    """One grade is a whole 1.00: a tilde tells that it is a guess, until there are five."""
    row = RowView(version="a", quality=1.0, samples=FEW - 1)
    assert quality_of(row) == "~1.00"
    assert quality_of(replace(row, samples=FEW)) == "1.00"
    assert quality_of(replace(row, quality=None)) == quality_of(None) == "–"


def test_the_most_that_was_seen_is_never_less_than_what_is_seen_now() -> None:
    """The past is asked for now and then, the present comes with each snapshot."""
    now = replace(next(m for m in HEALTHY.models if m.version == GEMMA), resident_bytes=502 << 20)
    lines = [plain(x) for x in memory_lines(now, {"memory": {"largest_bytes": 496 << 20}}, 60)]
    assert [x.split()[:3] for x in lines if "seen" in x] == [["most", "seen", "502"]]
