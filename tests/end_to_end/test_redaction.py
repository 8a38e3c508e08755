"""Keys are planted everywhere they may be used; then everything that the engine says, writes and stores is searched.

The servers behind it are the worst ones: they repeat the key that they were sent, in refusals and in what they list.
"""

from __future__ import annotations

import base64
import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from engine_process import QUIET, V1, Engine, until

PROVIDER = "planted-provider-key-7f3a91"
HOOK, HOOK_PATH = "planted-webhook-secret-5e5e5e", "planted-hook-path-a1b2c3"
PLANTED = (PROVIDER, HOOK, HOOK_PATH)
PROMPT, COMMENT = "planted prompt of nobody's business", "planted comment of a person"
PAID = ("anthropic", "openai")


class Echo(BaseHTTPRequestHandler):
    """Lists one model; refuses everything else with what it was sent."""

    seen: list[str]

    def do_GET(self) -> None:
        self._say(200, {"object": "list", "data": [{"id": "m", "object": "model"}]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        type(self).seen.append(self.path)
        sent = self.headers.get("authorization") or f"Bearer {self.headers.get('x-api-key')}"
        self._say(401, {"error": {"message": f"Incorrect API key provided: {sent} ({sent[7:]})", "code": "bad_key"}})

    def _say(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def echoing() -> Iterator[tuple[str, list[str]]]:
    handler = type("Handler", (Echo,), {"seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler.seen
    finally:
        server.shutdown()
        server.server_close()


def paid(kind: str, url: str) -> str:
    return f"""
[[providers]]
name = "{kind}"
kind = "{kind}"
base_url = "{url}"
api_key = "env:PLANTED_PROVIDER"
models = ["m"]
prices = {{ m = {{ input = 1, output = 2 }} }}
budget_per_day = 1
[[models]]
name = "paid-{kind}"
provider = "{kind}"
source = "m"
"""


def configured(url: str) -> str:
    return f"""{QUIET}
[server]
require_key = true
[[providers]]
name = "box"
kind = "openai_compatible"
base_url = "{url}"
api_key = "env:PLANTED_PROVIDER"
[[models]]
name = "boxed"
provider = "box"
source = "m"
{"".join(paid(kind, url) for kind in PAID)}
[[tasks]]
name = "planted"
[[webhooks]]
name = "chat"
url = "env:PLANTED_HOOK_URL"
secret = "env:PLANTED_HOOK"
"""


def forms(secret: str) -> list[bytes]:
    """As it is, and as base64 would carry it."""
    return [secret.encode(), base64.b64encode(secret.encode()).rstrip(b"=")]


def leaks(where: str, data: bytes, secrets: list[str]) -> list[str]:
    return [f"{secret[:12]}… in {where}" for secret in secrets if any(form in data for form in forms(secret))]


def test_no_planted_key_is_found_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs, snapshots, answers, refusals, explanations, events, the description, metrics, exports, the database."""
    with echoing() as (url, posted):
        monkeypatch.setenv("PLANTED_PROVIDER", PROVIDER)
        monkeypatch.setenv("PLANTED_HOOK", HOOK)
        monkeypatch.setenv("PLANTED_HOOK_URL", f"{url}/{HOOK_PATH}")
        engine = Engine(tmp_path, configured(url))
        try:
            _search(engine, posted)
        finally:
            engine.close()


def _search(engine: Engine, posted: list[str]) -> None:
    tokens = [engine.cli("key", "create", name, "--scope", "admin").stdout.strip() for name in ("one", "two")]
    tokens.append(engine.cli("key", "rotate", "two", "--overlap", "1h").stdout.strip())
    engine.start()
    own = (engine.state / "engine.key").read_text().strip()
    secrets = [*PLANTED, *(token.split("_", 2)[2] for token in (*tokens, own))]
    said: dict[str, bytes] = {}
    with httpx.Client(base_url=engine.url, headers={"x-api-key": tokens[0]}, trust_env=False, timeout=60) as http:
        _make_trouble(http, tokens, said)
        until(lambda: any(HOOK_PATH in path for path in posted), "a webhook")
        _read_everything(http, said)
    said["an export over the wire"] = _exported(engine.url, tokens[0])
    said["export"] = engine.cli("export").stdout.encode()
    for words in (
        ("status",),
        ("models",),
        ("requests",),
        ("config", "show"),
        ("key", "list"),
        ("doctor",),
        ("history",),
    ):
        done = engine.cli(*words, "--json")
        said[" ".join(words)] = (done.stdout + done.stderr).encode()
    assert {"/v1/chat/completions", "/v1/messages"} <= set(posted), (
        "the provider was never asked: nothing would be proven"
    )
    found = [leak for where, data in said.items() for leak in leaks(where, data, secrets)]
    for where in ("export", "an export over the wire"):
        assert b'"kind":"task"' in said[where], "nothing was exported: nothing would be proven"
        found += leaks(where, said[where], [PROMPT, COMMENT, str(engine.state)])
    found += _in_files(engine, secrets, own)
    assert engine.stop() == 0
    found += _in_files(engine, secrets, own)
    assert not found, found


def _make_trouble(http: httpx.Client, tokens: list[str], said: dict[str, bytes]) -> None:
    """Requests that fail behind a key, refusals that were shown one, writes that carry one in the wrong place."""
    chat = {"messages": [{"role": "user", "content": PROMPT}]}
    for stream in (False, True):
        answer = http.post("/v1/chat/completions", json={"model": "boxed", "stream": stream, **chat})
        said[f"chat {stream}"] = answer.content + str(answer.headers).encode()
    for kind in PAID:
        said[f"chat {kind}"] = http.post("/v1/chat/completions", json={"model": f"paid-{kind}", **chat}).content
        assert b"api_key" in said[f"chat {kind}"], said[f"chat {kind}"]
    said["embeddings"] = http.post("/v1/embeddings", json={"model": "boxed", "input": "x"}).content
    for task in ("planted", "sentiment"):  # one of them is served by another
        said[f"swap {task}"] = http.post(f"{V1}/swaps?wait=20", json={"task": task, "to": "boxed"}).content
    said["warm"] = http.post(f"{V1}/models/boxed/warm?wait=20", json={}).content
    wrong = {"x-api-key": tokens[0] + "x"}
    for path in ("/v1/models", f"{V1}/snapshot", f"{V1}/keys"):
        said[f"wrong key {path}"] = http.get(path, headers=wrong).content
    # What a client writes into its own path it reads back; it must not be kept.
    http.get(f"{V1}/explain/{tokens[0]}")
    http.delete(f"{V1}/keys/{tokens[0]}")
    http.post(f"{V1}/feedback", json={"request_id": tokens[0], "score": 1})
    http.put(f"{V1}/tasks/planted", json={"description": f"asked with {tokens[0]}"})
    for request in http.get(f"{V1}/requests").json()["items"]:
        http.post(f"{V1}/feedback", json={"request_id": request["id"], "score": 1, "comment": COMMENT})


def _exported(url: str, token: str) -> bytes:
    """All of an archive, as whoever fetches it unpacks it."""
    with httpx.Client(base_url=url, headers={"x-api-key": token}, trust_env=False, timeout=60) as http:
        made = http.post(f"{V1}/export?wait=30", json={})
        return gzip.decompress(http.get(made.json()["archive"]).content)


def _read_everything(http: httpx.Client, said: dict[str, bytes]) -> None:
    """Every GET of the description, with real names in its path."""
    description = http.get(f"{V1}/openapi.json")
    said["openapi"] = description.content
    request = http.get(f"{V1}/requests").json()["items"]
    names = {"{v}": "boxed", "{t}": "planted", "{id}": request[0]["id"] if request else "none", "{a}": "none"}
    for path, methods in description.json()["paths"].items():
        if "get" in methods:
            for name, value in names.items():
                path = path.replace(name, value)
            said[path] = http.get(f"{path}?limit=1000").content
    for swap in http.get(f"{V1}/swaps").json()["items"]:
        said[f"explain {swap['id']}"] = http.get(f"{V1}/explain/{swap['id']}").content
    said["requests with prompts"] = http.get(f"{V1}/requests?prompts=true&limit=1000").content
    for path in ("/metrics", "/health", "/v1/models", "/v1/models/boxed"):
        said[path] = http.get(path).content


def _in_files(engine: Engine, secrets: list[str], own: str) -> list[str]:
    """Of the state folder and the log; the engine's own key lies in its file, and only there."""
    found = []
    for path in [*engine.state.rglob("*"), engine.log]:
        if path.is_file():
            looked_for = [s for s in secrets if not (path.name == "engine.key" and s in own)]
            found += leaks(path.name, path.read_bytes(), looked_for)
    return found
