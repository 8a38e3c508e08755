"""What holds in every dialect alike: malformed bodies, errors with a body, deaths that nobody saw, who may unload."""

from __future__ import annotations

from typing import Any

import httpx
import jsonschema
import pytest
from gateway_cases import CHAT, V1, Stand, stand

from arbiter_tui.config import PoolConfig, RuleConfig, ServerConfig
from arbiter_tui.testing import Behaviour

SAY = [{"role": "user", "content": "hi"}]
GENERATING: dict[str, dict[str, Any]] = {
    CHAT: {"messages": SAY},
    "/v1/completions": {"prompt": "hi"},
    "/v1/responses": {"input": "hi"},
    "/v1/messages": {"messages": SAY, "max_tokens": 5},
    "/api/chat": {"messages": SAY, "stream": False},
    "/api/generate": {"prompt": "hi", "stream": False},
}
EMBEDDING: dict[str, dict[str, Any]] = {
    "/v1/embeddings": {"input": "hi"}, "/api/embed": {"input": "hi"}, "/api/embeddings": {"prompt": "hi"},
}  # fmt: skip
ASKING = {**GENERATING, **EMBEDDING}
MALFORMED: dict[str, bytes] = {
    "an array": b"[1]",
    "a number": b"7",
    "a text": b'"hi"',
    "NaN": b'{"model":"fake-a","temperature":NaN}',
    "nested without end": b'{"model":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "invalid UTF-8": b'{"model":"fake-\xff\xfe"}',
    "a name twice": b'{"model":"fake-a","model":"fake-b"}',
    "half a surrogate": b'{"model":"\\udc00"}',
    "a model that is an object": b'{"model":{}}',
    "nothing": b"",
}
READS = (
    "/", "/v1/models", "/v1/models/fake-a", "/api/tags", "/api/ps", "/api/version", "/health", "/health/liveness",
    "/health/readiness", "/metrics", f"{V1}/snapshot", f"{V1}/models", f"{V1}/models/fake-a", f"{V1}/models/fake-a/log",
    f"{V1}/tasks", f"{V1}/tasks/chat", f"{V1}/statistics", f"{V1}/requests", f"{V1}/events", f"{V1}/explain/chat",
    f"{V1}/profiles/chat", f"{V1}/bench", f"{V1}/openapi.json",
)  # fmt: skip


def told(answer: httpx.Response) -> str:
    """The error's sentence, from the shape that its dialect has; fails where it has another."""
    body = answer.json()
    path = answer.request.url.path
    if path.startswith("/api/"):
        assert isinstance(body["error"], str)
        return str(body["error"])
    if path == "/v1/messages":
        assert (body["type"], set(body["error"]) >= {"type", "message"}) == ("error", True)
    else:
        assert set(body["error"]) == {"message", "type", "param", "code"}
    return str(body["error"]["message"])


@pytest.mark.parametrize("wrong", MALFORMED)
@pytest.mark.parametrize("path", [*ASKING, "/api/show", "/v1/messages/count_tokens"])
async def test_a_body_that_is_none_is_refused_everywhere(inside: Stand, path: str, wrong: str) -> None:
    """4xx with a sentence in the dialect's shape; no model is loaded, whatever the endpoint."""
    answer = await inside.http.post(path, content=MALFORMED[wrong], headers={"content-type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert path.endswith("count_tokens") or told(answer)
    assert inside.provider.loads == []


ODD_KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/v1/messages", {"messages": [{"role": "user", "content": [{"type": []}]}], "max_tokens": 5}),
    ("/v1/messages", {"messages": SAY, "max_tokens": 5, "tools": [{"name": "a", "input_schema": {}}],
                      "tool_choice": {"type": {}}}),
    ("/v1/responses", {"input": [{"role": "user", "content": [{"type": [[]], "text": "hi"}]}]}),
    (CHAT, {"messages": SAY, "response_format": {"type": []}}),
    ("/api/chat", {"messages": SAY, "think": []}),
)  # fmt: skip


@pytest.mark.parametrize(("path", "body"), ODD_KINDS)
async def test_a_kind_that_is_no_text_is_refused_as_unknown(inside: Stand, path: str, body: dict[str, Any]) -> None:
    """Lists and objects where a word of a known few belongs: 400, as for any other word."""
    answer = await inside.http.post(path, json={"model": "fake-a", **body})
    assert (answer.status_code, bool(told(answer))) == (400, True), answer.text
    assert inside.provider.loads == []


@pytest.mark.parametrize("path", GENERATING)
async def test_a_death_in_a_whole_answer_is_502_with_a_body(path: str) -> None:
    """No dialect has a 502 without a JSON error of its shape."""
    async with stand({"fake-a": Behaviour(answer="abcdef", chunks=6, die_after=3)}) as one:
        answer = await one.http.post(path, json={"model": "fake-a", **GENERATING[path]})
        assert (answer.status_code, "died" in told(answer)) == (502, True)


@pytest.mark.parametrize("path", GENERATING)
async def test_the_first_request_after_an_idle_death_is_answered(path: str) -> None:
    """The worker died while nobody asked: it is started again for the request, which gets its answer, not a 502."""
    async with stand({"fake-a": Behaviour(answer="here")}) as one:
        asked = {"model": "fake-a", **GENERATING[path]}
        assert (await one.http.post(path, json=asked)).status_code == 200
        one.model("fake-a").kill()
        again = await one.http.post(path, json=asked)
        assert (again.status_code, "here" in again.text) == (200, True)
        assert one.provider.loads == ["fake-a"] * 2


async def test_reading_wakes_nobody_and_keeps_nobody_awake(inside: Stand) -> None:
    """Lists, health, metrics and what screens ask: nothing is loaded, and no time-to-live begins anew."""
    for path in READS:
        assert (await inside.http.get(path)).status_code == 200, path
    assert inside.provider.loads == []
    await inside.chat()
    used = inside.arbiter.pool.views()["fake-a"].last_used_at
    for path in READS:
        await inside.http.get(path)
    assert inside.arbiter.pool.views()["fake-a"].last_used_at == used


async def test_the_description_has_the_model_endpoints_as_they_are(inside: Stand) -> None:
    """What is sent here is right by the description, and what comes back when it is wrong has the described shape."""
    document = (await inside.http.get(f"{V1}/openapi.json")).json()
    for path, body in {
        **ASKING,
        "/api/show": {"model": "fake-a"},
        "/v1/messages/count_tokens": {"messages": SAY},
    }.items():
        told = document["paths"][path]["post"]
        schema = told["requestBody"]["content"]["application/json"]["schema"]
        jsonschema.validate({"model": "fake-a", **body}, schema)
        name = told["responses"]["default"]["content"]["application/json"]["schema"]["$ref"].split("/")[-1]
        wrong = await inside.http.post(path, json={"model": 5})
        assert wrong.status_code == 400
        jsonschema.validate(wrong.json(), document["components"]["schemas"][name])
    described = [path for path in document["paths"] if not path.startswith(V1)]
    assert {path: (await inside.http.request("OPTIONS", path)).status_code for path in described} == dict.fromkeys(
        described, 405
    )


async def test_no_get_changes_anything(inside: Stand) -> None:
    """Whatever only a write can do is 405 for a GET, as a picture on a web page would ask for it."""
    paths = (await inside.http.get(f"{V1}/openapi.json")).json()["paths"]
    writing = [path for path, how in paths.items() if path.startswith(V1) and "get" not in how]
    assert len(writing) > 10
    for path in writing:
        for name in ("v", "t", "a", "id"):
            path = path.replace(f"{{{name}}}", "fake-a")
        assert (await inside.http.get(path)).status_code == 405, path
    for path in ASKING:
        assert (await inside.http.get(path)).status_code == 405, path
    assert inside.provider.loads == inside.provider.unloads == []


@pytest.mark.parametrize("path", ASKING)
async def test_keep_alive_is_honoured_in_every_dialect(path: str) -> None:
    """Also where the dialect never had it: so long the model stays, and its runtime is not told."""
    async with stand(pool=PoolConfig(memory_budget_bytes=2**30, idle_ttl_s=3600)) as one:
        answer = await one.http.post(path, json={"model": "fake-a", **ASKING[path], "keep_alive": "2h"})
        assert answer.status_code == 200
        assert one.arbiter.pool.views()["fake-a"].keep_s == 7200
        wrong = await one.http.post(path, json={"model": "fake-a", **ASKING[path], "keep_alive": "soon"})
        assert (wrong.status_code, "keep_alive" in wrong.text) == (400, True)


@pytest.mark.parametrize("path", EMBEDDING)
async def test_embeddings_find_their_task_as_answers_do(path: str) -> None:
    """By its name, by the header where the client can't name one, by a rule for a name that nobody knows."""
    rules = (RuleConfig(task="chat", model="^text-embedding"),)
    async with stand(config={"rules": rules}) as one:
        for name, headers in (
            ("arbiter/chat", {}), ("nobody", {"x-arbiter-task": "chat"}), ("text-embedding-3-small", {}),
        ):  # fmt: skip
            answer = await one.http.post(path, json={"model": name, **EMBEDDING[path]}, headers=headers)
            assert (answer.status_code, answer.headers.get("x-arbiter-task")) == (200, "chat"), answer.text
        assert (await one.http.post(path, json={"model": "nobody", **EMBEDDING[path]})).status_code == 404


@pytest.mark.parametrize(("scope", "may"), [("infer", False), ("control", True), ("admin", True)])
async def test_a_key_for_asking_takes_no_model_away(scope: str, may: bool) -> None:
    """Unloading by keep_alive 0 needs scope control: 403 in the dialect; a request's shorter time is left aside."""
    async with stand(config={"server": ServerConfig(require_key=True)}) as one:
        _, token = await one.arbiter.keyring.create("app", scope=scope)
        one.http.headers["authorization"] = f"Bearer {token}"
        assert (await one.chat()).status_code == 200
        gone = await one.http.post("/api/generate", json={"model": "fake-a", "keep_alive": 0})
        assert gone.status_code == (200 if may else 403)
        assert may or "scope control" in told(gone)
        assert (one.provider.unloads == ["fake-a"]) is may
        await one.chat(keep_alive=0)
        await one.arbiter.pool.tick()
        assert (one.arbiter.pool.views()["fake-a"].state == "ready") is not may


async def test_a_key_for_asking_can_keep_a_model_longer() -> None:
    """More than what holds now counts, less does not: nobody's model ends earlier because somebody else asked it."""
    locked = {"server": ServerConfig(require_key=True)}
    async with stand(config=locked, pool=PoolConfig(memory_budget_bytes=2**30, idle_ttl_s=60)) as one:
        _, token = await one.arbiter.keyring.create("app")
        one.http.headers["authorization"] = f"Bearer {token}"
        seen = []
        for seconds in (30, 120, 90, -1, 600):
            await one.chat(keep_alive=seconds)
            seen.append(one.arbiter.pool.views()["fake-a"].keep_s)
        assert seen == [None, 120, 120, float("inf"), float("inf")]
