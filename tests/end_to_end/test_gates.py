"""Keys and other addresses, with real processes: an engine that others may reach starts only with a key."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import httpx
import pytest
from engine_process import QUIET, Engine, until

EXPOSED = QUIET + '[server]\nhost = "0.0.0.0"\n'


@pytest.fixture
def exposed(tmp_path: Path) -> Engine:
    return Engine(tmp_path, EXPOSED)


def test_an_exposed_engine_starts_with_a_key_only_and_asks_everybody_for_one(exposed: Engine) -> None:
    """It refuses with the way out; then the folder's owner needs none, others need the key, and nothing leaks."""
    try:
        assert exposed.spawn().wait(timeout=60) == 2
        assert "arbiter key create" in exposed.said()
        made = exposed.cli("key", "create", "laptop", "--scope", "control", "--task", "sentiment")
        assert made.returncode == 0, made.stderr
        token = made.stdout.strip()
        assert token.startswith("arb_")
        assert "not shown again" in made.stderr
        exposed.start()
        assert exposed.url.startswith("http://127.0.0.1:")
        own = exposed.state / "engine.key"
        assert stat.S_IMODE(own.stat().st_mode) == 0o600
        assert httpx.get(f"{exposed.url}/v1/models", trust_env=False).status_code == 401
        opened = httpx.get(
            f"{exposed.url}/v1/models", headers={"authorization": f"Bearer {token}"}, trust_env=False, timeout=30
        )
        assert opened.status_code == 200
        (listed,) = exposed.json("key", "list")["items"]  # the owner of the folder is let in
        assert (listed["name"], listed["scope"], listed["tasks"]) == ("laptop", "control", ["sentiment"])
        assert listed["last_used_at"] is not None
        assert exposed.json("status")["engine"]["state"] == "ready"
        files = [p for p in exposed.state.rglob("*") if p.is_file()] + [exposed.log]
        secret = token.split("_", 2)[2].encode()
        assert not [p for p in files if secret in p.read_bytes()]
        own_token = own.read_bytes().strip()
        assert not [p for p in files if p != own and own_token in p.read_bytes()]
        assert exposed.json("ledger", "verify")["broken"] is None
        assert exposed.stop() == 0
        assert not own.exists()
    finally:
        exposed.close()


def test_a_key_reaches_an_engine_by_its_address_from_a_file_or_the_environment(exposed: Engine) -> None:
    """As from another machine: by --url nobody is the owner; without the key exit 4, with it the answer."""
    try:
        token = exposed.cli("key", "create", "phone", "--scope", "control").stdout.strip()
        exposed.start()
        key_file = exposed.folder / "phone.key"
        key_file.write_text(token + "\n")
        away = ("status", "--json", "--url", exposed.url)
        refused = exposed.cli(*away)
        assert refused.returncode == 4
        assert "a key is needed" in refused.stderr
        assert json.loads(exposed.cli(*away, "--key-file", str(key_file)).stdout)["engine"]["state"] == "ready"
        assert exposed.cli(*away, "--key-file", str(exposed.folder / "none")).returncode == 2
        assert exposed.cli("key", "rotate", "phone", "--overlap", "0s").returncode == 0
        old = until(lambda: exposed.cli(*away, "--key-file", str(key_file)), "an answer")
        assert old.returncode == 4
        assert token not in old.stderr
    finally:
        exposed.close()


def test_a_refusal_by_the_constitution_is_told_on_the_command_line(tmp_path: Path) -> None:
    """With the rule's name and its reason; exit 4. Without an engine, too: the route would be stored."""
    rule = '[[constitution]]\nname = "ours"\nproviders = ["nobody"]\nreason = "a test"\n'
    engine = Engine(tmp_path, QUIET + rule)
    try:
        models = [m["version"] for m in engine.json("models")]
        refused = engine.cli("swap", "sentiment", models[0])
        assert refused.returncode == 4
        assert "'ours' forbids it: a test" in refused.stderr
    finally:
        engine.close()
