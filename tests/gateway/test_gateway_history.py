"""The past over the wire: a version's and the machine's."""

from __future__ import annotations

from gateway_cases import V1, Stand

from arbiter_tui.core.autoswap import AutoSwapVerdict
from arbiter_tui.engine.announcements import Announced


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


async def test_a_veto_over_the_wire(inside: Stand) -> None:
    """Nothing announced: 409 with its reason. Announced: held until a time, and the record can be explained."""
    refused = await inside.http.post(f"{V1}/tasks/chat/veto", json={})
    assert refused.status_code == 409
    assert refused.json()["why"][0]["rule"] == "announced"
    assert (await inside.http.post(f"{V1}/tasks/nothing/veto", json={})).status_code == 404
    verdict = AutoSwapVerdict(
        action="swap", to="fake-b", trigger="better", sentence="fake-b leads chat by .2; swapping"
    )
    inside.arbiter.autopilot.announcements.known["chat"] = Announced(
        "fake-b", 2e9, 1e9, verdict, inside.arbiter.autopilot.inputs("chat")
    )
    done = (await inside.http.post(f"{V1}/tasks/chat/veto", json={})).json()
    assert (done["task"], done["to"]) == ("chat", "fake-b")
    assert (await inside.http.get(f"{V1}/tasks/chat")).json()["hold_until"] == done["hold_until"]
    assert (await inside.http.get(f"{V1}/explain/{done['decision']}")).json()["verdict"] == "veto"
