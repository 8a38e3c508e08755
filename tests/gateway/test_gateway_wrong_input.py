"""Wrong input of every kind: a clear 4xx in the dialect's shape, the backend never called."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gateway_cases import CHAT, V1, Stand

MESSAGES = '"messages":[{"role":"user","content":"hi"}]'
MALFORMED: dict[str, bytes] = {
    "empty": b"",
    "cut off": b'{"model": "fake-a", ',
    "invalid utf-8": b'{"model": "fake-a", "messages": [{"role": "user", "content": "\xff\xfe"}]}',
    "an array": b"[1, 2]",
    "a number": b"42",
    "null": b"null",
    "NaN": f'{{"model":"fake-a",{MESSAGES},"temperature":NaN}}'.encode(),
    "infinity": f'{{"model":"fake-a",{MESSAGES},"temperature":-Infinity}}'.encode(),
    "overflowing": f'{{"model":"fake-a",{MESSAGES},"temperature":1e999}}'.encode(),
    "a huge integer": f'{{"model":"fake-a",{MESSAGES},"seed":{"9" * 5000}}}'.encode(),
    "the abyss": b'{"model":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "objects all the way": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "model twice": f'{{"model":"fake-a","model":"fake-b",{MESSAGES}}}'.encode(),
    "half a surrogate": b'{"model":"fake-a","messages":[{"role":"user","content":"\\ud800"}]}',
}
WRONG_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"model": 3}, "model"),
    ({"model": ""}, "model"),
    ({"model": None}, "model"),
    ({"model": "x" * 300}, "model"),
    ({"messages": []}, "messages"),
    ({"messages": "hi"}, "messages"),
    ({"messages": ["hi"]}, "messages[0]"),
    ({"messages": [{"content": "hi"}]}, "messages[0].role"),
    ({"messages": [{}]}, "messages[0].role"),
    ({"messages": [{"prompt": "hi", "model": []}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0]"),
    ({"max_tokens": "many"}, "max_tokens"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": 3}, "temperature"),
    ({"temperature": True}, "temperature"),
    ({"top_p": -0.1}, "top_p"),
    ({"seed": 1.5}, "seed"),
    ({"stop": 3}, "stop"),
    ({"stop": [""]}, "stop"),
    ({"n": 0}, "n"),
    ({"stream": "yes"}, "stream"),
    ({"stream_options": []}, "stream_options"),
    ({"stream_options": {"include_usage": 1}}, "include_usage"),
    ({"logprobs": 5}, "logprobs"),
    ({"top_logprobs": 5}, "top_logprobs"),
    ({"response_format": "json"}, "response_format"),
    ({"response_format": {"type": "xml"}}, "response_format"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
    ({"grammar": 1}, "grammar"),
]


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_body_is_400_in_openais_shape(inside: Stand, name: str) -> None:
    """Never a 500, never a call of the backend, always an error object with a message."""
    answer = await inside.http.post(CHAT, content=MALFORMED[name], headers={"content-type": "application/json"})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert error["type"] == "invalid_request_error"
    assert inside.provider.loads == []


@pytest.mark.parametrize(("change", "param"), WRONG_FIELDS, ids=lambda v: v if isinstance(v, str) else "")
async def test_a_known_field_of_the_wrong_type_is_400_and_named(
    inside: Stand, change: dict[str, Any], param: str
) -> None:
    """``param`` names the field at fault; no model is loaded for it."""
    body = {"model": "fake-a", "messages": [{"role": "user", "content": "hi"}], **change}
    answer = await inside.http.post(CHAT, json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    assert inside.provider.loads == []


async def test_text_parts_join_and_an_empty_assistant_turn_is_allowed(inside: Stand) -> None:
    """What the official clients send: content as parts, null content beside tool calls."""
    messages = [
        {"role": "assistant", "content": None},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    ]
    assert (await inside.http.post(CHAT, json={"model": "fake-a", "messages": messages})).status_code == 200


@pytest.mark.parametrize("path", [CHAT, f"{V1}/feedback"])
@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "localhost.evil.example:8017"},
        {"host": "192.168.1.5"},
        {"host": ""},
        {"origin": "https://evil.example"},
        {"origin": "http://127.0.0.1:3000"},
        {"origin": "null"},
    ],
    ids=str,
)
async def test_a_foreign_host_or_origin_is_refused_everywhere(
    inside: Stand, path: str, headers: dict[str, str]
) -> None:
    """403 in the path's dialect: a web page that re-binds its name, or posts across sites, reaches nothing."""
    answer = await inside.http.post(path, json={"model": "fake-a"}, headers=headers)
    assert answer.status_code == 403
    assert ("error" in answer.json()) == (path == CHAT)
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "localhost:8017"},
        {"host": "[::1]:8017"},
        {"host": "127.0.0.2"},
        {"host": "box.localhost"},
        {"host": "localhost:8017", "origin": "http://localhost:8017"},
    ],
    ids=str,
)
async def test_loopback_names_and_the_own_origin_are_served(inside: Stand, headers: dict[str, str]) -> None:
    """The guard lets this machine in under all its names."""
    assert (await inside.http.get("/health", headers=headers)).status_code == 200


async def test_a_wrong_path_or_method_answers_in_its_dialect(inside: Stand) -> None:
    """404 and 405 are JSON too; 405 names what is allowed; no GET has an effect."""
    assert (await inside.http.post("/v1/nothing")).json()["error"]["code"] == "not_found"
    wrong = await inside.http.get(CHAT)
    assert wrong.status_code == 405
    assert wrong.json()["error"]["code"] == "method_not_allowed"
    assert wrong.headers["allow"] == "POST"
    assert (await inside.http.get(f"{V1}/nothing")).headers["content-type"] == "application/problem+json"
    assert (await inside.http.get(f"{V1}/models/fake-a/unload")).status_code == 405


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None])
async def test_control_takes_json_only(inside: Stand, kind: str | None) -> None:
    """415 for what a web form could send; nothing is done."""
    body = json.dumps({"task": "chat", "to": "fake-b"}).encode()
    headers = {} if kind is None else {"content-type": kind}
    answer = await inside.http.post(f"{V1}/swaps", content=body, headers=headers)
    assert answer.status_code == 415
    assert answer.headers["content-type"] == "application/problem+json"
    assert inside.provider.loads == []


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/swaps", {"task": "chat", "to": "fake-b", "tasc": 1}, "tasc"),
        ("/swaps", {"task": "chat"}, "to"),
        ("/swaps", {"task": 3, "to": "fake-b"}, "task"),
        ("/swaps", {"task": "chat", "to": "fake-b", "mode": "never"}, "mode"),
        ("/feedback", {"request_id": "x", "score": 2}, "score"),
        ("/feedback", {"request_id": "x", "score": True}, "score"),
        ("/select", {"task": "chat", "max_latency": 3}, "max_latency"),
        ("/outcomes", [{"task": "chat", "version": "fake-a"}], "success"),
        ("/outcomes", {"items": 3}, "items"),
        ("/models", {"provider": "fake", "source": "fake-a", "labels": "fast"}, "labels"),
        ("/models/fake-a/warm", {"force": True}, "force"),
    ],
)
async def test_control_bodies_are_checked_field_by_field(inside: Stand, path: str, body: Any, param: str) -> None:
    """Unknown, missing and mistyped fields are 422 and named; an unknown one is told its nearest."""
    answer = await inside.http.post(V1 + path, json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["param"] == param
    if param == "tasc":
        assert "task" in answer.json()["detail"]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "after=x&wait=1", "wait=nan&after=1"])
async def test_a_query_of_the_wrong_kind_is_422(inside: Stand, query: str) -> None:
    """Bounds and kinds of queries are held."""
    path = "/snapshot" if "wait" in query else "/models"
    assert (await inside.http.get(f"{V1}{path}?{query}")).status_code == 422
