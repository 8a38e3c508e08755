"""The configuration, read again while the engine serves: nobody notices, what can counts at once, the rest is named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_cases import CHAT, V1, Stand, events, served, stand, until

from arbiter_tui.config import load, merge_tasks
from arbiter_tui.daemon import Rereader
from arbiter_tui.data import bundled_tasks
from arbiter_tui.engine.webhooks import Webhooks

TASK = '[[tasks]]\nname = "chat"\ncapabilities = ["text-generation"]\n'
PLAIN = f'[pool]\nmemory_budget = "1GiB"\n{TASK}'
SAY = [{"role": "user", "content": "hi"}]
RULE = '[[rules]]\ntask = "chat"\nmodel = "^gpt-"\n'
LAW = '[[constitution]]\nname = "stays-here"\ntasks = ["chat"]\nproviders = ["box"]\n'


@dataclass
class Reloading:
    one: Stand
    file: Path

    async def reload(self, text: str, **body: Any) -> httpx.Response:
        self.file.write_text(text)
        return await self.one.http.post(f"{V1}/config/reload", json=body)

    async def told(self, text: str, **body: Any) -> tuple[set[str], set[str]]:
        """(what counts, what does not)."""
        answer = await self.reload(text, **body)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert found["file"] == str(self.file)
        assert all(later["why"] for later in found["not_applied"])
        return set(found["applied"]), {later["key"] for later in found["not_applied"]}


@asynccontextmanager
async def reloading(tmp_path: Path, text: str = PLAIN) -> AsyncIterator[Reloading]:
    """An engine on fake models whose configuration is a file, on a real port."""
    file = tmp_path / "arbiter.toml"
    file.write_text(text)
    loaded = load(file)
    given = replace(loaded, tasks=merge_tasks(bundled_tasks(), loaded.tasks))
    config = {f.name: getattr(given, f.name) for f in fields(given) if f.name != "pool"}
    made: list[Rereader] = []

    async def again(dry_run: bool) -> dict[str, Any]:
        return await made[0].reload(dry_run)

    async def post(url: str, body: bytes, headers: Any) -> int:
        return 204

    async with served(config=config, pool=loaded.pool, on_reload=again) as one:
        made.append(Rereader(loaded, one.arbiter, Webhooks([], one.arbiter.live, post)))
        yield Reloading(one, file)


async def test_an_unchanged_file_changes_nothing(tmp_path: Path) -> None:
    """Loaded models stay, nothing is said to have changed, again and again."""
    async with reloading(tmp_path) as it:
        await it.one.chat()
        for _ in range(3):
            assert await it.told(PLAIN) == (set(), set())
        assert (it.one.provider.loads, it.one.provider.unloads) == (["fake-a"], [])
        assert not [e for e in await it.one.arbiter.events() if e["kind"] == "config"]


async def test_no_request_notices_reloads_under_load(tmp_path: Path) -> None:
    """Streams and whole answers go on while the file changes back and forth twenty times: none fails, none is cut."""
    texts = [
        PLAIN,
        PLAIN + RULE + '[[providers]]\nname = "box"\nkind = "ollama"\n',
        f"[server.limits]\nbody_s = 9\n{PLAIN}",
    ]
    async with reloading(tmp_path) as it:
        over, answers = asyncio.Event(), []

        async def client(stream: bool) -> None:
            while not over.is_set():
                body = {"model": "fake-a", "messages": SAY, "stream": stream}
                answers.append((stream, await it.one.http.post(CHAT, json=body)))

        clients = [asyncio.create_task(client(n % 2 == 0)) for n in range(4)]
        for n in range(20):
            await it.told(texts[n % len(texts)])
        over.set()
        await asyncio.gather(*clients)
        assert len(answers) >= 20
        assert {answer.status_code for _, answer in answers} == {200}
        assert all(events(answer.text)[-1] == "[DONE]" for stream, answer in answers if stream)
        assert (it.one.provider.loads, it.one.provider.unloads) == (["fake-a"], [])


async def test_rules_count_at_once(tmp_path: Path) -> None:
    """A name that nobody knew is a task's from the next request on, and no more when the rule is gone."""
    async with reloading(tmp_path) as it:
        assert (await it.one.chat("gpt-4o")).status_code == 404
        assert await it.told(PLAIN + RULE) == ({"rules"}, set())
        assert (await it.one.chat("gpt-4o")).headers["x-arbiter-task"] == "chat"
        assert await it.told(PLAIN) == ({"rules"}, set())
        assert (await it.one.chat("gpt-4o")).status_code == 404


async def test_the_constitution_counts_at_once(tmp_path: Path) -> None:
    """The next request is refused with the rule's name, and it is told which task is served against it."""
    async with reloading(tmp_path) as it:
        assert (await it.one.chat("arbiter/chat")).status_code == 200
        assert await it.told(PLAIN + LAW) == ({"constitution.stays-here"}, set())
        refused = await it.one.chat("arbiter/chat")
        assert (refused.status_code, "stays-here" in refused.text) == (403, True)
        assert any("stays-here" in a.message for a in it.one.arbiter.snapshot().alerts)
        await it.told(PLAIN)
        assert (await it.one.chat("arbiter/chat")).status_code == 200


async def test_limits_names_and_origins_count_at_once(tmp_path: Path) -> None:
    """For the next request, also on a connection that was open before."""
    async with reloading(tmp_path) as it:
        long, box = "x" * 4000, {"host": "box.lan"}
        page = {"origin": "https://chat.lan"}
        assert (await it.one.chat(text=long)).status_code == 200
        assert (await it.one.http.get("/v1/models", headers=box)).status_code == 403
        more = (
            '[server]\nhosts = ["box.lan"]\ncors_origins = ["https://chat.lan"]\n[server.limits]\nbody_bytes = 2048\n'
        )
        assert await it.told(more + PLAIN) == (
            {"server.hosts", "server.cors_origins", "server.limits.body_bytes"}, set(),
        )  # fmt: skip
        assert (await it.one.chat(text=long)).status_code == 413
        assert (await it.one.http.get("/v1/models", headers=box)).status_code == 200
        assert (await it.one.http.get("/v1/models", headers=page)).headers["access-control-allow-origin"] == page[
            "origin"
        ]
        await it.told(PLAIN)
        assert (await it.one.chat(text=long)).status_code == 200
        assert (await it.one.http.get("/v1/models", headers=box)).status_code == 403


async def test_tasks_count_at_once_and_what_an_operator_changed_stays(tmp_path: Path) -> None:
    """New tasks have somebody to serve them; a change over the wire lies over the file, as after a restart."""
    async with reloading(tmp_path) as it:
        await it.one.http.put(f"{V1}/tasks/chat", json={"max_latency_s": 3.0})
        second = f'{TASK}description = "talk"\nmax_latency_s = 9.0\n[[tasks]]\nname = "letters"\n'
        assert await it.told(PLAIN.replace(TASK, second)) == ({"tasks.chat", "tasks.letters"}, set())
        chat = it.one.arbiter.tasks["chat"]
        assert (chat.description, chat.criteria.max_latency_s) == ("talk", 3.0)
        assert (await it.one.chat("arbiter/letters")).status_code == 200
        assert await it.told(PLAIN) == ({"tasks.chat"}, {"tasks.letters"})
        assert (await it.one.chat("arbiter/letters")).status_code == 200, "a task that is gone stays until the restart"


async def test_the_autopilots_settings_count_at_once(tmp_path: Path) -> None:
    """By the key, as the file names it."""
    async with reloading(tmp_path) as it:
        await it.told('[autopilot]\nmode = "off"\ncooldown_s = 7\n' + PLAIN)
        assert it.one.arbiter.live.config.autopilot.cooldown_s == 7
        assert it.one.arbiter.snapshot().engine.autopilot == "off"


async def test_the_pools_limits_count_at_once(tmp_path: Path) -> None:
    """A shorter line refuses the next who comes; a shorter idle time ends what is idle at the next round."""
    gate = asyncio.Event()
    async with reloading(tmp_path) as it:
        it.one.how("fake-a").gate = gate
        short = PLAIN.replace('"1GiB"', '"1GiB"\nqueue_limit = 1\nidle_ttl_s = 1\nmax_loaded = 3')
        assert await it.told(short) == ({"pool.queue_limit", "pool.idle_ttl_s", "pool.max_loaded"}, set())
        asked = [asyncio.create_task(it.one.chat()) for _ in range(4 + 1)]
        await until(lambda: it.one.arbiter.in_flight == 5)
        assert (await it.one.chat()).status_code == 429
        gate.set()
        assert [(await task).status_code for task in asked] == [200] * 5
        await until(lambda: it.one.provider.unloads == ["fake-a"], within_s=10)
        assert await it.told(PLAIN) == ({"pool.queue_limit", "pool.idle_ttl_s", "pool.max_loaded"}, set())


async def test_what_needs_a_restart_is_named_and_not_done(tmp_path: Path) -> None:
    """Each time it is asked, until the restart; the engine goes on with what it has."""
    text = (
        '[server]\nport = 1234\nrequire_key = true\n[retention]\noutcomes_days = 2\n' + PLAIN.replace("1GiB", "2GiB")
        + '[[providers]]\nname = "box"\nkind = "ollama"\n'
    )  # fmt: skip
    async with reloading(tmp_path) as it:
        before = it.one.arbiter.config
        keys = {
            "server.port",
            "server.require_key",
            "retention.outcomes_days",
            "pool.memory_budget_bytes",
            "providers.box",
        }
        for _ in range(2):
            assert await it.told(text) == (set(), keys)
        assert it.one.arbiter.config == before
        assert (await it.one.chat()).status_code == 200


async def test_models_that_are_new_are_there_and_known_ones_never_change(tmp_path: Path) -> None:
    """A block more is a version more, at once; another source under a known name is refused with the way out."""
    block = '[[models]]\nname = "mine"\nprovider = "fake"\nsource = "{}"\n'
    async with reloading(tmp_path) as it:
        it.one.how("fake-c").answer = "new"
        assert await it.told(PLAIN + block.format("fake-c")) == ({"models.mine"}, set())
        assert (await it.one.chat("mine")).headers["x-arbiter-model"] == "mine"
        assert await it.told(PLAIN + block.format("fake-a")) == (set(), {"models.mine"})
        assert await it.told(PLAIN) == (set(), {"models.mine"})


async def test_how_many_replicas_there_may_be_counts_at_once(tmp_path: Path) -> None:
    """Alone it is all that changes of a block; what else is in it does not come along."""
    block = '[[models]]\nname = "mine"\nprovider = "fake"\nsource = "fake-c"\n'
    box = '[[providers]]\nname = "box"\nkind = "ollama"\n'
    async with reloading(tmp_path, PLAIN + block + box) as it:
        more = PLAIN + block + 'replicas = "1-2"\n' + box + "replicas = 2\n"
        assert await it.told(more) == ({"models.mine.replicas", "providers.box.replicas"}, set())
        assert await it.told(more) == (set(), set())
        both = PLAIN + block + "replicas = 3\ncontext = 64\n" + box + 'replicas = 2\nbase_url = "http://a"\n'
        assert await it.told(both) == ({"models.mine.replicas"}, {"models.mine", "providers.box"})
        (mine,), (kept,) = it.one.arbiter.config.models, it.one.arbiter.config.providers
        assert (mine.replicas and mine.replicas.high, mine.context, dict(kept.options)) == (3, None, {})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("[server\n", "TOML"), ("[servr]\n", "server"), ("[server]\nport = 'x'\n", "server.port"),
        ('[[rules]]\ntask = "chatt"\nmodel = "^gpt-"\n', "chat"),
        ('[[rules]]\ntask = "chat"\nmodel = "("\n', "regular"),
        ('[[providers]]\nname = "x"\nkind = "olama"\n', "not installed"),
        ('[[webhooks]]\nname = "w"\nurl = "env:NO_SUCH_PLACE_FOR_A_HOOK"\n', "NO_SUCH_PLACE"),
        ('[[tasks]]\nname = "sums"\nsuite = "nowhere.jsonl"\n', "nowhere.jsonl"),
    ],
)  # fmt: skip
async def test_a_wrong_file_changes_nothing_and_says_why(tmp_path: Path, wrong: str, said: str) -> None:
    """422 with the key; a rule beside the mistake does not count either, and the engine serves on."""
    async with reloading(tmp_path, PLAIN + RULE) as it:
        before = it.one.arbiter.config
        answer = await it.reload(wrong + PLAIN)
        assert (answer.status_code, said in answer.json()["detail"]) == (422, True), answer.text
        assert it.one.arbiter.config is before
        assert (await it.one.chat("gpt-4o")).status_code == 200
        it.file.unlink()
        assert (await it.one.http.post(f"{V1}/config/reload", json={})).status_code == 422


async def test_a_dry_run_says_the_same_and_does_nothing(tmp_path: Path) -> None:
    """Neither the rules nor the ledger."""
    async with reloading(tmp_path) as it:
        assert await it.told(PLAIN + RULE, dry_run=True) == ({"rules"}, set())
        assert (await it.one.chat("gpt-4o")).status_code == 404
        assert "config/reload" not in (await it.one.http.get(f"{V1}/ledger")).text
        assert await it.told(PLAIN + RULE) == ({"rules"}, set())
        assert "config/reload" in (await it.one.http.get(f"{V1}/ledger")).text


async def test_an_engine_inside_a_program_has_no_file_to_read() -> None:
    """409 that says so."""
    async with stand() as one:
        answer = await one.http.post(f"{V1}/config/reload", json={})
        assert (answer.status_code, "can't read it again" in answer.json()["detail"]) == (409, True)
