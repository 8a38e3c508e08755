"""``arbiter replay judge``: figures of judges on labelled pairs, and files that are no such pairs."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from arbiter_tui import cli

Capture = pytest.CaptureFixture[str]
HEAD = "subset,prompt,item,label,judge,winner_asis,winner_swapped,len1,len2\n"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """100 pairs, asked with two prompts: one judge is right nine times in ten, one names the first place always."""
    chance, rows = random.Random(2), []
    for n in range(100):
        label = chance.choice((1, 2))
        for prompt in ("short", "long"):
            said = label if chance.random() < 0.9 else 3 - label
            rows.append(f"easy,{prompt},{n},{label},good,{said},{said},{10 * n + 5},20")
            rows.append(f"easy,{prompt},{n},{label},constant,1,2,{10 * n + 5},20")
    file = tmp_path / "judges.csv"
    file.write_text(HEAD + "\n".join(rows) + "\n")
    return file


def replayed(file: Path, capsys: Capture) -> dict[str, Any]:
    assert cli.main(["replay", "judge", str(file), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_each_judge_has_its_figures_and_its_trust(pairs: Path, capsys: Capture) -> None:
    """The same item under another prompt is another pair; a constant judge covers nothing and is trusted nothing."""
    found = replayed(pairs, capsys)
    assert (found["rows"], found["pairs"]) == (400, 200)
    constant, good = found["judges"]
    assert (constant["judge"], constant["coverage"], constant["accuracy"], constant["trust"]) == (
        "constant",
        0,
        None,
        0,
    )
    assert constant["first_wins"] is None
    assert good["accuracy"] == pytest.approx(0.9, abs=0.06)
    assert good["coverage"] == 1.0
    assert found["trust"] == {"constant": 0.0, "good": good["trust"]}
    assert found["coverage"] == 0.5
    assert found["accuracy"] == good["accuracy"]
    assert found["panel"]["accuracy"] == good["accuracy"]
    assert good["first_wins"]["share"] == pytest.approx(0.5, abs=0.15)


def test_the_same_file_gives_the_same_bytes_and_words(pairs: Path, capsys: Capture) -> None:
    """Whatever the order of its rows; a person reads a table."""
    first = replayed(pairs, capsys)
    head, *rows = pairs.read_text().splitlines()
    random.Random(1).shuffle(rows)
    pairs.write_text("\n".join([head, *rows]) + "\n")
    assert replayed(pairs, capsys) == first
    assert cli.main(["replay", "judge", str(pairs)]) == 0
    text = capsys.readouterr().out
    assert "good" in text
    assert "200 pairs" in text


def test_one_order_alone_and_json_lines(tmp_path: Path, capsys: Capture) -> None:
    """Without winner_swapped the one verdict counts; a tie may be a word, a missing verdict is none."""
    file = tmp_path / "judges.jsonl"
    rows = [("1", "1"), (1, 1), ("tie", "Tie"), (2, None)]
    file.write_text(
        "".join(json.dumps({"item": n, "label": lab, "judge": "j", "winner_asis": w}) + "\n"
                for n, (lab, w) in enumerate(rows))
    )  # fmt: skip
    found = replayed(file, capsys)
    assert (found["accuracy"], found["coverage"], found["consistency"]) == (1.0, pytest.approx(2 / 3, abs=1e-4), None)
    assert "panel" not in found


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ("e,p,1,3,j,1,1,5,5", "label is '3'"), ("e,p,1,,j,1,1,5,5", "no label"),
        ("e,p,1,1,j,first,1,5,5", "winner_asis"),
        ("e,p,,1,j,1,1,5,5", "no item"), ("e,p,1,1,,1,1,5,5", "no judge"), ("e,p,1,1,j,1,1,-5,5", "len1"),
        ("e,p,1,1,j,1,1,5,5\ne,p,1,1,j,2,2,5,5", "has judged this pair already"),
    ],
)  # fmt: skip
def test_what_is_no_verdict_is_named(tmp_path: Path, capsys: Capture, row: str, word: str) -> None:
    """Exit 2 with the row and the column."""
    file = tmp_path / "judges.csv"
    file.write_text(HEAD + row + "\n")
    assert cli.main(["replay", "judge", str(file)]) == 2
    assert word in capsys.readouterr().err
