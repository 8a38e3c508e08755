"""Fixtures of the gateway's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from gateway_cases import Stand, served, stand


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
