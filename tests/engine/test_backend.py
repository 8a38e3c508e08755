"""The backend that the machine's line names, and the word about a GPU that nobody uses."""

from __future__ import annotations

from dataclasses import replace

from engine_kit import Engine

from arbiter_tui.core.snapshot import GpuView
from arbiter_tui.testing import Behaviour


def with_gpu(engine: Engine) -> Engine:
    probe = engine.arbiter.live.probe
    probe.view = replace(probe.view, gpus=(GpuView(index=0, name="Big GPU"),), gpu_why=None)
    return engine


def idle(engine: Engine) -> list[str]:
    return [alert.message for alert in engine.arbiter.live.alerts if "lies idle" in alert.message]


async def test_the_backend_is_what_the_loaded_models_say() -> None:
    """Before a load it is the CPU; then what the engine names, and it stays when the model is gone."""
    async with Engine({"a": Behaviour(backend="CUDA")}) as engine:
        assert engine.arbiter.live.hardware.backend == "CPU"
        await engine.arbiter.warm("a")
        await engine.until(lambda: engine.arbiter.live.hardware.backend == "CUDA", step_s=0.5)
        await engine.arbiter.unload("a")
        await engine.clock.advance(5)
        assert engine.arbiter.live.hardware.backend == "CUDA"


async def test_an_idle_gpu_is_told_once() -> None:
    """A GPU, and models that run on the CPU: one alert that names the way out, however long it stays so."""
    async with with_gpu(Engine({"a": Behaviour(backend="CPU")})) as engine:
        await engine.clock.advance(3)
        assert idle(engine) == [], "nothing is loaded: nobody knows yet"
        await engine.arbiter.warm("a")
        await engine.until(lambda: idle(engine), step_s=0.5)
        await engine.clock.advance(30)
        assert len(idle(engine)) == 1
        assert "Big GPU" in idle(engine)[0]
        assert "arbiter doctor" in idle(engine)[0]


async def test_nothing_is_claimed_where_it_is_not_known() -> None:
    """A model whose backend nobody knows may well use the GPU; without a GPU there is nothing to say."""
    for models, gpu in (({"a": Behaviour(backend=None)}, True), ({"a": Behaviour(backend="CUDA")}, True),
                        ({"a": Behaviour(backend="CPU")}, False)):  # fmt: skip
        engine = Engine(models)
        async with with_gpu(engine) if gpu else engine:
            await engine.arbiter.warm("a")
            await engine.clock.advance(5)
            assert idle(engine) == []
