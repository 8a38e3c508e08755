"""Models of other runtimes: what is new there becomes a draft, what was replaced a version of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from engine_kit import Engine

from arbiter_tui.core.registry import Lifecycle, ModelVersion
from arbiter_tui.engine.other_runtimes import EVERY_S, OtherRuntimes
from arbiter_tui.errors import ModelUnusable


class Runtime(Engine):
    """The fake provider stands for a runtime of its own, whose models have digests that may change."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.provider.kind = "ollama"  # type: ignore[misc]
        self.digests: dict[str, str] = {}
        discover = self.provider.discover

        async def found() -> list[ModelVersion]:
            return [replace(v, digest=self.digests.get(v.source, v.digest)) for v in await discover()]

        self.provider.discover = found  # type: ignore[method-assign]
        a = self.arbiter
        self.others = OtherRuntimes(a.live, a.pool, a.catalogue)

    def names(self) -> set[str]:
        return set(self.arbiter.registry.versions)


async def test_what_a_runtime_gets_later_appears_by_itself_as_a_draft() -> None:
    """Not at once, for nobody is asked all the time; after the pause, without being asked for."""
    engine = Runtime()
    async with engine:
        engine.others.tick()
        await engine.until(lambda: {"a", "b"} <= engine.names())
        engine.provider.behaviour("c")
        engine.others.tick()
        assert "c" not in engine.names()
        await engine.clock.advance(EVERY_S)
        engine.others.tick()
        await engine.until(lambda: "c" in engine.names())
        assert engine.arbiter.registry.get("c").lifecycle is Lifecycle.DRAFT
        await engine.others.stop()


async def test_a_model_that_was_replaced_becomes_a_version_of_its_own_as_soon_as_the_old_one_fails() -> None:
    """The old version is not changed; the new one is a draft; the operator is told which is which."""
    engine = Runtime()
    async with engine:
        engine.others.tick()
        await engine.until(lambda: "a" in engine.names())
        await engine.others.stop()
        engine.digests["a"] = "sha256:other"
        engine.provider.behaviour("a").fail_load = [ModelUnusable("another model now") for _ in range(9)]
        with pytest.raises(ModelUnusable):
            await engine.arbiter.warm("a")
        engine.others.tick()
        await engine.until(lambda: "a-2" in engine.names())
        old, new = engine.arbiter.registry.get("a"), engine.arbiter.registry.get("a-2")
        assert (old.digest, new.digest) == ("sha256:a", "sha256:other")
        assert new.lifecycle is Lifecycle.DRAFT
        told = [alert.message for alert in engine.arbiter.live.alerts]
        assert "a is another model now: a-2, a draft; a can't be loaded any more" in told
        await engine.others.stop()
