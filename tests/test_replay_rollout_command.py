"""``arbiter replay rollout``: files good and bad, the same seed twice, the rates of many orders, the words."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from arbiter_tui import cli

Capture = pytest.CaptureFixture[str]


def pairs(rows: list[tuple[object, object]]) -> str:
    return "item,old,new\n" + "".join(f"{n},{old},{new}\n" for n, (old, new) in enumerate(rows))


WORSE = pairs([(int(n % 10 < 8), int(n % 10 < 3)) for n in range(200)])


def replayed(file: Path, capsys: Capture, *options: str) -> dict[str, Any]:
    assert cli.main(["replay", "rollout", str(file), "--json", *options]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.fixture
def worse(tmp_path: Path) -> Path:
    file = tmp_path / "worse.csv"
    file.write_text(WORSE)
    return file


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.csv", None, "missing.csv can't be read: No such file or directory"),
        ("empty.csv", b"", "has no rows; columns old, new are needed"),
        ("head.csv", b"item,old,new\n", "has no rows"),
        ("column.csv", b"item,old\n1,0.5\n", "column.csv, row 2: no new; it has item, old"),
        ("cell.csv", b"item,old,new\n1,0.5,1\n2,0.5,\n", "cell.csv, row 3: no new"),
        ("short.csv", b"item,old,new\n1,0.5\n", "short.csv, row 2: no new"),
        ("nan.csv", b"item,old,new\n1,nan,1\n", "row 2: old is 'nan', not a finite number"),
        ("inf.csv", b"item,old,new\n1,1,inf\n", "row 2: new is 'inf', not a finite number"),
        ("high.csv", b"item,old,new\n1,0.5,1.5\n", "row 2: new is '1.5': a quality is a number from 0 to 1"),
        ("low.csv", b"item,old,new\n1,-0.5,1\n", "row 2: old is '-0.5': a quality is a number from 0 to 1"),
        ("word.csv", b"item,old,new\n1,good,1\n", "row 2: old is 'good', not a number"),
        ("slow.csv", b"item,old,new,old_latency_s\n1,1,1,-2\n", "old_latency_s is '-2': seconds can't be negative"),
        ("time.csv", b"item,old,new,new_latency_s\n1,1,1,soon\n", "new_latency_s is 'soon', not a number"),
        ("broken.csv.gz", gzip.compress(WORSE.encode(), mtime=0)[:60], "broken.csv.gz can't be read"),
        ("damaged.csv.gz", gzip.compress(WORSE.encode(), mtime=0)[:40] + b"\xff" * 40, "damaged.csv.gz can't be read"),
        ("plain.csv.gz", WORSE.encode(), "plain.csv.gz can't be read: Not a gzipped file"),
        ("latin.csv", "item,old,new\né,1,1\n".encode("latin-1"), "latin.csv can't be read: 'utf-8'"),
        ("zero.csv", b"item,old,new\n1,\x001,1\n", "zero.csv"),
        ("text.jsonl", b"old, new\n", "text.jsonl, row 1: not JSON"),
        ("list.jsonl", b'{"old": 1, "new": 1}\n[1, 1]\n', "list.jsonl, row 2: not an object"),
        ("true.jsonl", b'{"old": [1], "new": 1}\n', "row 1: old is [1], not a number"),
        ("none.jsonl", b'\n{"old": null, "new": 1}\n', "none.jsonl, row 2: no old"),
    ],
)  # fmt: skip
def test_a_bad_file_is_named_with_its_row_and_column(
    tmp_path: Path, name: str, content: bytes | None, said: str, capsys: Capture
) -> None:
    """Exit code 2, one line on stderr, nothing on stdout: never half an answer, never a traceback."""
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    assert cli.main(["replay", "rollout", str(file)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_folder_is_no_file(tmp_path: Path, capsys: Capture) -> None:
    """Said as such."""
    assert cli.main(["replay", "rollout", str(tmp_path)]) == 2
    assert "Is a directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--shadow", "2"], "a share is a number from 0 to 1, not '2'"),
        (["--requests-per-hour", "0"], "a number above 0 is needed, not '0'"),
        (["--requests-per-hour", "inf"], "a number above 0 is needed"),
        (["--repeat", "0"], "a whole number above 0 is needed, not '0'"),
        (["--incumbent-results", "-1"], "a whole number above 0 is needed"),
        (["--rule", "hope"], "'hope' is none of posterior, literal"),
    ],
)
def test_a_wrong_option_is_refused(worse: Path, option: list[str], said: str, capsys: Capture) -> None:
    """Usage errors exit 2 and say what is needed."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["replay", "rollout", str(worse), *option])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_the_same_rows_in_any_form_give_the_same_answer(tmp_path: Path, worse: Path, capsys: Capture) -> None:
    """CSV, JSONL, packed or not; further columns and a byte-order mark are left alone."""
    expected = replayed(worse, capsys)
    rows = [dict(zip(("item", "old", "new"), line.split(","), strict=True)) for line in WORSE.splitlines()[1:]]
    lines = "".join(json.dumps({"note": "x", **r, "old": float(r["old"])}) + "\n" for r in rows)
    for name, content in (
        ("a.jsonl", lines.encode()), ("a.ndjson.gz", gzip.compress(lines.encode())),
        ("a.csv.gz", gzip.compress(WORSE.encode())), ("a.txt", WORSE.encode()),
        ("mark.csv", ("\ufeffold,new\n" + "".join(f"{r['old']},{r['new']}\n" for r in rows)).encode()),
    ):  # fmt: skip
        file = tmp_path / name
        file.write_bytes(content)
        assert replayed(file, capsys) == expected, name


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_order(worse: Path, capsys: Capture) -> None:
    """Also with --timing, which speaks on stderr alone."""
    outs = []
    for options in (["--seed", "4"], ["--seed", "4", "--timing"], ["--seed", "5"]):
        assert cli.main(["replay", "rollout", str(worse), "--json", "--repeat", "5", *options]) == 0
        out, err = capsys.readouterr()
        outs.append(out)
        assert err.startswith("replayed in ") if "--timing" in options else err == ""
    assert outs[0] == outs[1] != outs[2]


def test_many_orders_give_rates_and_the_first_one_is_shown(worse: Path, capsys: Capture) -> None:
    """The rates add up to 1; the answer beside them is that of the first order alone."""
    one, many = replayed(worse, capsys), replayed(worse, capsys, "--repeat", "8")
    assert {name: many[name] for name in one} == one
    assert many["repeats"] == 8
    rates = many["rates"]
    assert (rates["promote"], rates["hold"], rates["roll_back"]) == (0.0, 0.0, 1.0)
    assert rates["median_canary_requests"] <= 11
    assert one["verdict"] == "roll_back"
    assert one["reasons"][0].keys() == {"rule", "value", "threshold", "would_change_if"}
    assert {"requests", "canary_requests", "pairs", "p_worse", "ramp", "reason"} <= one.keys()


def test_equal_ones_are_promoted_and_nobody_is_taken_back(tmp_path: Path, capsys: Capture) -> None:
    """No median where nothing was taken back; the slow-down is told where latencies are."""
    file = tmp_path / "equal.csv"
    head = "item,old,new,old_latency_s,new_latency_s\n"
    file.write_text(head + "".join(f"{n},{n % 5 < 4:d},{n % 5 < 4:d},1.0,2.0\n" for n in range(900)))
    found = replayed(file, capsys, "--repeat", "3")
    assert found["rates"] == {"promote": 1.0, "hold": 0.0, "roll_back": 0.0, "median_canary_requests": None}
    assert found["slowdown"] == 2.0
    assert found["ramp"][0]["share"] == 0.1


def test_options_reach_the_replay(worse: Path, capsys: Capture) -> None:
    """Each of them changes the answer in the way that it says."""
    assert replayed(worse, capsys, "--shadow", "0")["pairs"] == 0
    literal = replayed(worse, capsys, "--rule", "literal")
    assert literal["reasons"][0]["rule"] == "its mean quality"
    slow, fast = (replayed(worse, capsys, "--shadow", "0", "--requests-per-hour", r) for r in ("60", "150"))
    assert slow["ramp"][0]["at_s"] == fast["ramp"][0]["at_s"] == 3600.0
    assert slow["canary_requests"] > fast["canary_requests"] > 0
    unknown = replayed(worse, capsys, "--incumbent-results", "0")
    assert unknown["p_worse"] != replayed(worse, capsys)["p_worse"]


def test_in_words_it_reads_as_sentences(worse: Path, capsys: Capture) -> None:
    """Verdict, reason, each metric and what would change it, the rates."""
    assert cli.main(["replay", "rollout", str(worse), "--repeat", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("verdict: roll_back after ")
    assert lines[1].startswith("taken back: P(worse than 0.95 x the old one) is .99")
    assert lines[2].startswith("  P(worse than 0.95 x the old one): .99")
    assert lines[3].startswith("      it would change if its answers were on average at most ")
    assert lines[-1].startswith("in 4 orders: promoted 0.0%, held 0.0%, taken back 100.0% after ")
    assert lines[-1].endswith(" requests by the new version (median)")


def test_in_words_without_anything_taken_back(tmp_path: Path, capsys: Capture) -> None:
    """One order has no rates; and where nothing was taken back there is no median."""
    file = tmp_path / "equal.csv"
    file.write_text(pairs([(1, 1)] * 200))
    assert cli.main(["replay", "rollout", str(file)]) == 0
    assert "orders" not in capsys.readouterr().out
    assert cli.main(["replay", "rollout", str(file), "--repeat", "2"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "in 2 orders: promoted 100.0%, held 0.0%, taken back 0.0%"


def test_one_fits_answers_in_blocks(worse: Path, capsys: Capture) -> None:
    """No client is served by the new version; how many blocks it took is told, in fields and in words."""
    found = replayed(worse, capsys, "--one-fits", "--repeat", "5")
    assert (found["verdict"], found["canary_requests"]) == ("roll_back", 0)
    assert found["blocks"] >= 1
    assert found["rates"]["median_blocks"] >= 1
    assert "blocks" not in replayed(worse, capsys)
    assert cli.main(["replay", "rollout", str(worse), "--one-fits", "--repeat", "5"]) == 0
    said = capsys.readouterr().out
    assert "pairs in 1 block)" in said
    assert "after 1 block (median)" in said
