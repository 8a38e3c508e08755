"""What one running engine learnt, another one knows: over the commands, and after its process was killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine_process import GEMMA, QUIET, SMOL, Engine, needs, until

TASK = "sentiment"


def taught(engine: Engine, version: str, quality: float, count: int = 30) -> None:
    """Outcomes that a client reports."""
    same = {"task": TASK, "version": version, "success": True, "latency_s": 0.2, "quality": quality}
    engine.call("POST", "/outcomes", [{"id": f"{version}-{n}", **same} for n in range(count)])


def ranking(engine: Engine) -> dict[str, Any]:
    """Version -> what the leaderboard says of it, but for recency, which the clock moves."""
    (task,) = (t for t in engine.call("GET", "/snapshot")["tasks"] if t["task"] == TASK)
    told = ("quality", "quality_source", "samples", "latency_p50_s", "success_rate", "rank")
    return {row["version"]: [row[name] for name in told] for row in task["leaderboard"]}


@needs(SMOL, GEMMA)
def test_what_one_engine_learnt_another_knows_after_kill_9(tmp_path: Path) -> None:
    """Export from one that runs, import into one that runs; what was acknowledged outlives SIGKILL; twice is once."""
    one, other = Engine(tmp_path / "one", QUIET), Engine(tmp_path / "other", QUIET)
    archive = str(tmp_path / "knowledge.jsonl.gz")
    try:
        one.start()
        taught(one, SMOL, 0.9)
        taught(one, GEMMA, 0.2)
        assert one.cli("export", archive).returncode == 0
        other.start()
        before = ranking(other)
        told = other.json("import", archive)
        assert told["same_machine"] is True
        assert told["new"]["outcomes"] == 60
        other.kill()
        until(lambda: not other.workers(), "the end of its workers")
        other.start()
        assert ranking(other) == ranking(one) != before
        assert other.json("import", archive)["new"]["outcomes"] == 0
        assert ranking(other) == ranking(one)
        assert other.call("GET", "/ledger?verify=true")["broken"] is None
        assert other.cli("import", str(tmp_path / "arbiter.toml")).returncode == 2, "no such file"
    finally:
        one.close()
        other.close()
