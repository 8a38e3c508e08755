"""Ollama's dialect: what its clients send and rely on, and what is the arbiter's own in it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from gateway_cases import LOCAL, Stand, served, stand, until

from arbiter_tui.config import PoolConfig
from arbiter_tui.provider import Request, ToolCall
from arbiter_tui.testing import Behaviour

ASK = {"messages": [{"role": "user", "content": "hi"}]}
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.text.splitlines()]


async def post(one: Stand, path: str, **body: Any) -> httpx.Response:
    return await one.http.post(f"/api/{path}", json={"model": "fake-a", **body})


async def test_it_looks_like_an_ollama(inside: Stand) -> None:
    """Clients that look for one find it: GET and HEAD of / and the version."""
    assert (await inside.http.get("/")).text == "Ollama is running"
    assert (await inside.http.head("/")).status_code == 200
    assert (await inside.http.get("/api/version")).json()["version"].count(".") == 2


@pytest.mark.parametrize(("path", "body"), [("chat", ASK), ("generate", {"prompt": "hi"})])
async def test_answers_stream_lines_unless_told_otherwise(inside: Stand, path: str, body: dict[str, Any]) -> None:
    """NDJSON by default; the pieces join to the whole answer; the last line alone is done; who served is a header."""
    streamed = await post(inside, path, **body)
    whole = (await post(inside, path, **body, stream=False)).json()
    assert streamed.headers["content-type"] == "application/x-ndjson"
    assert streamed.headers["x-arbiter-model"] == "fake-a"
    *pieces, last = lines(streamed)
    told = [p["message"]["content"] if path == "chat" else p["response"] for p in pieces]
    assert "".join(told) == (whole["message"]["content"] if path == "chat" else whole["response"])
    assert len(pieces) == 4
    assert [p["done"] for p in pieces] == [False] * 4
    assert (last["done"], last["done_reason"]) == (True, "stop")
    assert last["eval_count"] == whole["eval_count"] == 4
    assert last["total_duration"] > 0
    assert "eval_duration" not in last, "what the engine did not measure is left out, never 0"


@pytest.mark.parametrize(
    "name", ["fake-a", "fake-a:latest", "quick", "quick:latest", "arbiter/chat", "arbiter/chat:latest"]
)
async def test_every_name_works_with_and_without_a_tag(inside: Stand, name: str) -> None:
    """Version, alias, task; the answer repeats the client's own word, the header tells the truth."""
    await inside.arbiter.alias("quick", "fake-a")
    answer = await post(inside, "chat", **ASK, model=name, stream=False)
    assert answer.json()["model"] == name
    assert answer.headers["x-arbiter-model"] == "fake-a"


async def test_a_model_behind_an_ollama_answers_to_its_name_there() -> None:
    """Whoever used Ollama's own names before goes on using them."""
    async with stand() as one:
        version = one.provider.version("small", source="ollama:small:latest")
        one.arbiter.live.registry, _ = one.arbiter.registry.register(version)
        for name in ("small", "small:latest"):
            assert (await post(one, "chat", **ASK, model=name)).headers["x-arbiter-model"] == "small"


async def test_fields_reach_the_model(seen: tuple[Stand, list[Request]]) -> None:
    """Options, format, system, unknown fields; load options stay the arbiter's; no limit is half of the context."""
    one, requests = seen
    options = {"num_predict": 7, "temperature": 0.5, "top_k": 3, "seed": 1, "stop": ["x"], "num_ctx": 99_999}
    await post(one, "generate", prompt="hi", system="be brief", options=options, format="json", new_field=1)
    await post(one, "generate", prompt="hi", raw=True, options={"num_predict": -1})
    await post(one, "chat", **ASK)
    first, second, third = requests
    assert [(m.role, m.content) for m in first.messages] == [("system", "be brief"), ("user", "hi")]
    assert (first.max_tokens, first.temperature, first.seed, first.stop) == (7, 0.5, 1, ("x",))
    assert first.json_schema == {"type": "object"}
    assert first.extra == {"top_k": 3, "new_field": 1}
    assert (second.prompt, second.max_tokens, third.max_tokens) == ("hi", 300, 300)


async def test_an_empty_prompt_loads_and_keep_alive_0_unloads(inside: Stand) -> None:
    """Nothing is generated; /api/ps shows it come and go; unloading what is not loaded is fine."""
    loaded = await post(inside, "generate")
    assert (loaded.json()["done_reason"], loaded.json()["response"]) == ("load", "")
    assert loaded.headers["x-arbiter-model"] == "fake-a"
    (item,) = (await inside.http.get("/api/ps")).json()["models"]
    assert item["name"] == "fake-a:latest"
    assert item["size"] == 100 * 2**20
    for _ in range(2):
        gone = await post(inside, "chat", messages=[], keep_alive=0)
        assert gone.json()["done_reason"] == "unload"
        assert (await inside.http.get("/api/ps")).json() == {"models": []}
    assert inside.provider.unloads == ["fake-a"]
    assert inside.arbiter.requests(10) == []


async def test_a_pinned_model_is_not_unloaded_by_a_client(inside: Stand) -> None:
    """409 that says so, and the model stays."""
    await inside.arbiter.warm("fake-a")
    await inside.arbiter.pin("fake-a")
    answer = await post(inside, "generate", keep_alive=0)
    assert (answer.status_code, "pinned" in answer.json()["error"]) == (409, True)
    assert inside.provider.unloads == []


async def test_keep_alive_ends_an_idle_model_and_only_then() -> None:
    """A client's time-to-live replaces the pool's for this life of the model, on /v1, too; -1 is forever."""
    async with stand(pool=PoolConfig(memory_budget_bytes=2**30, idle_ttl_s=3600)) as one:
        assert (await one.chat(keep_alive=0)).status_code == 200
        await one.arbiter.pool.tick()
        await until(lambda: one.provider.unloads == ["fake-a"])
        await post(one, "chat", **ASK, keep_alive="-1s")
        (item,) = (await one.http.get("/api/ps")).json()["models"]
        assert item["expires_at"] > "2200"
        await post(one, "chat", **ASK, keep_alive="1h30m")
        (item,) = (await one.http.get("/api/ps")).json()["models"]
        assert item["expires_at"] < "2200"
        await one.arbiter.pool.tick()
        assert one.provider.unloads == ["fake-a"]


@pytest.mark.parametrize("span", [1e308, 10**30, "1e300", "99999999h", "inf"])
async def test_a_time_beyond_all_calendars_is_for_ever(inside: Stand, span: object) -> None:
    """It is shown as such, and the list of what is loaded goes on working."""
    assert (await post(inside, "generate", keep_alive=span)).status_code == 200
    (item,) = (await inside.http.get("/api/ps")).json()["models"]
    assert item["expires_at"] > "2200"
    assert (await post(inside, "generate", keep_alive="nan")).status_code == 400


async def test_tags_and_show_wake_nothing(inside: Stand) -> None:
    """Tasks with somebody to serve them, aliases and versions; each can be shown and used by the name it has there."""
    await inside.arbiter.alias("quick", "fake-b")
    listed = (await inside.http.get("/api/tags")).json()["models"]
    names = [m["name"] for m in listed]
    assert {"arbiter/chat:latest", "quick:latest", "fake-a:latest", "fake-b:latest"} <= set(names)
    for name in names:
        told = await inside.http.post("/api/show", json={"model": name})
        assert "completion" in told.json()["capabilities"]
        assert told.headers["x-arbiter-model"] in ("fake-a", "fake-b")
    assert inside.provider.loads == []


async def test_embeddings_in_both_forms(inside: Stand) -> None:
    """One, several, none; fewer dimensions have length 1 again; a model without any says 501."""
    one = (await post(inside, "embed", input="a", dimensions=4)).json()["embeddings"]
    assert len(one[0]) == 4
    assert sum(x * x for x in one[0]) == pytest.approx(1.0)
    many = (await post(inside, "embed", input=["a", "b"])).json()
    assert [len(v) for v in many["embeddings"]] == [8, 8]
    assert (await post(inside, "embed", input="")).json()["embeddings"] == []
    assert len((await post(inside, "embeddings", prompt="a")).json()["embedding"]) == 8
    inside.how("fake-a").embeddings = False
    assert (await post(inside, "embed", input="a")).status_code == 501


async def test_tools_come_whole(inside: Stand) -> None:
    """The calls are one line with arguments as an object, whatever pieces the runtime sent; results go back in."""
    inside.how("fake-a").tools = (ToolCall("c1", "clock", '{"zone": "CET"}'), ToolCall("c2", "clock", "{}"))
    *_, called, last = lines(await post(inside, "chat", **ASK, tools=[CLOCK]))
    assert [c["function"]["arguments"] for c in called["message"]["tool_calls"]] == [{"zone": "CET"}, {}]
    assert last["done_reason"] == "stop"
    assert "tool_calls" not in last["message"]
    whole = (await post(inside, "chat", **ASK, tools=[CLOCK], stream=False)).json()
    assert [c["id"] for c in whole["message"]["tool_calls"]] == ["c1", "c2"]


async def test_a_tool_result_reaches_the_model(seen: tuple[Stand, list[Request]]) -> None:
    """The earlier call and its result, by the tool's name as Ollama sends it."""
    one, requests = seen
    turns = [
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "clock", "arguments": {"z": 1}}}]},
        {"role": "tool", "tool_name": "clock", "content": "12:00"},
    ]
    await post(one, "chat", messages=[*ASK["messages"], *turns], tools=[CLOCK])
    _, asked, result = requests[0].messages
    assert (asked.tool_calls[0].name, json.loads(asked.tool_calls[0].arguments)) == ("clock", {"z": 1})
    assert (result.role, result.name, result.content) == ("tool", "clock", "12:00")


@pytest.mark.parametrize("answer", ["{broken", "[1]"])
async def test_a_call_that_is_no_call_is_an_error(inside: Stand, answer: str) -> None:
    """Arguments that are no JSON object can't be said in this dialect: an error, never half a call."""
    inside.how("fake-a").tools = (ToolCall("c1", "clock", answer),)
    assert (await post(inside, "chat", **ASK, tools=[CLOCK], stream=False)).status_code == 502


async def test_what_a_model_can_not_do_is_said(inside: Stand) -> None:
    """Tools, thinking, infill, images: 400 with a sentence; nothing is left out in silence and nothing is generated."""
    inside.how("fake-a").tools = None
    pictures = {"messages": [{"role": "user", "content": "x", "images": ["aGk="]}]}
    for path, body in (
        ("chat", {**ASK, "tools": [CLOCK]}),
        ("chat", {**ASK, "think": True}),
        ("chat", pictures),
        ("generate", {"prompt": "x", "suffix": "y"}),
        ("generate", {"prompt": "x", "context": [1]}),
    ):
        answer = await post(inside, path, **body)
        assert answer.status_code == 400, (path, body)
        assert isinstance(answer.json()["error"], str)
    assert "fake-a" not in inside.provider.loaded or inside.model("fake-a").served == 0


@pytest.mark.parametrize(
    ("how", "path"),
    [("POST", "/api/pull"), ("POST", "/api/push"), ("POST", "/api/create"), ("POST", "/api/copy"),
     ("DELETE", "/api/delete"), ("POST", "/api/blobs/sha256:1")],
)  # fmt: skip
async def test_what_is_not_offered_says_so(inside: Stand, how: str, path: str) -> None:
    """501 in the dialect."""
    answer = await inside.http.request(how, path, json={})
    assert (answer.status_code, "not offered" in answer.json()["error"]) == (501, True)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/chat", b"", 400), ("/api/chat", b"{}", 400), ("/api/chat", b"[]", 400), ("/api/chat", b"\xff", 400),
        ("/api/chat", b'{"model":"fake-a","model":"fake-b"}', 400), ("/api/chat", b'{"model":5}', 400),
        ("/api/chat", b'{"model":"nope","messages":[{"role":"user","content":"x"}]}', 404),
        ("/api/chat", b'{"model":"fake-a","messages":"x"}', 400),
        ("/api/chat", b'{"model":"fake-a","keep_alive":"soon","messages":[]}', 400),
        ("/api/chat", b'{"model":"fake-a","options":5,"messages":[{"role":"user","content":"x"}]}', 400),
        ("/api/generate", b'{"model":"fake-a","prompt":5}', 400), ("/api/generate", b'{"model":"nope"}', 404),
        ("/api/generate", b'{"model":"fake-a","prompt":"x","options":{"num_predict":"many"}}', 400),
        ("/api/generate", b'{"model":"fake-a","prompt":"x","format":"xml"}', 400),
        ("/api/embed", b'{"model":"fake-a","input":5}', 400), ("/api/show", b'{"model":"nope"}', 404),
        ("/api/nope", b"{}", 404), ("/api/tags", b"{}", 405),
    ],
)  # fmt: skip
async def test_wrong_requests_are_refused_in_the_dialect(inside: Stand, path: str, body: bytes, status: int) -> None:
    """4xx with {"error": text}, and no model is woken."""
    answer = await inside.http.post(path, content=body)
    assert answer.status_code == status
    assert isinstance(answer.json()["error"], str)
    assert inside.provider.loads == []


async def test_a_death_mid_stream_is_an_error_line_and_a_cut() -> None:
    """The words so far, a line that says error, then an end that no client can take for a success."""
    async with served({"fake-a": Behaviour(answer="abcdef", chunks=6, die_after=3)}) as one:
        pieces: list[str] = []

        async def read() -> None:
            async with one.http.stream("POST", "/api/chat", json={"model": "fake-a", **ASK}) as answer:
                async for line in answer.aiter_lines():
                    pieces.append(line)

        with pytest.raises(httpx.RemoteProtocolError):
            await read()
        assert "died" in json.loads(pieces[-1])["error"]
        assert not any(json.loads(p).get("done") for p in pieces)


async def test_a_slow_load_says_nothing_until_it_can() -> None:
    """A stream of lines has no comments: not a byte comes before the first word, so a refusal keeps its status."""
    gate = asyncio.Event()
    async with served({"fake-a": Behaviour(load_gate=gate)}, ping_s=0.01) as one:
        asked = asyncio.create_task(one.http.post(f"{one.url}/api/chat", json={"model": "fake-a", **ASK}))
        await until(lambda: one.provider.loads == ["fake-a"])
        gate.set()
        answer = await asked
        assert all(line.startswith("{") for line in answer.text.splitlines())
        assert answer.headers["x-arbiter-model"] == "fake-a"


async def test_foreign_hosts_are_refused_in_the_dialect(inside: Stand) -> None:
    """The guard speaks each family's own errors."""
    answer = await inside.http.get("/api/tags", headers={"host": "evil.example"})
    assert (answer.status_code, isinstance(answer.json()["error"], str)) == (403, True)
    assert (await inside.http.get("/api/tags", headers={"origin": f"{LOCAL}.evil"})).status_code == 403
