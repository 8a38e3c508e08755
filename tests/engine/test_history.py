"""The requests that have ended: this run's and the store's as one list, and the prompts that are remembered."""

from __future__ import annotations

import pytest
from engine_kit import ASK, Engine

from arbiter_tui.core.tasks import Task
from arbiter_tui.engine.history import LONGEST_PROMPT, PROMPTS_PER_TASK, Prompts
from arbiter_tui.errors import StoreError
from arbiter_tui.provider import Message, Request
from arbiter_tui.testing import MemoryStore


def asking(text: str) -> Request:
    return Request(messages=(Message("user", text),))


async def test_an_earlier_engine_of_the_folder_is_not_forgotten() -> None:
    """A new engine lists what the one before it answered, newest first, behind its own; pages join without a gap."""
    store = MemoryStore()
    async with Engine(store=store) as first:
        for _ in range(3):
            await first.arbiter.execute("work", ASK)
        before = [r["id"] for r in await first.arbiter.history.page(limit=10)]
    async with Engine(store=store) as second:
        assert [r["id"] for r in await second.arbiter.history.page(limit=10)] == before
        mine = (await second.arbiter.execute("work", ASK)).id
        whole = [r["id"] for r in await second.arbiter.history.page(limit=10)]
        assert whole == [mine, *before]
        paged: list[str] = []
        while len(paged) < len(whole):
            page = await second.arbiter.history.page(limit=1, after=paged[-1] if paged else None)
            paged += [r["id"] for r in page]
        assert paged == whole
        assert not await second.arbiter.history.page(limit=1, after=paged[-1])


async def test_questions_of_the_benchmark_are_no_requests() -> None:
    """Only what a client asked is listed, also where the store holds more."""
    store = MemoryStore()
    async with Engine(store=store) as first:
        asked = (await first.arbiter.execute("work", ASK)).id
        view = await first.arbiter.start_bench(["work"], ["a"])
        await first.until(lambda: first.arbiter.operation(view.id).state == "done")
    async with Engine(store=store) as second:
        assert [r["id"] for r in await second.arbiter.history.page(limit=100)] == [asked]


async def test_a_store_that_fails_hides_nothing_of_this_run() -> None:
    """What is in memory is listed all the same."""
    async with Engine() as e:
        asked = (await e.arbiter.execute("work", ASK)).id

        async def broken(**_: object) -> list[object]:
            raise StoreError("the disk is gone")

        e.store.list_outcomes = broken  # type: ignore[method-assign, assignment]
        assert [r["id"] for r in await e.arbiter.history.page(limit=10)] == [asked]


async def test_prompts_are_shown_on_request_and_never_of_a_private_task() -> None:
    """A task that became private after its requests is private, too; without being asked no prompt leaves."""
    async with Engine(tasks=("work", Task(name="secret", private=True))) as e:
        await e.arbiter.execute("work", asking("what is it"))
        await e.arbiter.execute("secret", asking("my diary"))
        rows = {r["task"]: r for r in await e.arbiter.history.page(limit=10, prompts=True)}
        assert rows["work"]["messages"] == [{"role": "user", "content": "what is it"}]
        assert "messages" not in rows["secret"]
        assert all("messages" not in r for r in await e.arbiter.history.page(limit=10))
        assert [r["task"] for r in await e.arbiter.history.page(limit=10, task="work")] == ["work"]
        e.arbiter.live.tasks["work"] = Task(name="work", private=True)
        assert all("messages" not in r for r in await e.arbiter.history.page(limit=10, prompts=True))


async def test_no_prompt_reaches_the_store() -> None:
    """A new engine of the folder knows the request and not its prompt."""
    store = MemoryStore()
    async with Engine(store=store) as first:
        await first.arbiter.execute("work", asking("what is it"))
    async with Engine(store=store) as second:
        (row,) = await second.arbiter.history.page(limit=10, prompts=True)
        assert "messages" not in row


def test_each_task_keeps_its_newest_prompts() -> None:
    """A busy task pushes out its own oldest, never another's."""
    prompts = Prompts()
    prompts.keep("quiet", "q", asking("quiet"))
    for n in range(PROMPTS_PER_TASK + 5):
        prompts.keep("busy", f"b{n}", asking("x"))
    assert prompts.of("q") is not None
    assert prompts.of("b4") is None
    assert prompts.of("b5") is not None


def test_all_prompts_together_stay_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first, whichever task they are of; what is too long is not kept at all."""
    monkeypatch.setattr("arbiter_tui.engine.history.PROMPT_CHARACTERS", 25)
    prompts = Prompts()
    for n in range(4):
        prompts.keep(f"t{n % 2}", f"id{n}", asking("0123456789"))
    assert [n for n in range(4) if prompts.of(f"id{n}")] == [2, 3]
    prompts.keep("t0", "long", asking("x" * (LONGEST_PROMPT + 1)))
    assert prompts.of("long") is None


async def test_the_benchmarks_cells_fill_and_keep_their_figure() -> None:
    """Before: no figure. While it runs: how many of how many. After: the mean and on how many it stands."""
    async with Engine() as e:
        before = {(c["task"], c["version"]): c for c in e.arbiter.bench_cells()}
        assert before["work", "a"]["quality"] is None
        assert before["work", "a"]["samples"] == 0
        assert before["work", "a"]["questions"] == 12
        view = await e.arbiter.start_bench(["work"], ["a"])
        cells = {(c["task"], c["version"]): c for c in e.arbiter.bench_cells()}
        assert cells["work", "a"]["state"] in ("waiting", "running")
        assert cells["work", "b"]["state"] == "idle"
        await e.until(lambda: e.arbiter.operation(view.id).state == "done")
        after = {(c["task"], c["version"]): c for c in e.arbiter.bench_cells()}
        assert after["work", "a"]["samples"] == 12
        assert after["work", "a"]["quality"] is not None
        assert after["work", "a"]["state"] == "idle"
        again = await e.arbiter.start_bench(["work"], ["a"])
        kept = {(c["task"], c["version"]): c for c in e.arbiter.bench_cells()}["work", "a"]
        assert (kept["samples"], kept["quality"]) == (12, after["work", "a"]["quality"])
        await e.arbiter.cancel_operation(again.id)


async def test_a_named_version_is_asked_in_the_tasks_form_when_that_is_wished() -> None:
    """Side by side, both models get the worked examples that whoever serves the task gets."""
    task = Task(name="work", few_shot=(("q", "a"),))
    async with Engine(tasks=(task,)) as e:
        for examples, wanted in ((False, 1), (True, 3)):
            answer = await e.arbiter.begin("a", ASK, task="work", examples=examples)
            assert len(answer.request.messages) == wanted
            assert answer.bare is ASK
            await answer.aclose()


def test_a_prompt_with_a_picture_is_not_kept() -> None:
    """Its text alone would ask something else, and the picture is megabytes long."""
    prompts = Prompts()
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    seen = Message("user", "What is this?", parts=({"type": "text", "text": "What is this?"}, picture))
    prompts.keep("work", "1", Request(messages=(seen,), media=(("messages[0].content[1]", "vision"),)))
    prompts.keep("work", "2", asking("What is this?"))
    assert (prompts.of("1"), prompts.of("2")) == (None, (Message("user", "What is this?"),))
