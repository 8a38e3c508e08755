"""The words of the command line: what a person reads when a record is explained or a word was wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from arbiter_tui import cli
from arbiter_tui.commands.read import history
from arbiter_tui.commands.text import duration, table
from arbiter_tui.commands.write import discovered, record, swap_line
from arbiter_tui.core.snapshot import Snapshot, SwapView


def test_a_record_reads_whatever_its_depth() -> None:
    """Nested records, lists of records, lists of words: every field is printed, unknown and empty are dashes."""
    text = record(
        {
            "swap": {"phases": [{"name": "probing", "seconds": 0.287}], "why": [], "error": None},
            "reasoning": ["4 of 4 versions qualify."],
            "evidence": {"old": {"samples": 1, "quality": 0.5, "memory_bytes": 1024**2}},
        }
    )
    assert text.splitlines() == [
        "swap:",
        "  phases:",
        "    - name probing, seconds 287 ms",
        "  why: –",
        "  error: –",
        "reasoning:",
        "  - 4 of 4 versions qualify.",
        "evidence:",
        "  old:",
        "    samples: 1",
        "    quality: .50",
        "    memory_bytes: 1 M",
    ]


SWAP = {
    "id": "i1", "task": "sentiment", "from": "a", "to": "b", "trigger": "manual", "result": "done", "duration_s": 0.25,
    "phases": [{"name": "warming", "seconds": 0.2}], "warnings": ["smaller context"],
}  # fmt: skip


def test_a_swap_reads_as_what_became_of_it() -> None:
    """Done with its phases and the way back; foreseen with what would go; needless as one sentence."""
    assert swap_line(SWAP).splitlines() == [
        "swapped sentiment: a → b in 250 ms  (i1)", "  warming 200 ms", "  warning: smaller context",
        "  undo: arbiter rollback sentiment",
    ]  # fmt: skip
    foreseen = {**SWAP, "phases": [], "evidence": {"evict": ["c", "d"]}, "warnings": []}
    assert swap_line(foreseen, dry=True).splitlines() == ["would swap sentiment: a → b", "  would unload: c, d"]
    assert "would unload: nothing" in swap_line({**foreseen, "evidence": {"evict": []}}, dry=True)
    needless = {**foreseen, "from": "b", "reason": "b already serves sentiment"}
    assert swap_line(needless) == "b already serves sentiment"
    failed = {**SWAP, "result": "failed", "error": "broken file", "phases": [], "warnings": []}
    assert swap_line(failed).splitlines() == ["failed to swap sentiment: a → b in 250 ms  (i1)", "  broken file"]


def test_an_offline_swap_says_what_was_not_done() -> None:
    """The route is stored: no phases, no duration, no claim that anything was loaded."""
    stored = {**SWAP, "phases": [], "warnings": [], "evidence": {"offline": True}}
    assert swap_line(stored).splitlines() == [
        "swapped sentiment: a → b  (i1)", "  stored; nothing was loaded", "  undo: arbiter rollback sentiment",
    ]  # fmt: skip


def test_the_history_tells_the_undone_swap_from_the_rollback_that_undid_it() -> None:
    """The swap's own row says undone, and by which; the rollback's row is done and says who asked for it."""
    back = SwapView(id="i2", task="t", from_="b", to="a", trigger="rollback", result="done",
                    reason="by the operator; undoes i1", evidence={"undoes": "i1"})  # fmt: skip
    gone = SwapView(id="i1", task="t", from_="a", to="b", result="rolled_back", evidence={"undone_by": "i2"})
    head, first, second = history(Snapshot(swaps=(back, gone))).splitlines()
    assert head.split() == ["when", "task", "trigger", "result", "took", "id", "from", "to", "why"]
    assert "rollback  done" in first
    assert first.endswith("by the operator; undoes i1")
    assert "manual    undone" in second
    assert second.endswith("undone by i2")


def test_a_table_too_wide_for_the_terminal_goes_on_below() -> None:
    """No line is longer than the terminal; what does not fit follows with its column's name; dashes are left out."""
    head, row = ["version", "state", "mem", "serves"], ["gemma", "ready", "–", "sentiment, topic, language"]
    assert table(head, [row]).splitlines()[1] == "gemma    ready  –    sentiment, topic, language"
    assert table(head, [row], width=24).splitlines() == [
        "version  state  mem", "gemma    ready  –", "    serves sentiment,", "    topic, language",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["swaps"], "no command 'swaps'; did you mean swap"),
        (["autopilot", "maybe"], "'maybe' is none of on, off, observe"),
        (["feedback", "id", "2"], "a score is a number from 0 (useless) to 1 (perfect), not '2'"),
        (["feedback", "id", "nan"], "a score is a number from 0"),
        (["feedback", "id", "good"], "not 'good'"),
        (["config", "frob"], "'frob' is none of check, show, schema"),
    ],
)
def test_a_wrong_word_names_the_right_ones(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Usage errors exit 2 and speak of the argument that was wrong, not of a command."""
    with pytest.raises(SystemExit) as ended:
        cli.main(argv)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_what_was_discovered_says_what_is_registered_already() -> None:
    """A column, and the way to register the rest; nothing found is a sentence."""
    known = {"version": "a", "provider": "ollama", "source": "ollama:a", "registered": True}
    text = discovered([known, {**known, "version": "b", "registered": False}])
    assert [line.split()[2] for line in text.splitlines()[:3]] == ["registered", "yes", "no"]
    assert text.endswith("arbiter discover --apply")
    assert "--apply" not in discovered([known])
    assert discovered([]).startswith("nothing found")


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ({"rule": "context", "value": 512, "threshold": 2048}, "context: 512 (needs 2048)"),
        ({"rule": "capabilities", "value": ["chat"], "threshold": ["chat", "code"]},
         "capabilities: chat (needs chat, code)"),
        ({"rule": "serves", "value": ["a", "b"], "threshold": []}, None),
        ({"rule": "old", "value": 1, "threshold": None}, None),
    ],
)  # fmt: skip
def test_a_refusals_reason_is_a_line_of_words(why: dict[str, object], said: str | None) -> None:
    """What was found and what was needed, a list as words; where nothing was needed, the message said it."""
    assert cli._reason(why) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "–"), (0.0421, "42 ms"), (1.34, "1.3 s"), (9.96, "10 s"), (118.0, "118 s"), (240, "4 min")],
)
def test_a_duration_has_the_digits_that_say_something(seconds: float | None, said: str) -> None:
    """Two or three digits whatever the size; unknown is a dash."""
    assert duration(seconds) == said


def test_every_command_is_documented() -> None:
    """Each command of the table has a line in the help."""
    text = cli.build_parser().format_help()
    assert all(f"\n    {name} " in text for name in cli.COMMANDS)


def test_a_provider_kind_that_nobody_provides_is_found_before_the_engine_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``config check`` names the installed kinds; the engine would refuse to start on that file."""
    file = tmp_path / "arbiter.toml"
    file.write_text('[[providers]]\nname = "box"\nkind = "olama"\n')
    assert cli.main(["config", "check", "--config", str(file)]) == 2
    said = capsys.readouterr().err
    assert "'olama' is not installed" in said
    assert "ollama" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[providers]]\nname = "b"\nkind = "openai_compatible"\nbase_url = "http://x"\nmodles = ["m"]\n',
         "provider 'b': modles is no option; nearest: models"),
        ('[[providers]]\nname = "b"\nkind = "ollama"\ncontext = "big"\n',
         "context must be a number above 0, not 'big'"),
        ('[[providers]]\nname = "b"\nkind = "llama_server"\ngpu_layer = 3\n',
         "gpu_layer is no option; nearest: gpu_layers"),
        ('[[providers]]\nname = "b"\nkind = "llama_cpp"\nwarmup = 1\n', "warmup must be true or false, not 1"),
        ('[[models]]\nname = "m"\nprovider = "llama_servr"\nsource = "x.gguf"\n', "nearest: llama_server"),
        ('[[tasks]]\nname = "t"\npolicy = "bandits"\n', "nearest: bandit"),
        ('[[rules]]\ntask = "nobody"\nmodel = "^gpt"\n', "there is no such task"),
        ('[[tasks]]\nname = "t"\nsuite = "gone.jsonl"\n', "gone.jsonl"),
    ],
)  # fmt: skip
def test_what_a_start_would_refuse_is_found_before_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    """``config check`` names the file, what is wrong, and what would be right; no secret is looked up for it."""
    file = tmp_path / "arbiter.toml"
    file.write_text(text)
    assert cli.main(["config", "check", "--config", str(file)]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert str(file) in said


def test_a_rule_that_protects_nobody_is_said_by_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is no mistake of the file's, for the task may be made later; a key that is not at hand now is none either."""
    file = tmp_path / "arbiter.toml"
    box = '[[providers]]\nname = "b"\nkind = "openai_compatible"\nbase_url = "http://x"\napi_key = "env:NO_SUCH_KEY"\n'
    file.write_text(f'{box}[[constitution]]\nname = "r"\nlabels = ["privat"]\nlocal = true\n')
    assert cli.main(["config", "check", "--config", str(file)]) == 0
    said = capsys.readouterr().out
    assert "note: the constitution's rule 'r' binds no task with the label 'privat': none has it" in said


def test_a_column_that_follows_on_its_own_line_keeps_its_name_beside_it() -> None:
    """The name never stands alone at a line's end."""
    told = table(["when", "from", "why"], [["14:29:00 today", "a" * 20, "it leads by far"]], width=30)
    assert told.splitlines()[1:] == ["14:29:00 today", f"    from {'a' * 20},", "    why it leads by far"]
