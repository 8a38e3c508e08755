"""Keys at the door: who gets in where, with what, for how long, and how often."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from gateway_cases import CHAT, V1, Stand, stand

from arbiter_tui.config import ServerConfig
from arbiter_tui.core.access import LOCAL
from arbiter_tui.engine import keyring
from arbiter_tui.engine.keyring import CALLER
from arbiter_tui.testing import Behaviour

ASKED = {"model": "arbiter/chat", "messages": [{"role": "user", "content": "hi"}]}
LOCKED = {"server": ServerConfig(require_key=True)}


@pytest.fixture
async def locked() -> AsyncIterator[Stand]:
    """An engine that asks for keys."""
    async with stand(config=LOCKED) as one:
        yield one


async def made(one: Stand, name: str = "app", **fields: Any) -> str:
    """A key's token."""
    _, token = await one.arbiter.keyring.create(name, **fields)
    return token


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def chat(one: Stand, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
    return await one.http.post(CHAT, json={**ASKED, **more}, headers=headers)


@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/metrics", f"{V1}/snapshot", f"{V1}/keys", "/v1/nothing"])
async def test_without_a_key_nothing_but_health_answers(locked: Stand, path: str) -> None:
    """401 in the dialect's shape, with the way in; the model is not called."""
    answer = await (locked.http.post(path, json=ASKED) if path == CHAT else locked.http.get(path))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    body = answer.json()
    assert "arbiter key create" in (body["detail"] if path.startswith(V1) else body["error"]["message"])
    code = body["code"] if path.startswith(V1) else body["error"]["code"]
    assert code == "invalid_api_key"
    assert locked.provider.loads == []
    assert (await locked.http.get("/health/readiness")).status_code == 200


async def test_a_refusal_at_the_door_has_the_shape_of_its_dialect(locked: Stand) -> None:
    """401 and 403 as each family's clients read them; Ollama's greeting is open, its models are not."""
    small = bearer(await made(locked, tasks=("code",)))
    shapes: dict[str, Any] = {}
    for path in ("/api/chat", "/v1/messages", CHAT):
        body = {**ASKED, "max_tokens": 5}
        shapes[path] = [await locked.http.post(path, json=body, headers=h) for h in (None, small)]
    assert {path: [a.status_code for a in answers] for path, answers in shapes.items()} == {
        "/api/chat": [401, 403], "/v1/messages": [401, 403], CHAT: [401, 403],
    }  # fmt: skip
    assert all(isinstance(a.json()["error"], str) for a in shapes["/api/chat"])
    assert [a.json()["type"] for a in shapes["/v1/messages"]] == ["error", "error"]
    kinds = [a.json()["error"]["type"] for a in shapes["/v1/messages"]]
    assert kinds == ["authentication_error", "permission_error"]
    assert (await locked.http.get("/")).status_code == 200
    assert (await locked.http.get("/api/tags")).status_code == 401


@pytest.mark.parametrize("token", ["", "x", "arb_", "arb_x_y", "arb_local_x", "Ärb", "sk-abc"])
async def test_a_wrong_key_is_401_never_500(locked: Stand, token: str) -> None:
    """Whatever stands in the header."""
    headers = [(b"authorization", f"Bearer {token}".encode("latin-1"))]
    answer = await locked.http.post(CHAT, json=ASKED, headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert token not in answer.text or len(token) < 4


async def test_a_key_opens_as_bearer_and_as_x_api_key(locked: Stand) -> None:
    """Both ways, the first time (checked) and the second (remembered)."""
    token = await made(locked)
    for headers in (bearer(token), {"x-api-key": token}) * 2:
        assert (await chat(locked, headers)).status_code == 200
    wrong = token[:-1] + ("A" if token[-1] != "A" else "B")
    assert (await chat(locked, bearer(wrong))).status_code == 401


async def test_a_scope_opens_what_it_names_and_403_says_what_is_missing(locked: Stand) -> None:
    """infer: models only; control: the control API too; admin: keys too."""
    tokens = {scope: await made(locked, scope, scope=scope) for scope in ("infer", "control", "admin")}
    seen = {
        scope: [
            (await locked.http.get(path, headers=bearer(token))).status_code
            for path in ("/v1/models", f"{V1}/snapshot", "/metrics", f"{V1}/keys")
        ]
        for scope, token in tokens.items()
    }
    assert seen == {
        "infer": [200, 403, 403, 403], "control": [200, 200, 200, 403], "admin": [200, 200, 200, 200],
    }  # fmt: skip
    refused = await locked.http.post(f"{V1}/keys", json={"name": "more"}, headers=bearer(tokens["control"]))
    assert refused.status_code == 403
    assert "admin" in refused.json()["detail"]


async def test_on_an_open_engine_a_key_of_ours_must_still_be_right() -> None:
    """Other programs' keys are ignored, as clients always send one; a revoked key of ours is refused."""
    async with stand() as one:
        token = await made(one)
        for headers in (None, bearer("sk-whatever"), {"x-api-key": "unused"}, bearer(token)):
            assert (await chat(one, headers)).status_code == 200
        await one.arbiter.keyring.revoke("app")
        assert (await chat(one, bearer(token))).status_code == 401


async def test_a_request_is_nobodys_but_its_own_keys() -> None:
    """One without a key, behind one with a key on the same connection, is not counted as that key's."""
    async with stand() as one:
        token = await made(one, requests_per_minute=1, tasks=("chat",))
        assert (await chat(one, bearer(token))).status_code == 200
        assert (await chat(one, model="arbiter/code")).status_code == 200
        assert CALLER.get() is None
        await one.http.post(f"{V1}/models/fake-b/pin", json={})
        attempt, change, end = one.store.ledger_lines[-3:]
        assert (attempt["who"], change["who"], end["who"]) == (LOCAL, "operator", LOCAL)
        assert (await chat(one, bearer(token))).status_code == 429


async def test_a_revoked_or_expired_key_is_refused_at_once(locked: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although it was found good a moment ago."""
    token = await made(locked)
    brief = await made(locked, "brief", expires_at=locked.arbiter.clock.now() + 3600)
    assert {(await chat(locked, bearer(t))).status_code for t in (token, brief)} == {200}
    answer = await locked.http.delete(f"{V1}/keys/app", headers=bearer(await made(locked, "boss", scope="admin")))
    assert (answer.status_code, answer.json()["state"]) == (200, "revoked")
    later = locked.arbiter.clock.now() + 3601
    monkeypatch.setattr(locked.arbiter.clock, "now", lambda: later)
    assert [(await chat(locked, bearer(t))).status_code for t in (token, brief)] == [401, 401]


async def test_a_rotated_key_opens_with_both_secrets_until_the_old_one_ends(
    locked: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is locked out while the new one is handed round; then the old one is dead, remembered or not."""
    old = await made(locked, requests_per_minute=100)
    boss = bearer(await made(locked, "boss", scope="admin"))
    assert (await chat(locked, bearer(old))).status_code == 200
    answer = (await locked.http.post(f"{V1}/keys/app/rotate", json={"overlap_s": 60}, headers=boss)).json()
    assert answer["old_secret_until"] is not None
    new = answer["token"]
    assert [(await chat(locked, bearer(t))).status_code for t in (old, new)] == [200, 200]
    later = locked.arbiter.clock.now() + 61
    monkeypatch.setattr(locked.arbiter.clock, "now", lambda: later)
    assert [(await chat(locked, bearer(t))).status_code for t in (old, new)] == [401, 200]
    at_once = (await locked.http.post(f"{V1}/keys/app/rotate", json={"overlap_s": 0}, headers=boss)).json()
    assert [(await chat(locked, bearer(t))).status_code for t in (new, at_once["token"])] == [401, 200]


async def test_a_key_reaches_its_tasks_and_nothing_else(locked: Stand) -> None:
    """Another task, or a version by its name, is 403; its default task serves names that nobody knows."""
    token = bearer(await made(locked, tasks=("code",), default_task="code"))
    assert (await chat(locked, token, model="arbiter/code")).status_code == 200
    default = await chat(locked, token, model="gpt-4o")
    assert (default.status_code, default.headers["x-arbiter-task"]) == (200, "code")
    for model in ("arbiter/chat", "fake-a"):
        answer = await chat(locked, token, model=model)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    assert (await chat(locked, token, model="arbiter/cod")).status_code == 404
    embed = await locked.http.post("/v1/embeddings", json={"model": "arbiter/chat", "input": "x"}, headers=token)
    assert embed.status_code == 403
    for body in ({"model": "arbiter/code", "input": "x"}, {"model": "gpt-4o", "input": "x"}):
        assert (await locked.http.post("/api/embed", json=body, headers=token)).status_code == 200
    assert (
        await locked.http.post("/api/embed", json={"model": "fake-a", "input": "x"}, headers=token)
    ).status_code == 403
    free = bearer(await made(locked, "free"))
    assert (await chat(locked, free, model="gpt-4o")).status_code == 404


async def test_beyond_its_rate_a_key_gets_429_and_when_to_come_back(
    locked: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others' requests, and its own listing, go on; after the time named there is room again."""
    now = locked.arbiter.clock.monotonic()
    monkeypatch.setattr(locked.arbiter.clock, "monotonic", lambda: now)
    token, other = bearer(await made(locked, requests_per_minute=2)), bearer(await made(locked, "other"))
    codes = [(await chat(locked, token)).status_code for _ in range(3)]
    assert codes == [200, 200, 429]
    full = await chat(locked, token)
    assert (full.json()["error"]["code"], full.headers["retry-after"]) == ("rate_limit_exceeded", "30")
    assert (await chat(locked, other)).status_code == 200
    assert (await locked.http.get("/v1/models", headers=token)).status_code == 200
    now += 30.0
    assert [(await chat(locked, token)).status_code for _ in range(2)] == [200, 429]


async def test_an_answers_tokens_are_taken_from_the_keys_allowance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The request that overdraws is answered whole; the next waits until the debt is repaid."""
    async with stand({"fake-a": Behaviour(answer="one two three four", chunks=4)}, config=LOCKED) as one:
        now = one.arbiter.clock.monotonic()
        monkeypatch.setattr(one.arbiter.clock, "monotonic", lambda: now)
        token = bearer(await made(one, tokens_per_minute=3))
        first = await chat(one, token)
        used = first.json()["usage"]["total_tokens"]
        assert used > 3
        full = await chat(one, token)
        assert full.status_code == 429
        assert int(full.headers["retry-after"]) >= (used - 3) * 20
        now += 20.0 * (used - 3) + 21
        assert (await chat(one, token)).status_code == 200


async def test_keys_survive_a_restart_and_only_their_hashes_are_stored(locked: Stand) -> None:
    """Another ring on the same store opens for the same token; the store holds no secret."""
    token = await made(locked, requests_per_minute=5)
    again = keyring.KeyRing(locked.store, locked.arbiter.clock)
    await again.load()
    assert again.usable()
    assert again.known(token.encode()) is None
    caller = await again.check(token.encode())
    assert caller is not None
    assert caller.key == locked.arbiter.keyring.find("app")
    assert again.known(token.encode()) is caller
    secret = token.split("_", 2)[2]  # which may hold that sign, too
    assert len(secret) > 20
    assert secret not in json.dumps(locked.store.notes)


async def test_a_remembered_key_is_not_hashed_again(locked: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """One scrypt per token and process: the hot path has none; a wrong secret is never remembered as good."""
    token = await made(locked)
    hashed: list[str] = []
    real = keyring._hash

    def counting(given: str, salt: bytes) -> bytes:
        hashed.append(given)
        return real(given, salt)

    monkeypatch.setattr(keyring, "_hash", counting)
    await asyncio.gather(*(chat(locked, bearer(token)) for _ in range(5)))
    assert len(hashed) == 1
    wrong = token[:-2] + "xx"
    for _ in range(2):
        assert (await chat(locked, bearer(wrong))).status_code == 401
    assert len(hashed) == 3


async def test_checks_that_pile_up_are_refused_and_the_known_pass(
    locked: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guessing costs the guesser: beyond the queue 429, while a key that was found good is served."""
    token = await made(locked)
    assert (await chat(locked, bearer(token))).status_code == 200
    monkeypatch.setattr(keyring, "WAITING", 0)
    id = locked.arbiter.keyring.find("app").id
    assert (await chat(locked, bearer(f"arb_{id}_guess"))).status_code == 429
    assert (await chat(locked, bearer(token))).status_code == 200


async def test_the_engines_own_key_opens_everything_and_is_neither_stored_nor_listed(locked: Stand) -> None:
    """It is for whoever may read the state folder, and ends with the process."""
    own = bearer(locked.arbiter.keyring.own())
    listed = await locked.http.get(f"{V1}/keys", headers=own)
    assert (listed.status_code, listed.json()["items"]) == (200, [])
    made_over = await locked.http.post(f"{V1}/keys", json={"name": "ci"}, headers=own)
    assert made_over.status_code == 201
    assert LOCAL not in json.dumps(locked.store.notes)
    assert not locked.arbiter.keyring.keys()[0].allows("control")
    assert (await locked.http.get(f"{V1}/keys", headers=own)).status_code == 200  # after a commit, too


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "a b"}, 422), ({"name": "x", "scope": "root"}, 422), ({"name": "x", "tasks": ["nothing"]}, 404),
        ({"name": "x", "tasks": ["chat"], "default_task": "code"}, 422), ({"name": "x", "expires_in_s": 0}, 422),
        ({"name": "x", "requests_per_minute": 0}, 422), ({"name": "app"}, 409), ({}, 422),
    ],
    ids=str,
)  # fmt: skip
async def test_a_key_that_makes_no_sense_is_refused(inside: Stand, body: dict[str, Any], status: int) -> None:
    """And nothing is made."""
    await made(inside)
    answer = await inside.http.post(f"{V1}/keys", json=body)
    assert answer.status_code == status, answer.text
    assert len(inside.arbiter.keyring.keys()) == 1


async def test_an_unknown_key_can_be_neither_rotated_nor_revoked(inside: Stand) -> None:
    """404 with the nearest name."""
    await made(inside, "laptop")
    for call in (
        inside.http.post(f"{V1}/keys/latop/rotate", json={}),
        inside.http.delete(f"{V1}/keys/latop"),
    ):
        answer = await call
        assert answer.status_code == 404
        assert "laptop" in answer.text


async def test_an_expired_key_is_not_rotated(inside: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its new secret would open nothing: the refusal says so, and what to do."""
    made_ = await inside.http.post(f"{V1}/keys", json={"name": "brief", "expires_in_s": 1})
    assert made_.status_code == 201
    later = inside.arbiter.clock.now() + 2
    monkeypatch.setattr(inside.arbiter.clock, "now", lambda: later)
    answer = await inside.http.post(f"{V1}/keys/brief/rotate", json={})
    assert answer.status_code == 409
    assert "make a new key" in answer.json()["detail"]


async def test_every_control_write_is_in_the_ledger_with_its_key(locked: Stand) -> None:
    """Before it is carried out, with the key's id; what only looks is not there, nor what was refused at the door."""
    boss = await made(locked, "boss", scope="control")
    id = locked.arbiter.keyring.find("boss").id
    who = bearer(boss)
    request = (await chat(locked, who)).headers["x-arbiter-request-id"]
    for path, body in (
        ("/models/fake-b/pin", {}),
        ("/feedback", {"request_id": request, "score": 1, "comment": "very private"}),
        ("/select", {"task": "chat"}),
        ("/swaps", {"task": "chat", "to": "fake-b", "dry_run": True}),
        ("/discover", {}),
    ):
        assert (await locked.http.post(V1 + path, json=body, headers=who)).status_code < 300, path
    assert (await locked.http.post(f"{V1}/keys", json={"name": "x"}, headers=who)).status_code == 403
    assert (await locked.http.post(f"{V1}/models/fake-b/unpin", json={})).status_code == 401
    lines = [line for line in locked.store.ledger_lines if line["action"].startswith(("POST", "PUT", "DELETE"))]
    assert [(line["who"], line["action"]) for line in lines] == [
        (id, f"POST {V1}/models/fake-b/pin"), (id, f"POST {V1}/feedback"),
    ]  # fmt: skip
    assert "private" not in json.dumps(lines)
    assert "score=1" in lines[1]["subject"]


async def test_the_ledger_says_what_became_of_an_attempt(inside: Stand) -> None:
    """Done, accepted where it goes on by itself, or refused and why: a line behind the attempt's own."""
    await inside.http.post(f"{V1}/models/fake-b/pin", json={})
    await inside.http.post(f"{V1}/models/fake-c/pin", json={})
    await inside.http.post(f"{V1}/models/fake-b/warm")
    ends = [line for line in inside.store.ledger_lines if line["action"] in ("done", "accepted", "refused")]
    assert [(line["who"], line["action"], line["subject"]) for line in ends] == [
        (LOCAL, "done", f"POST {V1}/models/fake-b/pin"),
        (LOCAL, "refused", f"POST {V1}/models/fake-c/pin unknown_name"),
        (LOCAL, "accepted", f"POST {V1}/models/fake-b/warm"),
    ]


async def test_a_write_without_a_key_is_in_the_ledger_as_local(inside: Stand) -> None:
    """And one whose line can't be written is not carried out."""
    await inside.http.put(f"{V1}/autopilot", json={"mode": "off"})
    attempt = next(line for line in inside.store.ledger_lines if line["action"] == f"PUT {V1}/autopilot")
    assert (attempt["who"], attempt["subject"]) == (LOCAL, 'mode="off"')
    inside.store.fail_next.append(RuntimeError("the disk is gone"))
    assert (await inside.http.post(f"{V1}/models/fake-b/pin", json={})).status_code == 500
    assert not inside.arbiter.registry.get("fake-b").pinned


async def test_a_key_with_tasks_is_shown_those_alone(locked: Stand) -> None:
    """Neither lists nor a look at one model name what it may not ask for; any other key sees all."""
    _, narrow = await locked.arbiter.keyring.create("narrow", tasks=("code",))
    _, wide = await locked.arbiter.keyring.create("wide")
    await locked.arbiter.alias("quick", "fake-a")
    for token, listed, tags in (
        (narrow, ["arbiter/code"], ["arbiter/code:latest"]),
        (wide, ["arbiter/chat", "arbiter/code", "quick", "fake-a", "fake-b"], None),
    ):
        told = {"x-api-key": token}
        models = (await locked.http.get("/v1/models", headers=told)).json()["data"]
        assert [m["id"] for m in models] == listed
        found = [m["name"] for m in (await locked.http.get("/api/tags", headers=told)).json()["models"]]
        assert (found == tags) if tags else ("fake-a:latest" in found)
    one = await locked.http.get("/v1/models/fake-a", headers={"x-api-key": narrow})
    assert one.status_code == 404
    assert "fake-a" not in one.json()["error"]["message"].split(";")[1]
