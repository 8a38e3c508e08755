"""An archive's bytes: what was written is read, and whatever else comes is refused by line, field and what is right."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter_tui.core.archive import FORMAT, LINES, VERSION, WHAT, amiss, kinds
from arbiter_tui.core.learning import TaskProfile
from arbiter_tui.engine import archive
from arbiter_tui.engine.archive import Read, line, packed, reading, written
from arbiter_tui.errors import ArchiveInvalid

HEADER = {"arbiter": "0.1.0", "made_at": 1.7e9, "origin": "a" * 16, "machine": "m" * 16}
MODEL = {"version": "v", "provider": "fake", "name": "m", "digest": "sha256:1"}
OUTCOME = {"id": "o1", "task": "t", "version": "v", "at": 1.7e9, "success": True, "quality": 0.5}
PROFILE = {"task": "t", "profile": TaskProfile(task="t").as_dict()}


def made(*lines: tuple[str, Mapping[str, Any]], raw: bytes = b"", **header: Any) -> bytes:
    body = [*(line(kind, fields) for kind, fields in lines), *([raw] if raw else [])]
    counts: dict[str, int] = {}
    for one in body:
        kind = str(json.loads(one)["kind"]) if one.startswith(b'{"kind"') and not raw else "outcome"
        counts[kind] = counts.get(kind, 0) + 1
    return written({**HEADER, **header}, body, counts)


def read(data: bytes) -> Read:
    into = Read()
    for _ in reading(data, into):
        pass
    return into


def refusal(data: bytes) -> ArchiveInvalid:
    with pytest.raises(ArchiveInvalid) as caught:
        read(data)
    return caught.value


GOOD = made(("model", MODEL), ("outcome", OUTCOME), ("profile", PROFILE))


@pytest.mark.parametrize("data", [GOOD, packed(GOOD)])
def test_what_was_written_is_read_packed_or_not(data: bytes) -> None:
    """Every line that teaches, with its number; the header's facts."""
    found = read(data)
    assert [(n, kind) for n, kind, _ in found.lines] == [(2, "model"), (3, "outcome"), (4, "profile")]
    assert found.header["origin"] == HEADER["origin"]
    assert dict(found.counts) == {"model": 1, "outcome": 1, "profile": 1}


def test_the_same_knowledge_packs_to_the_same_bytes() -> None:
    """No time of packing is in it."""
    assert packed(GOOD) == packed(GOOD)


def test_kinds_and_fields_of_later_are_left_alone() -> None:
    """Unknown kinds are counted, unknown fields ignored, unknown lines for people not even checked."""
    found = read(made(("model", {**MODEL, "colour": "red"}), ("dream", {"of": 1}), ("statistics", {"odd": []})))
    assert dict(found.skipped) == {"dream": 1}
    assert [kind for _, kind, _ in found.lines] == ["model"]


def other(**changes: Any) -> bytes:
    return made(("model", MODEL), ("outcome", {**OUTCOME, **changes}))


@pytest.mark.parametrize(
    ("data", "said", "where"),
    [
        (other(quality=1.5), "line 3 (outcome): quality must be a number from 0 to 1, not 1.5", (3, "quality")),
        (other(latency_s=1e300), "latency_s must be a number from 0 to 1e+15, not 1e+300", (3, "latency_s")),
        (other(latency_s=-1), "latency_s must be a number from 0 to 1e+15, not -1", (3, "latency_s")),
        (other(tokens_in=1.5), "tokens_in must be a whole number", (3, "tokens_in")),
        (other(tokens_in=10**40), "tokens_in must be a whole number", (3, "tokens_in")),
        (other(success=1), "success must be true or false, not 1", (3, "success")),
        (other(at="now"), "at must be a number from 0 to 4e+09, not 'now'", (3, "at")),
        (other(failure="mood"), "failure must be one of timeout", (3, "failure")),
        (other(version="../../etc"), "version must be a text like", (3, "version")),
        (other(task=7), "task must be a text like", (3, "task")),
        (made(raw=b'{"kind":"alias","version":"v","alias":"\\ud800"}\n'), "alias must be a text like", (2, "alias")),
        (made(("outcome", {"id": "o"})), "task is missing: it must be a text like", (2, "task")),
        (made(("profile", {**PROFILE, "profile": {**PROFILE["profile"], "requests": -1}})),  # type: ignore[dict-item]
         "profile.requests must be a whole number", (2, "profile.requests")),
        (made(("profile", {**PROFILE, "profile": {**PROFILE["profile"], "successes": 3}})),  # type: ignore[dict-item]
         "profile.successes must be at most its 0 requests", (2, "profile.successes")),
        (made(("traffic", {"rates": [1.0], "seen": [1]})), "rates must be a list of 168", (2, "rates")),
        (made(raw=b'{"kind":"outcome","at":NaN}\n'), "line 2: NaN is no number", (2, None)),
        (made(raw=b'{"kind":"outcome","at":1e999}\n'), "line 2: 1e999 is larger than any number", (2, None)),
        (made(raw=b'{"kind":"outcome","at":1,"at":2}\n'), "line 2: the field 'at' stands there twice", (2, None)),
        (made(raw=b"[1]\n"), "line 2: must be a JSON object, not a list", (2, None)),
        (made(raw=b"\xff\xfe\n"), "line 2: must be UTF-8 text", (2, None)),
        (made(raw=b"[" * 100_000 + b"\n"), "line 2: is nested too deeply", (2, None)),
        (made(raw=b'{"kind":7}\n'), "line 2: kind must be one of alias", (2, "kind")),
        (made(version=VERSION + 1), "version must be at most 1, not 2: a newer arbiter (0.1.0) made", (1, "version")),
        (made(origin="x"), "header: origin must be a text like", (1, "origin")),
        (made(format="zip"), f'header: format must be "{FORMAT}", not \'zip\'', (1, "format")),
        (b"", "the archive is empty", (None, None)),
        (b"hello\n", "header: must be a JSON object, and is none", (1, None)),
        (GOOD[: GOOD.rindex(b'{"kind"')], "ends after line 3, and its header tells of 3 lines behind it", (3, None)),
        (GOOD[:-30], "line 4: must be a JSON object, and is none", (4, None)),
        (GOOD.replace(b'"quality":0.5', b'"quality":0.9'), "sha256 must be that of all that follows", (1, "sha256")),
        (GOOD + line("alias", {"alias": "x", "version": "v"}), "sha256 must be that of all", (1, "sha256")),
        (packed(GOOD)[:-9], "the packed archive ends in the middle", (None, None)),
        (packed(GOOD)[:60] + b"\0" * 40 + packed(GOOD)[100:], "can't be unpacked", (None, None)),
        (packed(GOOD) + packed(GOOD), "something behind the end of the packed archive", (None, None)),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_line_field_and_what_would_be_right(
    data: bytes, said: str, where: tuple[int | None, str | None]
) -> None:
    """Truncated, changed, newer, not numbers, wrong types, twisted JSON: a sentence, and its place for programs."""
    error = refusal(data)
    assert said in str(error)
    assert (error.details.get("line"), error.details.get("field")) == where
    assert len(str(error)) < 400, "nothing of a foreign file is repeated at length"


def test_an_archive_that_is_cut_in_the_middle_of_a_line_says_so() -> None:
    """The last line has no end: it was not written wrongly, it did not arrive."""
    assert "it was cut off on its way" in str(refusal(GOOD[:-30]))


def test_a_few_bytes_that_claim_to_be_very_many_are_refused_before_they_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a zip bomb no more is unpacked than the bound, and of one endless line no more than a line may have."""
    made_up: list[int] = []

    def counted(data: bytes, into: Read, pieces: Any = archive._pieces) -> Any:
        for piece in pieces(data, into):
            made_up.append(len(piece))
            yield piece

    monkeypatch.setattr(archive, "_pieces", counted)
    long = gzip.compress(b"x" * (40 * 2**20))
    assert "line 1: must have at most 256 KiB" in str(refusal(long))
    assert sum(made_up) <= archive.LONGEST + 2 * archive.PIECE
    monkeypatch.setattr(archive, "UNPACKED", 2**20)
    many = GOOD.split(b"\n")[0] + b"\n" + line("dream", {"n": 1}) * 100_000
    assert "unpacks to more than 1 MiB" in str(refusal(gzip.compress(many)))


@given(st.binary(max_size=300), st.integers(0, 600))
@settings(max_examples=150, deadline=None)
def test_no_bytes_make_a_reader_fail_in_another_way(noise: bytes, at: int) -> None:
    """Whatever stands anywhere in an archive: it is read, or it is refused by our own error."""
    for data in (noise, GOOD[:at] + noise + GOOD[at:], packed(GOOD)[:at] + noise + packed(GOOD)[at:]):
        with suppress(ArchiveInvalid):
            read(data)


def test_every_kind_that_teaches_has_its_checks_and_a_word() -> None:
    """The words of --what cover the kinds; outcomes bring the models that they are of."""
    assert set(LINES) <= {kind for several in WHAT.values() for kind in several}
    assert kinds(["outcomes"]) == {"outcome", "model"}
    assert kinds(None) == {kind for several in WHAT.values() for kind in several}
    assert amiss("model", MODEL) is None


def test_a_key_that_stands_in_a_name_is_masked() -> None:
    """Whoever writes a key of ours into a task's description does not find it in an archive."""
    token = "arb_0123456789abcdef_" + "s" * 43
    assert b"s" * 43 not in line("task", {"task": "t", "settings": {"description": f"use {token}"}})


def test_the_checksum_is_of_all_that_follows_the_header() -> None:
    """Anybody can check it with a shell: tail -n +2 FILE | sha256sum."""
    head, _, rest = GOOD.partition(b"\n")
    assert json.loads(head)["sha256"] == hashlib.sha256(rest).hexdigest()
