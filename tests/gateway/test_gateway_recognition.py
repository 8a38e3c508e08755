"""Which task a request belongs to when its client can't say: header, alias, rules, ``general``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from gateway_cases import CHAT, Stand, stand

from arbiter_tui.config import parse
from arbiter_tui.config_rules import RuleConfig, check_rule_tasks
from arbiter_tui.errors import ConfigError

RULES = (
    RuleConfig(task="code", client="(?i)editor"),
    RuleConfig(task="code", system="You write \\w+ code", path="^/v1/"),
    RuleConfig(task="chat", path="^/api/"),
    RuleConfig(task="chat", model="^gpt-"),
)
SYSTEM = {"role": "system", "content": "You write good code."}
USER = {"role": "user", "content": "hi"}


@pytest.fixture
async def ruled() -> AsyncIterator[Stand]:
    async with stand(config={"rules": RULES}) as one:
        yield one


async def ask(one: Stand, *, path: str = CHAT, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
    return await one.http.post(path, json={"messages": [USER], **body}, headers=headers)


@pytest.mark.parametrize(
    ("given", "task"),
    [
        ({"headers": {"user-agent": "Some-Editor/2"}}, "code"),
        ({"messages": [SYSTEM, USER]}, "code"),
        ({"model": "gpt-5"}, "chat"),
        ({"path": "/api/chat", "model": "llama3:8b"}, "chat"),
        ({"model": "gpt-5", "headers": {"user-agent": "Some-Editor/2"}}, "code"),
        ({"headers": {"x-arbiter-task": "chat", "user-agent": "Some-Editor/2"}}, "chat"),
        ({"model": "arbiter/chat", "headers": {"user-agent": "Some-Editor/2"}}, "chat"),
    ],
)
async def test_the_first_rule_that_fits_names_the_task(ruled: Stand, given: dict[str, Any], task: str) -> None:
    """All patterns of a rule must be found; the header and a name that is known come before every rule."""
    answer = await ask(ruled, **given)
    assert (answer.status_code, answer.headers["x-arbiter-task"]) == (200, task), answer.text


async def test_a_version_that_is_named_is_never_another_one(ruled: Stand) -> None:
    """Rules are for names that are not known: a version answers itself, whoever asks."""
    answer = await ask(ruled, model="fake-b", headers={"user-agent": "Some-Editor/2"})
    assert answer.headers["x-arbiter-model"] == "fake-b"


async def test_what_no_rule_knows_is_refused(ruled: Stand) -> None:
    """An unknown name is 404 with its neighbours, a missing one 400: nothing is guessed."""
    assert (await ask(ruled, model="fake-x")).status_code == 404
    assert (await ask(ruled)).json()["error"]["param"] == "model"


async def test_general_is_the_last_resort_where_it_exists(ruled: Stand) -> None:
    """Only for a name that is missing, and only once somebody has made that task."""
    await ruled.arbiter.put_task({"name": "general"})
    await ruled.arbiter.swap("general", "fake-b")
    answer = await ask(ruled)
    assert (answer.headers["x-arbiter-task"], answer.headers["x-arbiter-model"]) == ("general", "fake-b")
    assert (await ask(ruled, model="fake-x")).status_code == 404


async def test_an_alias_serves_a_client_that_insists_on_a_name(ruled: Stand) -> None:
    """An alias is a name that is known: it comes before the rules."""
    await ruled.arbiter.alias("gpt-5", "fake-b")
    assert (await ask(ruled, model="gpt-5")).headers["x-arbiter-model"] == "fake-b"


async def test_a_long_prompt_is_looked_at_only_so_far(ruled: Stand) -> None:
    """A rule sees the head of the system prompt: its cost does not grow with the conversation."""
    late = {"role": "system", "content": "x" * 5000 + SYSTEM["content"]}
    assert (await ask(ruled, messages=[late, USER])).status_code == 400


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[[rules]]\ntask = "code"', "rules[0]"),
        ('[[rules]]\nclient = "x"', "rules[0].task"),
        ('[[rules]]\ntask = "code"\nclient = "("', "rules[0].client"),
        ('[[rules]]\ntask = "code"\nagent = "x"', "rules[0].agent"),
        ('[[rules]]\ntask = "code"\npath = 5', "rules[0].path"),
    ],
)
def test_a_wrong_rule_names_its_key(text: str, key: str) -> None:
    """At the start, not at the first request."""
    with pytest.raises(ConfigError) as refused:
        parse(text)
    assert refused.value.details["key"] == key


def test_a_rules_task_must_exist() -> None:
    """A typo is said with the nearest task."""
    with pytest.raises(ConfigError, match="nearest: code") as refused:
        check_rule_tasks(RULES[:1], ["chat", "coder"], file="arbiter.toml")
    assert refused.value.details["key"] == "rules[0].task"
