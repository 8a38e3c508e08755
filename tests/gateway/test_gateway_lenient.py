"""What clients of OpenAI's dialect send besides its letter: taken as it is meant, and nothing else with it."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_cases import CHAT, Stand

from arbiter_tui.provider import Request

USER = {"role": "user", "content": "hi"}


async def test_the_developer_is_the_system(seen: tuple[Stand, list[Request]]) -> None:
    """Templates and other dialects know one word for who instructs."""
    one, requests = seen
    told = [{"role": "developer", "content": "Be brief."}, USER]
    assert (await one.http.post(CHAT, json={"model": "fake-a", "messages": told})).status_code == 200
    assert [m.role for m in requests[0].messages] == ["system", "user"]


@pytest.mark.parametrize(("limit", "meant"), [
    ({"max_tokens": -1}, 300), ({"max_completion_tokens": -1, "max_tokens": 5}, 300), ({"max_tokens": 8.0}, 8),
    ({"max_completion_tokens": 7.0, "max_tokens": 5}, 7), ({"max_completion_tokens": None, "max_tokens": 5}, 5),
])  # fmt: skip
async def test_limits_as_clients_write_them(
    seen: tuple[Stand, list[Request]], limit: dict[str, Any], meant: int
) -> None:
    """-1 is none, as LM Studio and llama-server say; 8.0 is 8; the newer word counts."""
    one, requests = seen
    assert (await one.chat(**limit)).status_code == 200
    assert requests[0].max_tokens == meant


@pytest.mark.parametrize("limit", [0, -2, 8.5, "8", True])
async def test_a_limit_that_is_none_is_named(inside: Stand, limit: object) -> None:
    """400 before anybody is asked."""
    for key in ("max_tokens", "max_completion_tokens"):
        answer = await inside.chat(**{key: limit})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, key)
    assert inside.provider.loads == []


async def test_ollamas_options_may_be_written_as_numbers(seen: tuple[Stand, list[Request]]) -> None:
    """Its own server reads them so."""
    one, requests = seen
    body = {"model": "fake-a", "prompt": "hi", "options": {"num_predict": 9.0, "seed": 42.0}}
    assert (await one.http.post("/api/generate", json=body)).status_code == 200
    assert (requests[0].max_tokens, requests[0].seed) == (9, 42)


@pytest.mark.parametrize(("choice", "status"), [("none", 200), ("auto", 200), ("required", 400)])
async def test_a_choice_among_no_tools(inside: Stand, choice: str, status: int) -> None:
    """Not to call any, or as it likes, is what happens anyway; to have to call one is not possible."""
    assert (await inside.chat(tool_choice=choice)).status_code == status


async def test_a_refusal_of_an_earlier_turn_is_its_text(seen: tuple[Stand, list[Request]]) -> None:
    """Clients send back what they were answered."""
    one, requests = seen
    told = [USER, {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}, USER]
    assert (await one.http.post(CHAT, json={"model": "fake-a", "messages": told})).status_code == 200
    assert requests[0].messages[1].content == "No."
