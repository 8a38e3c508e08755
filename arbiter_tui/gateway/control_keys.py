"""Keys over the control API: made, listed, rotated, revoked. Needs the scope ``admin``.

Owns: the fields of a key in a body. Never: a secret, but in the one answer that shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.access import KEY_NAME, SCOPES, Key
from ..engine.arbiter import Arbiter
from ..errors import UnknownName
from .bodies import Field, Fields, invalid, page
from .calls import PAGED, Ask, Call, Reply

RATE = Field("number", low=0.001, high=1e9)
LONGEST_S = 10 * 365 * 86_400.0
DAY_S = 86_400.0
BODY: Fields = {
    "name": Field("text", required=True, help="unique; letters, digits, . _ -"),
    "scope": Field("text", choices=SCOPES, help="each includes those before it (default infer)"),
    "tasks": Field("texts", help="only these; without it: all"),
    "default_task": Field("text", help="serves a model's name that nobody knows"),
    "requests_per_minute": RATE,
    "tokens_per_minute": RATE,
    "expires_in_s": Field("number", low=1, high=LONGEST_S),
}
ROTATION: Fields = {
    "overlap_s": Field("number", low=0, high=LONGEST_S, help="the old secret still opens (default a day)")
}


class Keys:
    def __init__(self, arbiter: Arbiter) -> None:
        self._arbiter = arbiter
        self._ring = arbiter.keyring

    def calls(self) -> list[Call]:
        return [
            Call(method="GET", path="/keys", summary="Who may come in; no secret is ever shown", do=self.list,
                 query=PAGED, answer="Objects"),
            Call(method="POST", path="/keys", summary="Make a key; its token is in this answer only", do=self.create,
                 body=BODY, status=201),
            Call(method="POST", path="/keys/{id}/rotate", summary="A new secret; the old one ends after overlap_s",
                 do=self.rotate, body=ROTATION),
            Call(method="DELETE", path="/keys/{id}", summary="It opens nothing any more", do=self.revoke),
        ]  # fmt: skip

    async def list(self, ask: Ask) -> Reply:
        return Reply(page(self._ring.shown(), ask.query))

    async def create(self, ask: Ask) -> Reply:
        given = dict(ask.body)
        name = given.pop("name")
        if not KEY_NAME.fullmatch(name):
            raise invalid("name", f"'name' must match {KEY_NAME.pattern}")
        tasks, default = tuple(given.pop("tasks", ())), given.get("default_task")
        self._check_tasks(tasks, default)
        ends = given.pop("expires_in_s", None)
        expires = None if ends is None else self._arbiter.clock.now() + ends
        key, token = await self._ring.create(name, tasks=tasks, expires_at=expires, **given)
        return Reply(self._with(key, token), status=201)

    def _check_tasks(self, tasks: tuple[str, ...], default: str | None) -> None:
        known = self._arbiter.tasks
        for task in (*tasks, *([] if default is None else [default])):
            if task not in known:
                raise UnknownName("task", task, known)
        if tasks and default is not None and default not in tasks:
            raise invalid("default_task", f"'default_task' is none of the key's tasks: {', '.join(tasks)}")

    async def rotate(self, ask: Ask) -> Reply:
        key, token = await self._ring.rotate(ask.path["id"], overlap_s=ask.body.get("overlap_s", DAY_S))
        return Reply(self._with(key, token))

    async def revoke(self, ask: Ask) -> Reply:
        key = await self._ring.revoke(ask.path["id"])
        return Reply({**key.shown(self._arbiter.clock.now()), "state": "revoked"})

    def _with(self, key: Key, token: str) -> Mapping[str, Any]:
        return {**key.shown(self._arbiter.clock.now()), "token": token}
