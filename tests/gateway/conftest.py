"""Fixtures of the gateway's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from gateway_cases import Stand, served, stand

from arbiter_tui.provider import Request
from arbiter_tui.testing import Behaviour


@pytest.fixture
async def inside() -> AsyncIterator[Stand]:
    """An engine behind the gateway, in-process."""
    async with stand() as one:
        yield one


@pytest.fixture
async def live() -> AsyncIterator[Stand]:
    """An engine behind the gateway on a real port."""
    async with served() as one:
        yield one


@pytest.fixture
async def seen() -> AsyncIterator[tuple[Stand, list[Request]]]:
    """A stand whose model keeps the requests that reach it."""
    requests: list[Request] = []

    def answer(request: Request) -> str:
        requests.append(request)
        return "yes"

    async with stand({"fake-a": Behaviour(answer=answer, context=600), "fake-b": Behaviour()}) as one:
        yield one, requests
