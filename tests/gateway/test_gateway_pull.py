"""Registering what a runtime has to fetch first: an operation with progress that can be cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from gateway_cases import V1, Stand, stand, until

from arbiter_tui.errors import ModelUnusable
from arbiter_tui.testing import Behaviour


class Library:
    """What stands behind a fake runtime: its ``pull`` goes on when the test lets it."""

    def __init__(self, at: Stand) -> None:
        self.go, self.left, self.pulled = asyncio.Event(), asyncio.Event(), False
        self._at = at
        at.provider.pull = self.pull  # type: ignore[attr-defined]

    async def pull(self, source: str) -> AsyncGenerator[tuple[str, float | None], None]:
        try:
            yield "pulling manifest", None
            if source == "nope":
                raise ModelUnusable("its library has no such model")
            yield "pulling", 0.25
            await self.go.wait()
            self._at.provider.behaviours[source] = Behaviour()
            self.pulled = True
            yield "success", 1.0
        finally:
            self.left.set()


async def begun(at: Stand, source: str) -> str:
    answer = await at.http.post(f"{V1}/models", json={"provider": "fake", "source": source, "pull": True})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"{V1}/operations/{answer.json()['id']}"
    return str(answer.json()["id"])


async def test_a_pull_is_an_operation_that_ends_with_the_registered_version() -> None:
    """202 with progress as the runtime tells it; then the version, a draft; nothing is registered before."""
    async with stand() as at:
        library = Library(at)
        id = await begun(at, "fresh")
        seen = (await at.http.get(f"{V1}/operations/{id}")).json()
        assert (seen["kind"], seen["state"], seen["progress"]) == ("pull", "running", 0.25)
        assert "fresh" not in at.arbiter.registry.versions
        library.go.set()
        await until(lambda: "fresh" in at.arbiter.registry.versions)

        await until(lambda: "pull" not in {t.get_name().split()[0] for t in asyncio.all_tasks()})
        operation = (await at.http.get(f"{V1}/operations/{id}")).json()
        assert operation["state"] == "done"
        result = operation["result"]
        assert (result["version"], result["lifecycle"], result["known"]) == ("fresh", "draft", False)


async def test_a_pull_that_is_cancelled_stops_and_registers_nothing() -> None:
    """The runtime's download is left, which ends it."""
    async with stand() as at:
        library = Library(at)
        id = await begun(at, "fresh")
        answer = await at.http.delete(f"{V1}/operations/{id}")
        assert answer.json()["state"] == "cancelled"
        assert library.left.is_set()
        assert not library.pulled
        assert "fresh" not in at.arbiter.registry.versions


@pytest.mark.parametrize(("source", "status", "words"), [("nope", 422, "no such model"), ("fake-a", 400, "fetches no")])
async def test_what_can_t_be_pulled_is_told_at_once(source: str, status: int, words: str) -> None:
    """A name that the library does not have; a runtime that fetches nothing."""
    async with stand() as at:
        if source == "nope":
            Library(at)
        body = {"provider": "fake", "source": source, "pull": True}
        answer = await at.http.post(f"{V1}/models", json=body, params={"wait": 5})
        assert answer.status_code == status, answer.text
        assert words in answer.json()["detail"]


async def test_nothing_is_pulled_unasked() -> None:
    """Registering and discovering alone never fetch."""
    async with stand() as at:
        library = Library(at)
        await at.http.post(f"{V1}/models", json={"provider": "fake", "source": "fresh"})
        await at.http.post(f"{V1}/discover", json={"apply": True})
        assert not library.left.is_set()
