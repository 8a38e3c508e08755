"""The OpenAI door: forms, order, headers, names, errors before the first byte."""

from __future__ import annotations

import asyncio
import base64
import json
import struct

import pytest
from gateway_cases import CHAT, Stand, events, stand, until

from arbiter_tui.errors import InvalidRequest, LoadFailed, Overloaded
from arbiter_tui.provider import Request, Text, TokenLogprob
from arbiter_tui.testing import Behaviour

HEADERS = ("x-arbiter-model", "x-arbiter-task", "x-arbiter-decision", "x-arbiter-request-id", "x-arbiter-overhead-ms")


async def test_a_whole_chat_answer_has_openais_form_and_says_what_served_it(inside: Stand) -> None:
    """Text, finish reason, usage; all five headers."""
    answer = await inside.chat()
    body = answer.json()
    assert answer.status_code == 200
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "hello wide world", "refusal": None}
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]
    assert all(name in answer.headers for name in HEADERS)
    assert answer.headers["x-arbiter-model"] == "fake-a"


async def test_a_stream_comes_in_the_agreed_order(inside: Stand) -> None:
    """role -> text -> finish_reason -> usage (asked for) -> [DONE], and the texts join to the answer."""
    answer = await inside.chat(stream=True, stream_options={"include_usage": True})
    *chunks, done = events(answer.text)
    parsed = [json.loads(c) for c in chunks]
    assert done == "[DONE]"
    assert parsed[0]["choices"][0]["delta"]["role"] == "assistant"
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in parsed[:-1]) == "hello wide world"
    assert parsed[-2]["choices"][0]["finish_reason"] == "stop"
    assert parsed[-1]["choices"] == []
    assert parsed[-1]["usage"]["completion_tokens"] == 4
    assert all(c["usage"] is None for c in parsed[:-1])
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-accel-buffering"] == "no"
    assert all(name in answer.headers for name in HEADERS)


async def test_no_usage_chunk_unless_asked(inside: Stand) -> None:
    """Without stream_options no chunk carries usage at all."""
    chunks = [json.loads(c) for c in events((await inside.chat(stream=True)).text)[:-1]]
    assert all("usage" not in c for c in chunks)


async def test_text_completions_both_ways(inside: Stand) -> None:
    """/v1/completions: prompt in, text out, whole and streamed."""
    body = {"model": "fake-b", "prompt": "once"}
    whole = (await inside.http.post("/v1/completions", json=body)).json()
    assert whole["object"] == "text_completion"
    assert whole["choices"][0]["text"] == "another answer"
    stream = await inside.http.post("/v1/completions", json={**body, "prompt": ["once"], "stream": True})
    *chunks, done = events(stream.text)
    assert done == "[DONE]"
    assert "".join(json.loads(c)["choices"][0]["text"] for c in chunks) == "another answer"


async def test_awkward_texts_survive_the_prebuilt_bytes() -> None:
    """Quotes, backslashes, line breaks, emoji and braces come out as they went in."""
    text = 'say "hi"\\n\n\t\u2028 {"a": 1} \U0001f600 ü data: [DONE]\r\n'
    async with stand({"fake-a": Behaviour(answer=text, chunks=5)}) as one:
        chunks = [json.loads(c) for c in events((await one.chat(stream=True)).text)[:-1]]
        assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks) == text
        assert (await one.chat()).json()["choices"][0]["message"]["content"] == text


async def test_a_task_an_alias_and_a_header_choose_the_model(inside: Stand) -> None:
    """arbiter/TASK, an alias, and X-Arbiter-Task with any or no model name."""
    await inside.arbiter.alias("champion", "fake-b")
    by_alias = await inside.chat("champion")
    assert by_alias.headers["x-arbiter-model"] == "fake-b"
    by_task = await inside.chat("arbiter/chat")
    assert by_task.headers["x-arbiter-task"] == "chat"
    body = {"messages": [{"role": "user", "content": "x"}]}
    by_header = await inside.http.post(CHAT, json=body, headers={"X-Arbiter-Task": "code"})
    assert by_header.headers["x-arbiter-task"] == "code"
    foreign = await inside.http.post(CHAT, json={**body, "model": "gpt-4o"}, headers={"X-Arbiter-Task": "code"})
    assert foreign.headers["x-arbiter-task"] == "code"


async def test_settings_reach_the_model_and_unknown_fields_pass_on() -> None:
    """Every known field arrives typed; what we do not know is in Request.extra."""
    seen: list[Request] = []

    def note(request: Request) -> str:
        seen.append(request)
        return "ok"

    async with stand({"fake-a": Behaviour(answer=note)}) as one:
        await one.chat(
            max_completion_tokens=7, temperature=0.5, top_p=0.9, seed=3, stop="END", logprobs=True, top_logprobs=2,
            response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
            grammar="root ::= [a-z]+", min_p=0.1, n=1,
        )  # fmt: skip
        await one.chat(response_format={"type": "json_object"}, max_tokens=9, stop=["a", "b"])
        await one.chat()
    first, second, third = seen
    assert (first.max_tokens, first.temperature, first.top_p, first.seed) == (7, 0.5, 0.9, 3)
    assert (first.stop, first.logprobs, first.grammar) == (("END",), 2, "root ::= [a-z]+")
    assert first.json_schema == {"type": "object"}
    assert first.extra == {"min_p": 0.1}
    assert (second.json_schema, second.max_tokens, second.stop) == ({"type": "object"}, 9, ("a", "b"))
    half = 2048 // 2  # of the context
    assert third == Request(messages=third.messages, max_tokens=half), "what the client leaves out keeps the default"


async def test_log_probabilities_come_back(inside: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens with alternatives appear in both forms, streamed and whole."""
    from arbiter_tui import testing

    tokens = (TokenLogprob("he", -0.1, (("he", -0.1), ("ha", -2.0))), TokenLogprob("y", -0.2))
    monkeypatch.setattr(testing, "Text", lambda piece, _: Text(piece, tokens))
    whole = (await inside.chat("fake-b", logprobs=True, top_logprobs=2)).json()["choices"][0]["logprobs"]["content"]
    assert whole[0]["token"] == "he"
    assert whole[0]["top_logprobs"][1] == {"token": "ha", "logprob": -2.0, "bytes": [104, 97]}
    first = json.loads(events((await inside.chat("fake-b", logprobs=True, stream=True)).text)[1])
    assert first["choices"][0]["logprobs"]["content"][1]["logprob"] == -0.2
    text = await inside.http.post("/v1/completions", json={"model": "fake-b", "prompt": "x", "logprobs": 2})
    assert text.json()["choices"][0]["logprobs"]["text_offset"][:2] == [0, 2]


async def test_models_are_listed_without_waking_any(inside: Stand) -> None:
    """Tasks, aliases and versions; /v1/models/{id} for each, slash included; nothing was loaded."""
    await inside.arbiter.alias("champion", "fake-b")
    ids = [m["id"] for m in (await inside.http.get("/v1/models")).json()["data"]]
    assert {"arbiter/chat", "champion", "fake-a", "fake-b"} <= set(ids)
    for name in ids:
        assert (await inside.http.get(f"/v1/models/{name}")).json()["id"] == name
    missing = await inside.http.get("/v1/models/fake-c")
    assert missing.status_code == 404
    assert "fake-a" in missing.json()["error"]["message"]
    assert inside.provider.loads == []


async def test_an_unknown_model_is_404_and_names_the_nearest(inside: Stand) -> None:
    """OpenAI's shape and code; the nearest names in the message; no model loaded."""
    answer = await inside.chat("fake-aa")
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", "model", "model_not_found")
    assert "fake-a" in error["message"]
    assert inside.provider.loads == []


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_beyond_the_context_is_400(stream: bool) -> None:
    """context_length_exceeded, before any byte of a stream."""
    async with stand({"fake-a": Behaviour(context=8)}) as one:
        answer = await one.chat(text="word " * 20, stream=stream)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "context_length_exceeded"
        assert answer.headers["x-arbiter-model"] == "fake-a"


@pytest.mark.parametrize(
    ("error", "status"),
    [(InvalidRequest("bad grammar"), 400), (Overloaded("queue full"), 429), (LoadFailed("no"), 503)],
)
async def test_refusals_keep_their_status_also_when_streaming(error: Exception, status: int) -> None:
    """A refusal before the first byte is a status, never a 200 with an error inside; 429 and 503 say when."""
    how = Behaviour(fail_generate=[error, error] if status == 400 else None)  # type: ignore[list-item]
    async with stand({"fake-a": how}) as one:
        if status != 400:

            def refuse(*_: object, **__: object) -> None:
                raise error

            one.arbiter.asked.prepare = refuse  # type: ignore[method-assign,assignment]
        for stream in (False, True):
            answer = await one.chat(stream=stream)
            assert answer.status_code == status
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
            assert ("retry-after" in answer.headers) == (status in (429, 503))


async def test_a_load_that_takes_long_is_503_with_its_progress_and_goes_on() -> None:
    """Not streamed: model_loading, Retry-After, loading{progress, eta_seconds}; who comes back finds the same load."""
    gate = asyncio.Event()
    async with stand({"fake-a": Behaviour(load_gate=gate)}, load_wait_s=0.05) as one:
        answer = await one.chat()
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "model_loading"
        assert set(answer.json()["loading"]) == {"progress", "eta_seconds"}
        assert int(answer.headers["retry-after"]) >= 1
        assert one.arbiter.pool.views()["fake-a"].state == "loading"
        gate.set()
        await until(lambda: one.arbiter.pool.views()["fake-a"].state == "ready")
        assert (await one.chat()).status_code == 200
        assert one.provider.loads == ["fake-a"]


async def test_embeddings_as_floats_and_as_base64(inside: Stand) -> None:
    """Both encodings hold the same vectors; the served model is named."""
    body = {"model": "fake-a", "input": ["one", "two"]}
    plain = await inside.http.post("/v1/embeddings", json=body)
    vectors = [item["embedding"] for item in plain.json()["data"]]
    packed = await inside.http.post("/v1/embeddings", json={**body, "encoding_format": "base64"})
    raw = base64.b64decode(packed.json()["data"][1]["embedding"])
    assert list(struct.unpack(f"<{len(raw) // 4}f", raw)) == pytest.approx(vectors[1])
    assert plain.headers["x-arbiter-model"] == "fake-a"


@pytest.mark.parametrize("path", ["/v1/embeddings", "/api/embed"])
async def test_embeddings_name_what_made_them_and_can_be_explained(inside: Stand, path: str) -> None:
    """Every header of an answer; by its id it is found, and nothing is learnt of it."""
    learnt = inside.arbiter.evidence.totals("fake-a")
    answer = await inside.http.post(path, json={"model": "arbiter/chat", "input": ["one"]})
    told = answer.headers
    assert (told["x-arbiter-model"], told["x-arbiter-task"]) == ("fake-a", "chat")
    assert told["x-arbiter-decision"]
    assert float(told["x-arbiter-overhead-ms"]) >= 0.0
    record = (await inside.http.get(f"/arbiter/v1/explain/{told['x-arbiter-request-id']}")).json()
    assert (record["kind"], record["verdict"], record["request"]["success"]) == ("request", "fake-a", True)
    assert inside.arbiter.evidence.totals("fake-a") == learnt


async def test_a_refusal_that_is_recorded_says_where_to_ask_why() -> None:
    """A model that does not load leaves a record; a name that nobody knows leaves none."""
    async with stand({"fake-a": Behaviour(fail_load=[LoadFailed("broken")])}) as one:
        for stream in (False, True):
            refused = await one.chat(stream=stream)
            assert refused.status_code == 503
            record = await one.http.get(f"/arbiter/v1/explain/{refused.headers['x-arbiter-request-id']}")
            assert (record.json()["request"]["success"], record.json()["verdict"]) == (False, "fake-a")
            one.provider.behaviours["fake-a"].fail_load = [LoadFailed("broken")]
        assert "x-arbiter-request-id" not in (await one.chat("nobody")).headers


async def test_a_defect_is_a_500_in_shape_that_tells_no_secret(inside: Stand) -> None:
    """An unexpected exception becomes a JSON error without the exception's text."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the secret prompt")

    inside.arbiter.asked.prepare = broken  # type: ignore[method-assign,assignment]
    answer = await inside.chat()
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert "secret" not in answer.text
