"""The constitution in the engine: no way leads a bound task's request to a version that its rule forbids."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from arbiter_providers.ollama import OllamaProvider
from arbiter_providers.openai_compatible import OpenAiCompatibleProvider
from engine_kit import ASK, Engine, read

from arbiter_tui.config import Config, ProviderBlock, RolloutConfig, parse
from arbiter_tui.config_gates import RuleBlock, WaiverBlock
from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.core.tasks import Task
from arbiter_tui.engine.constitution import Constitution
from arbiter_tui.engine.live import Live
from arbiter_tui.errors import Forbidden, NoQualifyingModel, ProviderError
from arbiter_tui.provider import Provider, ProviderConfig, Request
from arbiter_tui.testing import Behaviour, FakeClock, FakeProbe, FakeProvider, MemoryStore

STAYS = RuleBlock(name="stays-here", labels=("private",), local=True)
SECRET = Task(name="work", private=True)
QUICK = RolloutConfig(every_s=100.0, start=0.1, step=0.3, shadow_per_hour=3600.0)


def bound(rule: RuleBlock = STAYS, **more: Any) -> Engine:
    """Version a runs here, b elsewhere; the task ``work`` is private, ``open`` is not."""
    e = Engine(**{"tasks": (SECRET, "open"), "constitution": (rule,), **more})
    e.arbiter.admission.constitution.is_local = lambda version: version.version != "b"  # type: ignore[method-assign]
    return e


async def test_a_forbidden_version_is_never_chosen_and_can_be_swapped_to_by_nobody() -> None:
    """Selection says why, the swap and its dry run are refused with the rule; the free task may use it."""
    async with bound() as e:
        await e.teach("b", quality=1.0)
        await e.teach("a", quality=0.1)
        choice = e.arbiter.select("work")
        assert (choice.primary, choice.fallback) == ("a", None)
        assert "stays-here" in choice.disqualified["b"]
        for how in ({}, {"dry_run": True}, {"trigger": "auto"}):
            with pytest.raises(Forbidden, match="stays-here") as caught:
                await e.arbiter.swap("work", "b", **how)
            assert caught.value.code == "constitution"
            assert caught.value.details["why"][0]["rule"] == "constitution stays-here"
        with pytest.raises(Forbidden, match="stays-here"):
            await e.arbiter.rollouts.start("work", "b")
        assert (await e.arbiter.swap("open", "b")).result == "done"
        assert e.provider.loads.count("b") == 1


async def test_a_version_that_is_named_is_refused_for_a_bound_task() -> None:
    """The header or the name says the task: then the rule binds, and the model is not called."""
    async with bound() as e:
        with pytest.raises(Forbidden, match="stays-here"):
            await e.arbiter.begin("b", ASK, task="work")
        assert await read(await e.arbiter.begin("a", ASK, task="work"))
        assert await read(await e.arbiter.begin("b", ASK))
        await e.arbiter.alias("best", "b")
        with pytest.raises(Forbidden):
            await e.arbiter.begin("best", ASK, task="work")


async def test_a_rule_for_all_binds_requests_without_a_task_and_embeddings() -> None:
    """Nothing gets round it by naming a version."""
    async with bound(RuleBlock(name="here", local=True)) as e:
        with pytest.raises(Forbidden):
            await e.arbiter.begin("b", ASK)
        with pytest.raises(Forbidden):
            await e.arbiter.embed("b", ["x"])
        assert e.provider.loads.count("b") == 0


async def test_an_embedding_of_a_bound_task_is_not_made_elsewhere() -> None:
    """Also where a dialect has resolved the task's name before it asks."""
    async with bound() as e:
        with pytest.raises(Forbidden, match="stays-here"):
            await e.arbiter.embed("b", ["x"], "work")
        assert await e.arbiter.embed("a", ["x"], "work")


async def test_who_serves_against_a_rule_is_refused_and_told_at_the_start() -> None:
    """A rule that came after the route: an alert names the task, its requests are refused until it is swapped."""
    async with Engine(tasks=(SECRET, "open")) as before:
        await before.arbiter.swap("work", "b")
    async with bound(store=before.store) as e:
        alerts = [a.message for a in e.arbiter.snapshot().alerts if a.task == "work"]
        assert any("stays-here" in text for text in alerts)
        with pytest.raises(Forbidden):
            await e.arbiter.begin("arbiter/work", ASK)
        await e.arbiter.swap("work", "a")
        assert await read(await e.arbiter.begin("arbiter/work", ASK))


async def test_an_exploring_request_of_a_bound_task_stays_with_who_serves() -> None:
    """Exploration would have sent it to the loaded other version."""
    async with bound(mode="on", explore_share=0.5) as e:
        await e.arbiter.swap("work", "a")
        await e.arbiter.swap("open", "a")
        live = e.arbiter.live
        for task in ("work", "open"):
            live.put_route(replace(live.routes.get(task), hold_until=0.0))
        await e.arbiter.warm("b")
        seen = {task: set() for task in ("work", "open")}  # type: dict[str, set[str]]
        for task, versions in seen.items():
            for _ in range(12):
                answer = await e.arbiter.begin(f"arbiter/{task}", ASK)
                versions.add(answer.version.version)
                await read(answer)
        assert seen == {"work": {"a"}, "open": {"a", "b"}}


async def test_a_version_on_trial_that_becomes_forbidden_gets_no_request_more() -> None:
    """The rule is asked with each request, not when the trial began."""
    async with bound(rollout=QUICK, questions=60) as e:
        allowed = e.arbiter.admission.constitution.is_local
        e.arbiter.admission.constitution.is_local = lambda version: True  # type: ignore[method-assign]
        await e.arbiter.swap("work", "a")
        await e.arbiter.warm("a")
        await e.arbiter.rollouts.start("work", "b")
        await e.until(lambda: e.arbiter.rollouts.views()[0].phase == "canary", turns=2000, step_s=1.0)
        assert await answered_by(e) == {"a", "b"}
        e.arbiter.admission.constitution.is_local = allowed  # type: ignore[method-assign]
        assert await answered_by(e) == {"a"}


async def answered_by(e: Engine) -> set[str]:
    """The versions that sixty users of the task were answered by."""
    found = set()
    for n in range(60):
        answer = await e.arbiter.begin("arbiter/work", Request(messages=ASK.messages, extra={"user": f"u{n}"}))
        found.add(answer.version.version)
        await read(answer)
    return found


async def test_a_failure_does_not_fall_back_to_a_forbidden_version() -> None:
    """The free task's request is answered by the other one; the bound task's client gets the error."""
    models = {"a": Behaviour(), "b": Behaviour()}
    async with bound(models=models) as e:
        await e.arbiter.warm("a")
        await e.arbiter.warm("b")
        for task, answered in (("open", "ok"), ("work", None)):
            e.provider.behaviours["a"].fail_generate = [ProviderError("no")]
            answer = await e.arbiter.begin(f"arbiter/{task}", ASK)
            assert answer.version.version == "a"
            if answered is None:
                with pytest.raises(ProviderError, match="no"):
                    await read(answer)
            else:
                assert await read(answer) == answered
                assert answer.version.version == "b"


async def test_the_benchmark_does_not_ask_a_forbidden_version_a_bound_tasks_questions() -> None:
    """A suite's questions are the task's, too; the free task's are asked."""
    async with bound() as e:
        operation = await e.arbiter.start_bench()
        await e.until(lambda: e.arbiter.operation(operation.id).state != "running", turns=4000)
        assert set(e.arbiter.evidence.stats("work")) == {"a"}
        assert set(e.arbiter.evidence.stats("open")) == {"a", "b"}


async def test_a_waiver_lets_it_through_until_its_end_and_is_shown() -> None:
    """With its reason, as long as it holds; afterwards the rule binds again without a restart."""
    waiver = WaiverBlock(task="work", reason="agreed with the owner", until="2023-11-14T22:14:00+00:00")  # 40 s on
    async with bound(replace(STAYS, waivers=(waiver,))) as e:
        assert any("agreed with the owner" in a.message for a in e.arbiter.snapshot().alerts)
        assert await read(await e.arbiter.begin("b", ASK, task="work"))
        await e.clock.advance(41)
        with pytest.raises(Forbidden):
            await e.arbiter.begin("b", ASK, task="work")


async def test_a_bound_task_whose_every_model_is_forbidden_says_so() -> None:
    """NoQualifyingModel carries the rule for each."""
    async with bound() as e:
        e.arbiter.admission.constitution.is_local = lambda version: False  # type: ignore[method-assign]
        with pytest.raises(NoQualifyingModel, match="stays-here"):
            e.arbiter.select("work")


async def test_the_label_by_which_a_rule_binds_can_only_be_taken_away_in_the_configuration() -> None:
    """Neither by an operator's change nor by one that is stored; other labels come and go."""
    async with bound() as e:
        with pytest.raises(Forbidden, match="private"):
            await e.arbiter.put_task({"name": "work", "private": False})
        assert (await e.arbiter.put_task({"name": "work", "labels": ["x"]})).labels == ("x",)
        assert (await e.arbiter.put_task({"name": "work", "labels": []})).private
        with pytest.raises(Forbidden):
            await e.arbiter.begin("b", ASK, task="work")


def constitution(provider: Provider, **options: Any) -> Constitution:
    block = ProviderBlock(name=provider.name, kind=provider.kind, options=options)
    live = Live(
        Config(providers=(block,)), store=MemoryStore(), probe=FakeProbe(), clock=FakeClock(), new_id=str, suites={}
    )
    return Constitution(live, {provider.name: provider})


class Named:
    """A provider of some kind, as far as the constitution asks."""

    def __init__(self, kind: str, **more: Any) -> None:
        self.name, self.kind = "p", kind
        self.__dict__.update(more)


PLACES: list[tuple[Any, dict[str, Any], str, bool]] = [
    (OllamaProvider(ProviderConfig(name="p", kind="ollama")), {}, "llama3:8b", True),
    (OllamaProvider(ProviderConfig(name="p", kind="ollama")), {}, "gpt-oss:120b-cloud", False),
    (OllamaProvider(ProviderConfig(name="p", kind="ollama")), {}, "kimi:cloud", False),
    (Named("ollama", base_url="http://10.0.0.2:11434"), {}, "m", False),
    (Named("openai_compatible", base_url="http://localhost:1234"), {}, "m", True),
    (Named("openai_compatible", base_url="http://[::1]:1234"), {}, "m", True),
    (Named("openai_compatible", base_url="http://localhost.evil.example:1234"), {}, "m", False),
    (Named("openai_compatible", base_url="https://api.example"), {}, "m", False),
    (Named("llama_server"), {}, "m", True),
    (Named("server"), {}, "m", True),
    (Named("server"), {"rpc": ["10.0.0.3:50052"]}, "m", False),
    (Named("server"), {"ray_address": "10.0.0.4"}, "m", False),
    (Named("server"), {"command": ["llama-server", "-m", "{source}", "--port", "{port}"]}, "m", True),
    (Named("server"), {"command": ["llama-server", "--rpc", "10.0.0.3:50052", "--port", "{port}"]}, "m", False),
    (Named("server"), {"command": ["llama-server", "--rpc=10.0.0.3:50052", "--port", "{port}"]}, "m", False),
    (Named("server"), {"command": ["sh", "-c", "llama-server --rpc 10.0.0.3:1 --port {port}"]}, "m", False),
    (Named("server"), {"command": ["vllm", "--distributed-executor-backend=ray", "{port}"]}, "m", False),
    (Named("server"), {"command": ["/usr/bin/ssh", "box", "llama-server", "{port}"]}, "m", False),
    (Named("server"), {"command": ["x", "{port}"], "env": {"LLAMA_ARG_RPC": "10.0.0.3:50052"}}, "m", False),
    (Named("server"), {"command": ["x", "{port}"], "env": {"HF_HOME": "/models"}}, "m", True),
    (Named("somebodys"), {}, "m", False),
    (Named("somebodys", local=True), {}, "m", True),
    (Named("somebodys", local=False, base_url="http://127.0.0.1:1"), {}, "m", False),
    (FakeProvider("p"), {}, "m", True),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "options", "source", "local"), PLACES)
def test_what_runs_on_this_machine(provider: Any, options: dict[str, Any], source: str, local: bool) -> None:
    """By the provider's word, its address, or because it starts its own processes; what can't be shown does not."""
    version = ModelVersion(version="v", provider="p", model="m", source=source)
    assert constitution(provider, **options).is_local(version) is local


def test_an_unknown_provider_is_elsewhere_and_addresses_are_read_as_configured() -> None:
    """The real provider class has the attribute that is asked for."""
    remote = OpenAiCompatibleProvider(
        ProviderConfig(name="p", kind="openai_compatible", options={"base_url": "http://10.1.1.1:1/v1"})
    )
    found = constitution(remote)
    assert not found.is_local(ModelVersion(version="v", provider="p", model="m", source="s"))
    here, there = "http://127.0.0.1:1", "http://10.1.1.1:1"
    for urls, local in (([here, "http://127.0.0.1:2"], True), ([here, there], False)):
        several = OpenAiCompatibleProvider(
            ProviderConfig(name="p", kind="openai_compatible", options={"base_urls": urls})
        )
        version = ModelVersion(version="v", provider="p", model="m", source="s")
        assert constitution(several).is_local(version) is local
    assert not found.is_local(ModelVersion(version="v", provider="gone", model="m", source="s"))


def test_rules_are_read_from_the_configuration() -> None:
    """As it is documented."""
    text = """
[[constitution]]
name = "private-stays-here"
labels = ["private"]
local = true
reason = "patients' records"
[[constitution.waivers]]
task = "letters"
reason = "sent to the hospital's own server anyway"
until = "2026-12-31"
"""
    (rule,) = parse(text).constitution
    assert (rule.name, rule.labels, rule.local, rule.waivers[0].task) == (
        "private-stays-here", ("private",), True, "letters",
    )  # fmt: skip
