"""``arbiter export`` and ``arbiter import``: files, the standard streams, and what a person reads."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import stat
import sys
from pathlib import Path

import pytest

from arbiter_tui import cli
from arbiter_tui.adapters.store import SqliteStore
from arbiter_tui.commands import porting
from arbiter_tui.core.archive import WHAT
from arbiter_tui.core.cost import Outcome
from arbiter_tui.core.registry import Lifecycle, ModelVersion, Registry
from arbiter_tui.engine.archive import PACKED
from arbiter_tui.testing import FakeClock

Capture = pytest.CaptureFixture[str]
MODEL = ModelVersion(
    version="box-m", provider="box", model="m", source="m", digest="sha256:1", lifecycle=Lifecycle.ACTIVE
)


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration, no engine and no embedded model of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    monkeypatch.delenv("ARBITER_URL", raising=False)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder with twelve graded answers of one model."""
    folder = tmp_path / "state"

    async def fill() -> None:
        store = await SqliteStore.open(folder, clock=FakeClock())
        registry = Registry({MODEL.version: MODEL}, {"champion": MODEL.version})
        await store.save_registry(registry, who="t", action="register", subject="m")
        await store.record([
            Outcome(id=f"o{n}", task="sentiment", version=MODEL.version, at=1.7e9 + n, success=True, latency_s=0.25,
                    quality=0.5, quality_source="suite")
            for n in range(12)
        ])  # fmt: skip
        await store.close()

    asyncio.run(fill())
    return folder


def run(*words: str, state: Path) -> int:
    return cli.main([*words, "--state-dir", str(state)])


def test_an_archive_is_written_packed_or_plain_and_read_again(state: Path, tmp_path: Path, capsys: Capture) -> None:
    """By the name of the file; readable by its owner alone; a folder that knows nothing knows it then, once."""
    for name in ("a.jsonl", "a.jsonl.gz"):
        assert run("export", name, state=state) == 0
        said = capsys.readouterr().out
        assert said.startswith(f"{name}: ")
        assert "12 outcomes" in said
        assert "1 alias" in said
        data = (tmp_path / name).read_bytes()
        assert data.startswith(b"\x1f\x8b") is name.endswith(".gz")
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        assert not list(tmp_path.glob(f".{name}.*")), "nothing is left beside it"
    other = tmp_path / "other"
    for name, new in (("a.jsonl.gz", 12), ("a.jsonl", 0)):
        assert run("import", name, "--json", state=other) == 0
        assert json.loads(capsys.readouterr().out)["new"]["outcomes"] == new


def test_the_report_says_what_is_new_what_is_missing_and_what_stays(state: Path, capsys: Capture) -> None:
    """In words; a dry run says would, and changes nothing."""
    assert run("export", "a.jsonl", state=state) == 0
    (other := state.parent / "other").mkdir()
    Path("arbiter.toml").write_text('[[tasks]]\nname = "sentiment"\nquality_threshold = 0.9\n')
    capsys.readouterr()
    for words, said in ((("--dry-run",), "would be new: "), ((), "new: "), ((), "nothing is new")):
        assert run("import", "a.jsonl", *words, state=other) == 0
        text = capsys.readouterr().out
        assert f"\n{said}" in text
        assert "not here: kept" in text
        assert "task sentiment: the configuration defines it" in text
        assert "alias champion: box-m is not here" in text
        assert "on this machine" in text


def test_the_standard_streams_carry_an_archive(
    state: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a file, or with -: lines that a person can read; import reads them from the input."""
    assert run("export", "--what", "outcomes, aliases", state=state) == 0
    data = capsysbinary.readouterr().out
    kinds = {json.loads(line).get("kind") for line in data.splitlines()[1:]}
    assert kinds == {"model", "outcome", "alias"}
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert run("import", "-", state=state.parent / "other") == 0
    assert b"12 outcomes" in capsysbinary.readouterr().out


def test_what_can_not_be_taken_in_is_said_in_one_line(state: Path, capsys: Capture, tmp_path: Path) -> None:
    """1 for a broken archive, with the line; 2 for a file that is not there or a wrong word; 4 where only looking is
    allowed."""
    assert run("export", "a.jsonl.gz", state=state) == 0
    whole = gzip.decompress(Path("a.jsonl.gz").read_bytes())
    Path("broken.jsonl").write_bytes(whole.replace(b'"success":true', b'"success":"yes"', 1))
    Path("cut.jsonl").write_bytes(whole[: len(whole) // 2])
    capsys.readouterr()
    for name, code, said in (
        ("broken.jsonl", 1, "success must be true or false, not 'yes'"), ("cut.jsonl", 1, "cut off on its way"),
        ("none.jsonl", 2, "none.jsonl can't be read: No such file"),
    ):  # fmt: skip
        assert run("import", name, state=tmp_path / "other") == code
        assert said in capsys.readouterr().err
    assert run("import", "a.jsonl.gz", "--read-only", state=tmp_path / "other") == 4
    assert run("import", "a.jsonl.gz", "--read-only", "--dry-run", state=tmp_path / "other") == 0
    assert run("export", str(tmp_path / "no" / "folder.gz"), state=state) == 2
    assert "can't be written" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        run("export", "--what", "prompts", state=state)
    assert ended.value.code == 2
    assert "some of models, tasks" in capsys.readouterr().err


def test_a_file_that_no_engine_takes_is_not_even_read(
    monkeypatch: pytest.MonkeyPatch, state: Path, capsys: Capture
) -> None:
    """The command's bound is the engine's."""
    assert porting.MOST == PACKED
    monkeypatch.setattr(porting, "MOST", 10)
    Path("large.jsonl").write_bytes(b"x" * 11)
    assert run("import", "large.jsonl", state=state) == 2
    assert "which no engine takes" in capsys.readouterr().err


def test_the_words_of_the_command_are_those_of_the_format() -> None:
    """The command line knows them without importing the format."""
    assert tuple(WHAT) == cli.ARCHIVED


@pytest.mark.parametrize("command", ["export", "import"])
def test_the_help_fits_a_small_terminal(command: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """80 columns, 24 lines."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
