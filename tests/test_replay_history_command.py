"""``arbiter replay history``: this state folder's own outcomes by another configuration; nothing is changed."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path

import pytest

from arbiter_tui import cli
from arbiter_tui.adapters.store import SqliteStore
from arbiter_tui.core.cost import Outcome
from arbiter_tui.testing import FakeClock

Capture = pytest.CaptureFixture[str]
AT = 1_700_000_000.0


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """200 requests of a worse model, 200 questions to a better one."""
    chance, folder = random.Random(1), tmp_path / "state"
    rows = [
        Outcome(
            id=f"{n:016x}", task="summarise", version="b" if n % 2 else "a", at=AT + n, success=True, latency_s=0.3,
            quality=float(chance.random() < (0.9 if n % 2 else 0.3)), quality_source="suite",
            source="bench" if n % 2 else "request",
        )
        for n in range(400)
    ]  # fmt: skip

    async def fill() -> None:
        store = await SqliteStore.open(folder, clock=FakeClock())
        await store.record(rows)
        await store.close()

    asyncio.run(fill())
    return folder


def config(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "other.toml"
    file.write_text(text)
    return file


def replayed(state: Path, file: Path, capsys: Capture) -> dict[str, object]:
    assert cli.main(["replay", "history", "--state-dir", str(state), "--config", str(file), "--json"]) == 0
    (task,) = json.loads(capsys.readouterr().out)["tasks"]
    found: dict[str, object] = task
    return found


def test_what_another_configuration_would_have_done(state: Path, tmp_path: Path, capsys: Capture) -> None:
    """Its limits and its policies decide; the state folder is as it was."""
    eager = replayed(state, config(tmp_path, "[autopilot]\ncooldown_s = 10\n"), capsys)
    assert (eager["task"], eager["outcomes"], eager["first"], eager["last"]) == ("summarise", 400, "a", "b")
    (swap,) = eager["swaps"]  # type: ignore[misc]
    assert (swap["from"], swap["to"]) == ("a", "b")
    assert eager["quality_replayed"] > eager["quality_served"]  # type: ignore[operator]
    still = replayed(state, config(tmp_path, '[[tasks]]\nname = "summarise"\npolicy = "fixed"\n'), capsys)
    assert still["swaps"] == []
    assert still["quality_replayed"] == still["quality_served"]
    assert replayed(state, config(tmp_path, "[autopilot]\ncooldown_s = 10\n"), capsys) == eager


def test_it_is_told_in_words_and_an_empty_folder_says_so(state: Path, tmp_path: Path, capsys: Capture) -> None:
    """A table and each swap with its reason; exit 2 without outcomes."""
    file = config(tmp_path, "")
    assert cli.main(["replay", "history", "--state-dir", str(state), "--config", str(file), "--timing"]) == 0
    told = capsys.readouterr()
    assert "b leads summarise" in told.out
    assert "replayed in" in told.err
    assert cli.main(["replay", "history", "--state-dir", str(tmp_path / "none"), "--config", str(file)]) == 2
    assert "no outcomes" in capsys.readouterr().err
