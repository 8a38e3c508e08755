"""``arbiter config reload`` on a running engine: the loaded model stays, what can counts at once, a mistake nothing."""

from __future__ import annotations

import pytest
from engine_process import QUIET, SMOL, Engine, Stream, needs

pytestmark = [pytest.mark.real, needs(SMOL)]
RULE = '[[rules]]\ntask = "sentiment"\nmodel = "^gpt-"\n'


def test_a_reload_is_felt_by_no_stream_and_counts_for_the_next_request(fresh: Engine) -> None:
    """The worker's process is the same, the stream under way is whole; then a mistake, which says where it is."""
    fresh.start()
    fresh.ask(SMOL)
    (worker,) = fresh.workers()
    assert fresh.call("POST", "/v1/chat/completions", {"model": "gpt-4o"}, ok=False).status_code == 400
    stream = Stream(fresh, SMOL).flowing()
    fresh.config.write_text(QUIET + "[server]\nport = 1\n[server.limits]\nbody_s = 5\n" + RULE)
    told = fresh.json("config", "reload")
    assert (set(told["applied"]), [n["key"] for n in told["not_applied"]]) == (
        {"rules", "server.limits.body_s"}, ["server.port"],
    )  # fmt: skip
    assert stream.end().done
    assert fresh.ask("gpt-4o")["model"]
    fresh.config.write_text("[server]\nprot = 1\n")
    wrong = fresh.cli("config", "reload")
    assert (wrong.returncode, "server.port" in wrong.stderr) == (2, True), wrong.stderr
    assert fresh.ask("gpt-4o")["model"]
    assert worker in fresh.workers()
    assert "Traceback" not in fresh.said()
    assert fresh.stop() == 0


def test_without_an_engine_there_is_nobody_to_tell(fresh: Engine) -> None:
    """Exit code 3: the file counts at the next start anyway."""
    assert fresh.cli("config", "reload").returncode == 3
