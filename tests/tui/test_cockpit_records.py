"""What is read in the cockpit: a model's sheet, logs with a search, records, and the way back from them."""

from __future__ import annotations

from canned import GEMMA, SMOL
from cockpit_seat import seat

from arbiter_tui.errors import Refused
from arbiter_tui.tui.screens.confirm import Confirm
from arbiter_tui.tui.screens.explain import Reading


async def test_a_models_sheet_tells_what_it_is_where_it_ranks_and_what_became_of_it() -> None:
    """Identity, memory held against predicted, each task's figures, the swaps that brought it and took it away."""
    async with seat() as s:
        await s.press("enter")
        text = s.screen_text()
        assert "sha256:91aa" in text
        assert "predicted (-2%)" in text
        await s.press("slash", *"topic")
        text = s.screen_text()
        assert f"in for {SMOL}" in text
        assert "412" in text


async def test_a_swap_that_holds_is_undone_from_its_record() -> None:
    """The record's task is meant, not the chosen one."""
    async with seat() as s:
        await s.press("4", "j", "enter")
        assert "undo this" in s.screen_text()
        await s.press("r")
        await s.until(lambda: isinstance(s.app.screen, Confirm))
        assert "roll boolean back?" in s.screen_text()
        await s.press("k", "enter")
        await s.until(lambda: s.did("rollback", "boolean"))


async def test_an_older_point_is_returned_to_from_its_record() -> None:
    """The version that served then serves again; Cancel is the default."""
    async with seat() as s:
        for last in (("enter",), ("k", "enter")):
            await s.press("4", "home", "j", "j", "j", "enter")
            assert "roll back to this point" in s.screen_text()
            await s.press("r")
            await s.until(lambda: isinstance(s.app.screen, Confirm))
            assert f"{GEMMA} serves sentiment again" in s.screen_text()
            assert not s.did("swap", "sentiment", GEMMA)
            await s.press(*last)
            await s.press("1")
        await s.until(lambda: s.did("swap", "sentiment", GEMMA))


async def test_a_failed_swap_offers_no_way_back() -> None:
    """Nothing changed then, so there is nothing to return to."""
    async with seat() as s:
        await s.press("4", *"jjjj", "enter", "r")
        assert isinstance(s.app.screen, Reading)
        assert "roll back" not in s.screen_text()


async def test_a_cockpit_that_only_reads_offers_no_way_back() -> None:
    """The record is readable; its key does nothing."""
    async with seat(read_only=True) as s:
        await s.press("4", "enter", "r")
        assert "undo this" not in s.screen_text()
        assert isinstance(s.app.screen, Reading)
        assert {call[0] for call in s.engine.calls} == {"explain"}


async def test_the_machine_alone_shows_every_core_and_why_something_is_not_read() -> None:
    """What the small region has no room for; an unknown figure is a dash with its reason, never 0."""
    async with seat() as s:
        assert "core3" not in s.screen_text()
        await s.press("3", "z")
        await s.until(lambda: "core3" in s.screen_text())
        told = next(x for x in s.screen_text().splitlines() if "neural engine" in x)
        assert "–" in told
        assert "not read on this machine" in told


async def test_a_swaps_record_grows_when_its_evidence_has_come() -> None:
    """At once what the snapshot knows; then the requests around it and what the decision was held against."""
    async with seat() as s:
        await s.press("4", "enter")
        await s.until(lambda: "single requests" in s.screen_text())
        for said in ("before", "├", "● good", "another surely leads"):
            assert said in s.screen_text()
        await s.press("G")
        for said in ("held against", "the ranking then"):
            assert said in s.screen_text()
        assert s.did("explain", "de-31")


async def test_a_swap_whose_record_cannot_be_had_shows_what_the_snapshot_knows() -> None:
    """The reason is said below; the phases are there all the same."""
    async with seat() as s:
        s.engine.refuse["explain"] = Refused("forgotten")
        await s.press("4", "enter")
        await s.until(lambda: "forgotten" in s.notice)
        assert "phases" in s.screen_text()
        assert "single requests" not in s.screen_text()
