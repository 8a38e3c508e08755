"""A bare question of a task reaches the model as the benchmark would ask it; everything else is the client's own."""

from __future__ import annotations

import pytest
from engine_kit import Engine, read

from arbiter_tui.core.tasks import Task
from arbiter_tui.core.verify import SuiteItem
from arbiter_tui.engine.bench import request_of
from arbiter_tui.errors import ContextOverflow
from arbiter_tui.provider import Message, Request
from arbiter_tui.testing import Behaviour

TASK = Task(name="work", few_shot=(("1+1?", "2"), ("2+2?", "4")))
BARE = Request(messages=(Message("user", "3+3?"),))


class Heard:
    """An answer that remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> str:
        self.requests.append(request)
        return "6"


async def ask(e: Engine, heard: Heard, name: str, request: Request, *, task: str | None = None) -> Request:
    assert await read(await e.arbiter.begin(name, request, task=task)) == "6"
    return heard.requests[-1]


async def test_a_bare_question_by_task_is_put_as_the_benchmark_puts_it() -> None:
    """Turns, pairs and the end of the answer are those of the suite's request; length and sampling the client's."""
    heard = Heard()
    async with Engine({"a": Behaviour(answer=heard)}, tasks=(TASK,)) as e:
        wanted = request_of(TASK, SuiteItem(id="1", task="work", prompt="3+3?", reference="6"))
        for name, task in (("arbiter/work", None), ("gpt-4", "work")):
            seen = await ask(e, heard, name, BARE, task=task)
            assert (seen.messages, seen.few_shot, seen.stop) == (wanted.messages, wanted.few_shot, wanted.stop)
            assert (seen.max_tokens, seen.temperature) == (BARE.max_tokens, BARE.temperature)


@pytest.mark.parametrize(
    "request_",
    [
        Request(messages=(Message("system", "Be brief."), Message("user", "3+3?"))),
        Request(messages=(Message("user", "1+1?"), Message("assistant", "2"), Message("user", "3+3?"))),
        Request(messages=(Message("system", "3+3?"),)),
        Request(prompt="3+3="),
    ],
)
async def test_a_conversation_an_instruction_and_a_raw_prompt_are_the_clients_own(request_: Request) -> None:
    """They reach the model as they came."""
    heard = Heard()
    async with Engine({"a": Behaviour(answer=heard)}, tasks=(TASK,)) as e:
        assert await ask(e, heard, "arbiter/work", request_) == request_


async def test_who_names_a_version_gets_it_unadorned() -> None:
    """Examples belong to the task, and here the client chose the model itself."""
    heard = Heard()
    async with Engine({"a": Behaviour(answer=heard)}, tasks=(TASK,)) as e:
        assert await ask(e, heard, "a", BARE) == BARE
        assert await ask(e, heard, "a", BARE, task="work") == BARE


async def test_the_clients_own_end_or_form_of_an_answer_stands() -> None:
    """A stop of its own is kept; JSON that may have several lines is not cut at the first."""
    heard = Heard()
    async with Engine({"a": Behaviour(answer=heard)}, tasks=(TASK,)) as e:
        ends = Request(messages=BARE.messages, stop=("END",))
        assert (await ask(e, heard, "arbiter/work", ends)).stop == ("END",)
        form = Request(messages=BARE.messages, json_schema={"type": "object"})
        seen = await ask(e, heard, "arbiter/work", form)
        assert seen.stop == ()
        assert len(seen.messages) == 5


async def test_a_question_that_fits_only_without_examples_is_asked_without_them() -> None:
    """They must never cost an answer; a question that doesn't fit even alone is refused as before."""
    heard = Heard()
    async with Engine({"a": Behaviour(answer=heard, context=4)}, tasks=(TASK,)) as e:
        assert await ask(e, heard, "arbiter/work", BARE) == BARE
        assert e.arbiter.requests()[0]["success"]
        assert e.arbiter.in_flight == 0
        with pytest.raises(ContextOverflow):
            await read(await e.arbiter.begin("arbiter/work", Request(messages=(Message("user", "one 2 3 4 5"),))))
        assert e.arbiter.in_flight == 0
