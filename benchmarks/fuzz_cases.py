"""Wrong requests without end, the same ones for the same seed: bodies, fields, bytes, names, queries, heads.

Owns: what is sent, as bytes. Never: sends it, judges an answer. What would work as it should and not end soon is left
out: long polls, answers of thousands of tokens, stopping the engine, looking through the machine.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

V1 = "/arbiter/v1"
TOOL = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
SAY = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
ASKING: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "model": "", "messages": SAY, "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 5,
        "temperature": 0.5, "top_p": 0.9, "seed": 1, "stop": ["x"], "n": 1, "logprobs": False, "tools": [TOOL],
        "tool_choice": "auto", "response_format": {"type": "json_schema", "json_schema": {"schema": {}}}, "user": "me",
    },
    "/v1/completions": {"model": "", "prompt": "hi", "stream": False, "max_tokens": 5, "logprobs": 1, "echo": False},
    "/v1/responses": {
        "model": "", "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}], "stream": True,
        "instructions": "be brief", "max_output_tokens": 16, "text": {"format": {"type": "text"}}, "store": False,
        "tools": [{"type": "function", "name": "clock", "parameters": {}}], "reasoning": {"effort": "low"},
    },
    "/v1/embeddings": {"model": "", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 3},
    "/v1/messages": {
        "model": "", "max_tokens": 5, "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "system": [{"type": "text", "text": "be brief"}], "stream": True, "tool_choice": {"type": "auto"},
        "tools": [{"name": "clock", "input_schema": {"type": "object"}}], "thinking": {"type": "disabled"},
        "metadata": {"user_id": "me"}, "stop_sequences": ["x"],
    },
    "/v1/messages/count_tokens": {"model": "", "messages": SAY[1:], "system": "be brief"},
    "/api/chat": {
        "model": "", "messages": [*SAY, {"role": "tool", "content": "12", "tool_name": "clock"}], "stream": True,
        "options": {"num_predict": 5, "temperature": 0, "stop": "x", "num_ctx": 512}, "format": "json",
        "keep_alive": "5m", "think": False, "tools": [TOOL],
    },
    "/api/generate": {
        "model": "", "prompt": "hi", "system": "be brief", "raw": False, "stream": False, "options": {"num_predict": 5},
        "keep_alive": -1, "images": [], "context": [],
    },
    "/api/embed": {"model": "", "input": "hi", "dimensions": 3, "truncate": True},
    "/api/embeddings": {"model": "", "prompt": "hi"},
    "/api/show": {"model": "", "verbose": True},
    "/api/pull": {"model": "x"},
}  # fmt: skip
WRITING: dict[str, tuple[str, dict[str, Any]]] = {
    "/models": ("POST", {"provider": "box", "source": "fake", "name": "x", "labels": ["a"]}),
    "/models/{name}/pin": ("POST", {}), "/models/{name}/unpin": ("POST", {}), "/models/{name}/warm": ("POST", {}),
    "/models/{name}/unload": ("POST", {}), "/models/{name}/activate": ("POST", {}),
    "/aliases/{name}": ("PUT", {"version": "fake"}),
    "/tasks": ("PUT", {"name": "fuzzed", "capabilities": ["code"], "weights": {"quality": 0.4}, "max_latency_s": 3.0,
                       "max_memory_bytes": 5, "min_context": 5, "preference": "fast", "private": True, "unset": [],
                       "suite": "x", "autopilot": "off", "labels": ["a"], "max_tokens": 5}),
    "/tasks/{name}": ("PUT", {"description": "x", "quality_threshold": 0.5, "latency_budget_s": 1.0}),
    "/tasks/{name}/autopilot": ("PUT", {"mode": "observe"}), "/autopilot": ("PUT", {"mode": "off"}),
    "/select": ("POST", {"task": "sentiment", "max_latency_s": 1.0, "weights": {"quality": 1}, "unset": ["hardware"]}),
    "/swaps": ("POST", {"task": "sentiment", "to": "fake", "mode": "immediate", "at": "22:00", "strict": False,
                        "dry_run": True, "reason": "x"}),
    "/tasks/{name}/rollback": ("POST", {}), "/tasks/{name}/veto": ("POST", {}),
    "/outcomes": ("POST", {"task": "sentiment", "version": "fake", "success": True, "quality": 0.5, "latency_s": 1.0,
                           "ttft_s": 0.1, "tokens_in": 5, "tokens_out": 5, "memory_bytes": 5, "energy_j": 1.0,
                           "at": 1.0, "id": "o1", "failure": "timeout"}),
    "/feedback": ("POST", {"request_id": "x", "score": 0.5, "comment": "x"}),
    "/rollouts/{name}/pause": ("POST", {}), "/rollouts/{name}/abort": ("POST", {}),
    "/operations/{name}": ("DELETE", {}), "/keys": ("POST", {"name": "k", "scope": "infer", "tasks": ["sentiment"],
                                                            "requests_per_minute": 5.0, "expires_in_s": 60}),
    "/keys/{name}": ("DELETE", {}), "/keys/{name}/rotate": ("POST", {"overlap_s": 60}),
    "/config/reload": ("POST", {"dry_run": True}),
}  # fmt: skip
READING = (
    "/v1/models", "/v1/models/{name}", "/api/tags", "/api/ps", "/api/version", "/", "/health", "/metrics",
    *(V1 + p for p in ("/snapshot", "/models", "/models/{name}", "/models/{name}/log", "/models/{name}/history",
                       "/aliases", "/tasks", "/tasks/{name}", "/swaps", "/rollouts", "/outcomes", "/requests", "/bench",
                       "/events", "/profiles/{name}", "/explain/{name}", "/statistics", "/ledger", "/operations",
                       "/operations/{name}", "/keys", "/machine", "/openapi.json")),
)  # fmt: skip
QUERIES = ("limit", "after", "wait", "task", "version", "prompts", "verify", "x")
NAMES = ("fake", "sentiment", "arbiter/sentiment", "nobody", "code-generation", "fuzzed")
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**30, 1.5, -0.0, 1e308, 5e-324, "", " ", "x",
    "x" * 5000, "\x00", "\u202e", "😀", "NaN", "-1", "5m", "22:00", "arbiter/", ":latest", "../../etc/passwd", [], {},
    [None], [[]], [{}], {"": None}, {"type": None}, {"type": []}, {"type": "function"}, {"type": {}}, [1, "x", {}],
    ["x"] * 50, {"a": {"b": {"c": [1]}}}, {"role": "user"}, {"content": None},
)  # fmt: skip
TEXTS = ("0", "1", "-1", "nan", "inf", "1e999", "x", "", "0x1", "\u0663", "9" * 40, "true", "%00", "a&b", "1_000")
HEADERS = (
    ("x-arbiter-task", "sentiment"), ("x-arbiter-task", "\xff\xfe"), ("x-arbiter-task", "x" * 3000),
    ("x-arbiter-examples", "perhaps"), ("authorization", "Bearer arb_x_y"), ("authorization", "Basic !!!"),
    ("x-api-key", "\xe9"), ("content-type", "text/plain"), ("content-type", "application/json; charset=\xff"),
    ("content-encoding", "gzip"), ("accept-encoding", "gzip;q=nan"), ("host", "evil.example"), ("host", ""),
    ("host", "[::1"), ("origin", "null"), ("origin", "http://evil.example"), ("idempotency-key", "k"),
    ("idempotency-key", "\xff" * 300), ("expect", "100-continue"), ("expect", "x"), ("upgrade", "websocket"),
    ("connection", "upgrade"), ("cookie", "x" * 4000), ("user-agent", "\xff"), ("range", "bytes=0-"),
)  # fmt: skip
_HERE = b" HTTP/1.1\r\nhost: 127.0.0.1\r\n"
HEADS = (
    b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n", b"OPTIONS *" + _HERE + b"\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"BREW /coffee" + _HERE + b"\r\n",
    b"GET /" + _HERE + b"host: 127.0.0.1\r\n\r\n", b"GET /\xff\xfe" + _HERE + b"\r\n",
    b"GET http://evil.example/" + _HERE + b"\r\n", b"GET / HTTP/1.1\r\nhost : 127.0.0.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n folded: x\r\n\r\n", b"POST /v1/messages" + _HERE + b"x" + b"y" * 70_000 + b": z\r\n\r\n",
    b"POST /api/chat" + _HERE + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /api/chat" + _HERE + b"content-length: -5\r\n\r\n",
    b"POST /api/chat" + _HERE + b"transfer-encoding: chunked\r\n\r\nZZ\r\nx\r\n0\r\n\r\n",
    b"POST /v1/messages" + _HERE + b"content-length: 99999999999999999999\r\n\r\n{}",
    b"POST /v1/chat/completions" + _HERE + b"content-length: 9\r\n\r\n{",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """``raw``: what goes over the wire; ``path`` says in which dialect a refusal must be ("" where it is no HTTP)."""

    kind: str
    method: str
    path: str
    raw: bytes


def cases(seed: int, count: int) -> Iterator[Case]:
    """The same for the same seed; every kind has its share."""
    rng = random.Random(seed)
    for _ in range(count):
        (kind,) = rng.choices(list(KINDS), weights=[weight for weight, _ in KINDS.values()])
        yield KINDS[kind][1](rng)


# ── the kinds ─────────────────────────────────────────────────────────────────────────────────────────────────────


def fields(rng: random.Random) -> Case:
    """A body that was right, with some of its fields gone, odd, or unknown."""
    path, body = rng.choice(list(ASKING.items()))
    return case("fields", "POST", path, _json(rng, spoilt(rng, {**body, "model": rng.choice(NAMES)})))


def bytes_(rng: random.Random) -> Case:
    """The same, with some of its bytes changed, gone or doubled."""
    path, body = rng.choice(list(ASKING.items()))
    data = bytearray(json.dumps({**body, "model": rng.choice(NAMES)}).encode())
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(4):
            case 0:
                data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 4)))
            case 1:
                del data[at : at + rng.randint(1, 8)]
            case 2:
                data[at : at + 1] = rng.choice(
                    (b"\\ud800", b"\xff", b"NaN", b"1e999", b"}", b"[", b'"', b"\\", b"\x00")
                )
            case _:
                data += data[at : at + 40]
    return case("bytes", "POST", path, bytes(data))


def value(rng: random.Random) -> Case:
    """Any JSON at all, deep ones too."""
    path = rng.choice(list(ASKING))
    if rng.random() < 0.1:
        depth = rng.choice((100, 3000, 100_000))
        return case("value", "POST", path, b'{"model":' + b"[" * depth + b"]" * rng.choice((depth, 0)) + b"}")
    return case("value", "POST", path, _json(rng, tree(rng, 3)))


def writing(rng: random.Random) -> Case:
    """The control API's writes: bodies as ``fields`` has them, names and queries of every kind."""
    path, (method, body) = rng.choice(list(WRITING.items()))
    spoilt_body = spoilt(rng, body) if rng.random() < 0.85 else tree(rng, 2)
    return case("writing", method, V1 + _named(rng, path) + _query(rng, waits=False), _json(rng, spoilt_body))


def reading(rng: random.Random) -> Case:
    """Lists, records and what screens ask, with odd names and queries; now and then by another method."""
    method = rng.choice(("GET",) * 12 + ("HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"))
    return case("reading", method, _named(rng, rng.choice(READING)) + _query(rng, waits=True), b"")


def headers(rng: random.Random) -> Case:
    """A good request with odd headers."""
    path, body = rng.choice(list(ASKING.items()))
    odd = rng.sample(HEADERS, rng.randint(1, 4))
    odd += [(f"x-{rng.randrange(9)}", "".join(chr(rng.randrange(0x20, 0x100)) for _ in range(rng.randrange(40))))]
    return case("headers", "POST", path, json.dumps({**body, "model": "fake"}).encode(), odd)


def heads(rng: random.Random) -> Case:
    """What is hardly HTTP, or lies about its length."""
    raw = bytearray(rng.choice(HEADS))
    if rng.random() < 0.5:
        for _ in range(rng.randint(1, 3)):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
    return Case("heads", "", "", bytes(raw))


KINDS: dict[str, tuple[int, Callable[[random.Random], Case]]] = {
    "fields": (34, fields), "bytes": (18, bytes_), "value": (8, value), "writing": (16, writing),
    "reading": (14, reading), "headers": (8, headers), "heads": (2, heads),
}  # fmt: skip

# ── their parts ───────────────────────────────────────────────────────────────────────────────────────────────────


def case(kind: str, method: str, path: str, body: bytes, more: list[tuple[str, str]] | None = None) -> Case:
    given = dict([("host", "127.0.0.1"), ("content-type", "application/json"), *(more or [])])
    lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in given.items()), f"content-length: {len(body)}"]
    return Case(kind, method, path.partition("?")[0], "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)


def spoilt(rng: random.Random, body: dict[str, Any]) -> dict[str, Any]:
    """A copy in which some values, at any depth, are others, gone, or accompanied."""
    found: dict[str, Any] = json.loads(json.dumps(body))
    for _ in range(rng.randint(0, 3)):
        at: Any = found
        while True:
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            if not keys:
                break
            key = rng.choice(keys)
            if isinstance(at[key], (dict, list)) and at[key] and rng.random() < 0.6:
                at = at[key]
                continue
            if rng.random() < 0.25:
                del at[key]
            else:
                at[key] = _odd(rng)
            break
    if rng.random() < 0.2:
        found[rng.choice(("unknown", "keep_alive", "user", "\u00fc", "at", "id"))] = _odd(rng)
    return found


def tree(rng: random.Random, depth: int) -> Any:
    """Any JSON value."""
    if depth == 0 or rng.random() < 0.4:
        return _odd(rng)
    if rng.random() < 0.5:
        return [tree(rng, depth - 1) for _ in range(rng.randrange(4))]
    keys = ("model", "messages", "prompt", "input", "role", "content", "type", "items", "name", "task", "x")
    return {rng.choice(keys): tree(rng, depth - 1) for _ in range(rng.randrange(5))}


def _odd(rng: random.Random) -> Any:
    return copy.deepcopy(rng.choice(ODD))


def _json(rng: random.Random, body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=rng.random() < 0.5).encode()


def _named(rng: random.Random, path: str) -> str:
    odd = (*NAMES, *TEXTS, "a/b", "\u00fc", "😀", "x" * 300, ".", "..", "a b", "%ff", "a;b")
    return path.replace("{name}", quote(rng.choice(odd), safe=rng.choice(("", "/"))))


def _query(rng: random.Random, *, waits: bool) -> str:
    """``wait`` never asks to wait long: that would be granted."""
    if rng.random() < 0.5:
        return ""
    pairs = []
    for _ in range(rng.randint(1, 3)):
        name = rng.choice(QUERIES)
        short = ("-1", "nan", "inf", "1e999", "x", "", "0.05" if waits else "0")
        given = rng.choice(short if name == "wait" else TEXTS)
        pairs.append(f"{name}={quote(given, safe=rng.choice(('', '&%')))}")
    return "?" + "&".join(pairs)
