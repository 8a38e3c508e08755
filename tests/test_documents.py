"""What the documents point at exists: tests, benchmarks, and each other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    """Relative links, as a reader follows them from where they stand."""
    links = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_each_test_that_the_wires_page_names_exists() -> None:
    """``gateway/test_x.py``; a bare name is in the folder of the one before it."""
    text = (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")
    missing, room = [], ""
    for named in re.findall(r"(?:[a-z_]+/)?test_\w+\.py", text):
        room = named.rpartition("/")[0] or room
        path = ROOT / "tests" / room / named.rpartition("/")[2]
        if not path.exists():
            missing.append(named)
    assert missing == []
    assert text.count("test_") > 30
