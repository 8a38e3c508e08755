"""Export and import over the control API: long work, refused as a whole, written into the ledger, behind its scope."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx
import pytest
from gateway_cases import V1, Stand, stand

from arbiter_tui.client import ControlClient
from arbiter_tui.config import ServerConfig
from arbiter_tui.core.cost import Outcome
from arbiter_tui.errors import ArchiveInvalid
from arbiter_tui.gateway.control_porting import GZIP, LINES, Share

PACKED = {"content-type": GZIP}


async def teach(one: Stand, count: int = 12) -> None:
    await one.arbiter.report(
        Outcome(id=f"r{n}", task="chat", version="fake-a", at=1.7e9 + n, success=True, latency_s=0.2, quality=0.75,
                quality_source="suite")
        for n in range(count)
    )  # fmt: skip


async def archive(one: Stand, **body: Any) -> bytes:
    made = await one.http.post(f"{V1}/export?wait=10", json=body)
    assert made.status_code == 200, made.text
    return (await one.http.get(made.json()["archive"])).content


async def test_an_archive_goes_out_and_comes_in_again(inside: Stand) -> None:
    """202 and an operation, then the archive; taken in elsewhere once, the second time nothing is new."""
    await teach(inside)
    begun = await inside.http.post(f"{V1}/export", json={})
    assert begun.status_code == 202
    operation = (await inside.http.get(begun.headers["location"])).json()
    for _ in range(200):
        if operation["state"] != "running":
            break
        operation = (await inside.http.get(begun.headers["location"])).json()
    assert (operation["state"], operation["progress"]) == ("done", 1.0)
    answer = await inside.http.get(operation["result"]["archive"])
    assert answer.headers["content-type"] == GZIP
    head = json.loads(gzip.decompress(answer.content).split(b"\n")[0])
    assert head["counts"] == operation["result"]["counts"]
    assert head["counts"]["outcome"] == 12
    async with stand() as other:
        for new in (12, 0):
            told = await other.http.post(f"{V1}/import?wait=10", content=answer.content, headers=PACKED)
            assert told.status_code == 200
            assert told.json()["new"]["outcomes"] == new
        assert (await other.http.get(f"{V1}/profiles/chat")).json()["requests"] == 12


async def test_both_are_described_and_an_archive_may_be_plain_lines(inside: Stand) -> None:
    """The document has the paths, the media types, and the words of what."""
    paths = (await inside.http.get(f"{V1}/openapi.json")).json()["paths"]
    body = paths[f"{V1}/import"]["post"]["requestBody"]["content"]
    assert {GZIP, LINES} <= set(body)
    assert GZIP in paths[f"{V1}/export/{{id}}"]["get"]["responses"]["200"]["content"]
    plain = gzip.decompress(await archive(inside, what=["tasks"]))
    told = await inside.http.post(f"{V1}/import?wait=10", content=plain, headers={"content-type": f"{LINES}; a=b"})
    assert told.json()["counts"] == {"task": 2}


@pytest.mark.parametrize(
    ("content", "headers", "status", "said"),
    [
        (b"{}", {"content-type": "application/json"}, 415, "application/gzip"),
        (b"a=b", {"content-type": "application/x-www-form-urlencoded"}, 415, "application/gzip"),
        (b"x", {}, 415, "application/gzip"),
        (b"", PACKED, 422, "the archive is empty"),
        (b"not it\n", PACKED, 422, "header: must be a JSON object"),
        (gzip.compress(b"x" * 10_000_000, mtime=0), PACKED, 422, "line 1: must have at most 256 KiB"),
    ],
)
async def test_what_is_no_archive_is_refused_and_nothing_changes(
    inside: Stand, content: bytes, headers: dict[str, str], status: int, said: str
) -> None:
    """415 for another kind of body (a form of a web page is one), 422 with line and field for a wrong archive."""
    for query in ("", "?wait=10", "?dry_run=true&wait=10"):
        answer = await inside.http.post(f"{V1}/import{query}", content=content, headers=headers)
        assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.text
    assert not inside.store.records
    assert (await inside.http.post(f"{V1}/export", json={"what": ["prompts"]})).status_code == 422
    assert (await inside.http.get(f"{V1}/export/none")).status_code == 404


async def test_a_wrong_line_is_named_for_programs_too(inside: Stand) -> None:
    """Problem details carry the line and the field; the client raises the engine's own error."""
    data = gzip.decompress(await archive(inside)).replace(b'"version":"fake-a"', b'"version":"not a name"')
    answer = await inside.http.post(f"{V1}/import?wait=10", content=data, headers=PACKED)
    assert (answer.status_code, answer.json()["line"], answer.json()["field"]) == (422, 2, "version")
    transport = inside.http._transport
    async with ControlClient("http://127.0.0.1", transport=transport) as api:
        with pytest.raises(ArchiveInvalid, match="line 2"):
            await api.import_archive(data)


async def test_who_exported_and_imported_stands_in_the_ledger(inside: Stand) -> None:
    """Each with what became of it; the import's own line names the archive; a dry run writes none."""
    await teach(inside)
    data = await archive(inside)
    async with stand() as other:
        await other.http.post(f"{V1}/import?wait=10&dry_run=true", content=data, headers=PACKED)
        assert [line for line in other.store.ledger_lines if "import" in line["action"] + line["subject"]] == []
        await other.http.post(f"{V1}/import?wait=10", content=data, headers=PACKED)
        lines = [(line["action"], line["subject"]) for line in other.store.ledger_lines][-3:]
        assert [action for action, _ in lines] == [f"POST {V1}/import", "import", "done"]
        assert lines[0][1] == f"{len(data)} bytes"
        assert "12 outcomes" in lines[1][1]
        assert "sha256:" in lines[1][1]
    assert (f"POST {V1}/export", "") in [(line["action"], line["subject"]) for line in inside.store.ledger_lines]


async def test_both_need_the_scope_control() -> None:
    """A key that may only ask models learns nothing and teaches nothing."""
    async with stand(config={"server": ServerConfig(require_key=True)}) as one:
        for scope, status in (("infer", 403), ("control", 200)):
            _, token = await one.arbiter.keyring.create(f"k-{scope}", scope=scope)
            asking = {"authorization": f"Bearer {token}"}
            made = await one.http.post(f"{V1}/export?wait=10", json={}, headers=asking)
            assert made.status_code == status
            path = made.json().get("archive", f"{V1}/export/any")
            fetched: httpx.Response = await one.http.get(path, headers=asking)
            assert fetched.status_code == status
            taken = await one.http.post(f"{V1}/import?wait=10", content=fetched.content, headers={**PACKED, **asking})
            assert taken.status_code == status


async def test_an_export_that_is_cancelled_leaves_no_archive(inside: Stand) -> None:
    """The operation says cancelled; there is nothing to fetch."""
    await teach(inside, count=400)
    begun = (await inside.http.post(f"{V1}/export", json={})).json()
    ended = (await inside.http.delete(f"{V1}/operations/{begun['id']}")).json()
    assert ended["state"] in ("cancelled", "done")
    fetched = await inside.http.get(f"{V1}/export/{begun['id']}")
    assert fetched.status_code == (404 if ended["state"] == "cancelled" else 200)


def test_the_estimate_follows_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half in four seconds leaves four; before the first share nothing is known; a share never falls."""
    times = iter([10.0, 12.0, 14.0])
    monkeypatch.setattr("arbiter_tui.gateway.control_porting.monotonic", lambda: next(times))
    share = Share()
    assert share.progress() == (0.0, None)
    share.tell(0.5)
    share.tell(0.25)
    assert share.progress() == (0.5, 4.0)
