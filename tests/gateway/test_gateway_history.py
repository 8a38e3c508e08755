"""The past over the wire: a version's and the machine's."""

from __future__ import annotations

from gateway_cases import V1, Stand


async def test_a_versions_history(inside: Stand) -> None:
    """By version or alias, without waking it; an unknown name is 404 with the nearest."""
    answer = await inside.http.get(f"{V1}/models/fake-a/history")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["version"], body["samples"], body["states"]) == ("fake-a", [], [])
    assert [c["action"] for c in body["changes"]]
    assert inside.provider.loads == []
    await inside.chat()
    body = (await inside.http.get(f"{V1}/models/fake-a/history")).json()
    assert [s["state"] for s in body["states"]] == ["ready", "loading"]
    assert body["samples"][0]["success"]
    assert (await inside.http.get(f"{V1}/models/fake-z/history")).status_code == 404


async def test_the_machines_history(inside: Stand) -> None:
    """Now, the readings since, and today's energy; ``after`` asks for the newer ones only."""
    body = (await inside.http.get(f"{V1}/hardware")).json()
    assert body["hardware"]["cpu_name"] == "Fake CPU"
    assert body["curves"]["cpu"][-1] == 0.25
    assert len(body["at"]) == len(body["curves"]["pool"])
    assert body["spent"] == []
    later = (await inside.http.get(f"{V1}/hardware?after={body['at'][-1] + 1e6}")).json()
    assert later["at"] == []
    assert (await inside.http.get(f"{V1}/hardware?after=-1")).status_code == 422
