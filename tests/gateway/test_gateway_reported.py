"""What clients report: outcomes and feedback over the control API, counted once, refused by name."""

from __future__ import annotations

from gateway_cases import V1, Stand


async def test_an_outcome_beyond_belief_is_refused_and_named(inside: Stand) -> None:
    """Numbers that no store holds are no fault of the server: 4xx with the field, and nothing is taken."""
    good = {"task": "chat", "version": "fake-a", "success": True}
    for wrong in ({"tokens_in": 10**23}, {"latency_s": 1e300}, {"memory_bytes": 10**16}):
        answer = await inside.http.post(f"{V1}/outcomes", json=[good, {**good, **wrong}])
        problem, field = answer.json(), next(iter(wrong))
        assert answer.status_code == 422
        assert answer.headers["content-type"].startswith("application/problem+json")
        assert (problem["status"], problem["param"], problem["code"]) == (422, field, "invalid_value")
        assert f"outcome 2 of 2, of fake-a: {field} is too large" in problem["detail"]
    assert (await inside.http.get(f"{V1}/outcomes")).json()["items"] == []


async def test_feedback_and_reported_outcomes_count_once(inside: Stand) -> None:
    """A thumb becomes quality; a report is idempotent by id; both are committed when acknowledged."""
    request_id = (await inside.chat("arbiter/chat")).headers["x-arbiter-request-id"]
    graded = await inside.http.post(f"{V1}/feedback", json={"request_id": request_id, "score": 1})
    assert (graded.json()["quality"], graded.json()["counts"]) == (1.0, True)
    assert inside.store.outcomes[request_id].quality == 1.0
    corrected = await inside.http.post(f"{V1}/feedback", json={"request_id": request_id, "score": 0.5})
    assert corrected.json()["quality"] == inside.store.outcomes[request_id].quality == 0.5
    assert (await inside.http.post(f"{V1}/feedback", json={"request_id": "x", "score": 1})).status_code == 404
    outcome = {"id": "mine", "task": "chat", "version": "fake-a", "success": True, "latency_s": 0.5}
    for body in (outcome, [outcome], {"items": [outcome]}):
        answer = await inside.http.post(f"{V1}/outcomes", json=body)
        assert (answer.status_code, answer.json()["ids"]) == (202, ["mine"])
    items = (await inside.http.get(f"{V1}/outcomes?task=chat&version=fake-a")).json()["items"]
    assert [o["id"] for o in items].count("mine") == 1
    named = {**outcome, "id": "named", "quality": 1.0, "item": "my secret question"}
    assert (await inside.http.post(f"{V1}/outcomes", json=named)).status_code == 202
    kept = inside.store.outcomes["named"].item
    assert kept is not None
    assert (len(kept), "secret" in kept) == (12, False)  # by which answers are compared, and nothing else
    unknown = await inside.http.post(f"{V1}/outcomes", json={**outcome, "version": "x"})
    assert unknown.status_code == 404
    assert (await inside.http.get(f"{V1}/requests")).json()["items"][0]["id"] == request_id
    assert (await inside.http.get(f"{V1}/explain/{request_id}")).status_code == 200
