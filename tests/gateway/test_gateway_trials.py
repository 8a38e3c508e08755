"""Canaries and swaps at a later time over the control API."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_cases import Stand

V1 = "/arbiter/v1"


def other(inside: Stand) -> tuple[str, str]:
    """(who serves chat, the other one)."""
    old = inside.arbiter.routes.get("chat").incumbent
    assert old is not None
    return old, "fake-b" if old == "fake-a" else "fake-a"


async def post(inside: Stand, path: str, body: Any = None) -> Any:
    return await inside.http.post(f"{V1}{path}", json=body or {})


async def test_a_canary_begins_is_listed_ordered_and_ended(inside: Stand) -> None:
    """202 with the rollout; it is in the list, the snapshot and the task's row; pause, resume and abort answer with its
    state; an order after its end is refused, an unknown id is 404."""
    old, to = other(inside)
    dry = await post(inside, "/swaps", {"task": "chat", "to": to, "mode": "canary", "dry_run": True})
    assert (dry.status_code, dry.json()["dry_run"]) == (200, True)
    assert inside.arbiter.routes.get("chat").candidate is None
    begun = await post(inside, "/swaps", {"task": "chat", "to": to, "mode": "canary"})
    assert begun.status_code == 202
    rollout = begun.json()
    assert (rollout["task"], rollout["from"], rollout["to"], rollout["phase"]) == ("chat", old, to, "shadow")
    listed = (await inside.http.get(f"{V1}/rollouts")).json()["items"]
    assert [r["id"] for r in listed] == [rollout["id"]]
    snapshot = (await inside.http.get(f"{V1}/snapshot")).json()
    assert [r["id"] for r in snapshot["rollouts"]] == [rollout["id"]]
    (row,) = [t for t in snapshot["tasks"] if t["task"] == "chat"]
    assert (row["incumbent"], row["candidate"]) == (old, to)
    again = await post(inside, "/swaps", {"task": "chat", "to": to, "mode": "canary"})
    assert (again.status_code, again.json()["code"]) == (409, "refused")
    assert (await post(inside, f"/rollouts/{rollout['id']}/pause")).json()["paused"] is True
    assert (await post(inside, f"/rollouts/{rollout['id']}/resume")).json()["paused"] is False
    assert (await post(inside, f"/rollouts/{rollout['id']}/abort")).json()["phase"] == "aborted"
    assert (await post(inside, f"/rollouts/{rollout['id']}/promote")).status_code == 409
    assert (await post(inside, "/rollouts/nope/abort")).status_code == 404


async def test_a_swap_can_be_scheduled_seen_and_cancelled(inside: Stand) -> None:
    """202 with the appointment; it stands among the operations until it is cancelled; nothing is swapped."""
    old, to = other(inside)
    at = inside.arbiter.clock.now() + 3600
    made = await post(inside, "/swaps", {"task": "chat", "to": to, "at": at})
    assert made.status_code == 202
    view = made.json()
    assert (view["kind"], view["state"]) == ("appointment", "waiting")
    assert to in view["message"]
    operations = (await inside.http.get(f"{V1}/operations")).json()["items"]
    assert view["id"] in [o["id"] for o in operations]
    gone = await inside.http.delete(f"{V1}/operations/{view['id']}")
    assert gone.json()["state"] == "cancelled"
    assert inside.arbiter.routes.get("chat").incumbent == old
    assert (await inside.http.get(f"{V1}/operations/{view['id']}")).json()["state"] == "cancelled"


@pytest.mark.parametrize(
    ("at", "status"),
    [(0, 409), ("1999-01-01T00:00", 409), ("soon", 422), (True, 422), ({}, 422), ("25:00", 422), ("9" * 40, 422),
     ("2999-01-01T00:00", 409)],
)  # fmt: skip
async def test_a_wrong_time_is_refused_with_the_forms(inside: Stand, at: Any, status: int) -> None:
    """422 names what can be written; a moment that is past or too far is 409."""
    _, to = other(inside)
    answer = await post(inside, "/swaps", {"task": "chat", "to": to, "at": at})
    assert answer.status_code == status
    assert ("+30m" in answer.text) == (status == 422)


async def test_a_swap_is_cancelled_by_its_id(inside: Stand) -> None:
    """One that is over is refused with the way out; an unknown one is 404."""
    _, to = other(inside)
    done = (await inside.http.post(f"{V1}/swaps?wait=10", json={"task": "chat", "to": to})).json()
    over = await inside.http.delete(f"{V1}/swaps/{done['id']}")
    assert (over.status_code, "arbiter rollback chat" in over.text) == (409, True)
    assert (await inside.http.delete(f"{V1}/swaps/nope")).status_code == 404
