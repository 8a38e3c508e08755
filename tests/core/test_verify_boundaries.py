"""What each verifier accepts at its edges, and what each malformed verifier or suite line is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from arbiter_tui.core.verify import first_json, first_line, fold, matches_schema, parse_suite, verify


@pytest.mark.parametrize(
    ("text", "folded"),
    [("  A  B\t c ", "a b c"), ("“Yes!”", "yes"), ("(no)", "no"), ("STRASSE", "strasse"), ("a-b", "a-b"), ("...", "")],
)
def test_folding(text: str, folded: str) -> None:
    """Case, runs of white space and outer punctuation go; what is inside stays."""
    assert fold(text) == folded


@pytest.mark.parametrize(
    ("text", "line"), [("\n --- \n", " --- "), ("\n...\n yes \nno", " yes "), ("", ""), ("\n\n", ""), ("a", "a")]
)
def test_the_first_line_that_says_something(text: str, line: str) -> None:
    """Lines of nothing but punctuation are passed over; without any there is none."""
    assert first_line(text) == line


@pytest.mark.parametrize(
    ("labels", "answer", "reference", "quality"),
    [
        (["not", "not sure"], "not sure", "not sure", 1.0),
        (["not", "not sure"], "not sure", "not", 0.0),
        (["yes", "no"], "no, not yes", "no", 1.0),
        (["yes", "no"], "no, not yes", "yes", 0.0),
        (["Yes", "No"], "YES", " yes. ", 1.0),
        (["yes", "no"], "nobody", "no", 0.0),
        (["yes", "no"], "the  yes", "yes", 1.0),
        (["a  b", "c"], "A\tB", "a b", 1.0),
        (["yes", "no"], "\nyes\nno", "yes", 1.0),
        (["yes", "no"], "maybe\nyes", "yes", 0.0),
    ],
)
def test_one_of(labels: list[str], answer: str, reference: str, quality: float) -> None:
    """The label named first in the first line counts; the longer of two that begin together; whole words only."""
    assert verify({"kind": "one_of", "labels": labels}, answer, reference) == quality


@pytest.mark.parametrize(
    ("verifier", "answer", "reference", "quality"),
    [
        ({}, "water", "water", 1.0),
        ({"kind": "exact"}, "12", 12, 1.0),
        ({"kind": "exact"}, "b", ("a", "b"), 1.0),
        ({"kind": "contains"}, "only salt", ["pepper", "salt"], 1.0),
        ({"kind": "contains"}, "neither", ["pepper", "salt"], 0.0),
        ({"kind": "contains", "all": False}, "salt", ["pepper", "salt"], 1.0),
        ({"kind": "contains"}, "anything", [], 0.0),
        ({"kind": "contains", "all": True}, "anything", [], 0.0),
        ({"kind": "contains"}, "New\n York", "new york", 1.0),
        ({"kind": "contains"}, "c++ (or so)", "c++", 1.0),
        ({"kind": "contains"}, "a+b", "a.b", 0.0),
        ({"kind": "contains"}, "cat_s", "cat", 0.0),
        ({"kind": "number"}, "1,234,567.5 or so", 1234567.5, 1.0),
        ({"kind": "number"}, ".5", 0.5, 1.0),
        ({"kind": "number"}, "-.5", -0.5, 1.0),
        ({"kind": "number"}, "+7", "7", 1.0),
        ({"kind": "number"}, "12kg", 12, 0.0),
        ({"kind": "number"}, "v1.5", 1.5, 0.0),
        ({"kind": "number"}, "The sum:\n7", 7, 0.0),
        ({"kind": "number"}, "3.0000001", 3, 0.0),
        ({"kind": "number"}, "3.0000000001", 3, 1.0),
        ({"kind": "number", "tolerance": 0.5}, "3.5", 3, 1.0),
        ({"kind": "number", "tolerance": 0.5}, "3.51", 3, 0.0),
        ({"kind": "number"}, "1000000000", 1000000001, 0.0),
        ({"kind": "regex"}, "COLOR", "colou?r", 0.0),
        ({"kind": "regex", "ignore_case": False}, "COLOR", "colou?r", 0.0),
        ({"kind": "regex", "pattern": "a"}, "b", "b", 0.0),
    ],
)
def test_quality_at_the_edges(verifier: dict[str, Any], answer: str, reference: Any, quality: float) -> None:
    """Nothing is accepted by being near, nothing refused for its form."""
    assert verify(verifier, answer, reference) == quality


@pytest.mark.parametrize(
    ("answer", "reference", "quality"),
    [
        ("{}", {}, 1.0),
        ('{"a": 1}', {}, 1.0),
        ("[1, 2]", [1, 2], 1.0),
        ("[1, 2]", [2, 1], 0.0),
        ("[1]", {"a": 1}, 0.0),
        ('{"a": 1}', [1], 0.0),
        ('{"a": 1.0}', {"a": 1}, 0.0),
        ('{"a": true}', {"a": 1}, 0.0),
        ('{"a": null}', {"a": None, "b": None}, 0.5),
        ('{"a": " X! "}', {"a": "x"}, 1.0),
        ('{"a": "1"}', {"a": 1}, 0.0),
        ('{broken [then] {"a": 1}', {"a": 1}, 1.0),
        ('[broken {"a": 1} {"a": 2}', {"a": 1}, 1.0),
        ("no json at all", {}, 0.0),
        ('{"a": 1, "b": 2, "c": 3}', {"a": 1, "b": 2, "c": 9, "d": 4}, 0.5),
    ],
)
def test_json_is_worth_the_share_of_the_reference_that_it_has(answer: str, reference: Any, quality: float) -> None:
    """Types must agree, text but for case and punctuation; the first object or array inside the answer counts."""
    assert verify({"kind": "json_schema"}, answer, reference) == quality


def test_the_first_json_is_the_outermost() -> None:
    """An array around an object is the array; without any there is no value, not null."""
    assert first_json('see [{"a": 1}]') == [{"a": 1}]
    assert first_json("null") is first_json("") is not None


@pytest.mark.parametrize(
    ("value", "schema", "matches"),
    [
        (1, {}, True),
        (1, {"type": "integer"}, True),
        (1.5, {"type": "integer"}, False),
        (1, {"type": "number"}, True),
        (1.5, {"type": "number"}, True),
        (True, {"type": "number"}, False),
        (True, {"type": "integer"}, False),
        (True, {"type": "boolean"}, True),
        (1, {"type": "boolean"}, False),
        (True, {"type": ["string", "boolean"]}, True),
        ("x", {"type": "string"}, True),
        (None, {"type": "null"}, True),
        (0, {"type": "null"}, False),
        ([], {"type": "array"}, True),
        ({}, {"type": "array"}, False),
        ({}, {"type": "object"}, True),
        ([], {"type": "object"}, False),
        ("x", {"type": ["string", "null"]}, True),
        (1, {"type": ["string", "null"]}, False),
        (1, {"const": 1}, True),
        (2, {"const": 1}, False),
        (None, {"const": 1}, False),
        ("a", {"enum": ["a", "b"]}, True),
        ("c", {"enum": ["a", "b"]}, False),
        ([1, "a"], {"items": {"type": "integer"}}, False),
        ([1, 2], {"items": {"type": "integer"}}, True),
        ([1, "a"], {}, True),
        ("text", {"items": {"type": "integer"}}, True),
        ({"a": 1}, {"required": ["a"]}, True),
        ({"a": 1}, {"required": ["a", "b"]}, False),
        ({"a": 1, "b": 2}, {"properties": {"a": {}}, "additionalProperties": False}, False),
        ({"a": 1, "b": 2}, {"properties": {"a": {}}, "additionalProperties": True}, True),
        ({"a": 1, "b": 2}, {"properties": {"a": {}}}, True),
        ({"a": 1}, {"additionalProperties": False}, False),
        ({"a": 1}, {"properties": {"a": {"type": "string"}}}, False),
        ({"b": 1}, {"properties": {"a": {"type": "string"}}}, True),
        ({"a": {"b": [1]}}, {"properties": {"a": {"properties": {"b": {"items": {"type": "null"}}}}}}, False),
    ],
)
def test_the_schema_subset(value: Any, schema: dict[str, Any], matches: bool) -> None:
    """Each keyword by itself, met and not met; a keyword for another type says nothing."""
    assert matches_schema(value, schema) is matches


def test_a_schema_by_itself_names_its_unknown_type() -> None:
    """Whoever matches a value without a suite hears of the mistake, too."""
    with pytest.raises(ValueError, match=r"^unknown JSON type 'person'$"):
        matches_schema(1, {"type": "person"})


@pytest.mark.parametrize(
    ("verifier", "reference", "said"),
    [
        (
            {"kind": "vibes"},
            "x",
            "unknown verifier 'vibes'; known: contains, exact, json_schema, number, one_of, regex",
        ),
        ({"kind": "one_of"}, "x", "one_of needs a list of labels"),
        ({"kind": "one_of", "labels": "x"}, "x", "one_of needs a list of labels"),
        ({"kind": "one_of", "labels": 5}, "x", "one_of needs a list of labels"),
        ({"kind": "one_of", "labels": ["a"]}, "x", "the reference 'x' is none of the labels"),
        ({"kind": "regex"}, 5, "regex needs a pattern"),
        ({"kind": "regex", "pattern": "("}, "x", r"regex pattern '\(': "),
        ({"kind": "json_schema", "schema": {"type": "person"}}, {}, "unknown JSON type 'person'"),
        ({"kind": "json_schema", "schema": {"type": ["null", "person"]}}, {}, "unknown JSON type 'person'"),
        ({"kind": "json_schema", "schema": {"items": {"type": "person"}}}, [], "unknown JSON type 'person'"),
        ({"kind": "json_schema", "schema": {"properties": {"a": {"type": "x"}}}}, {}, "unknown JSON type 'x'"),
        ({"kind": "json_schema", "schema": {"items": [1]}}, {}, r"a schema is an object, not \[1\]"),
        ({"kind": "json_schema", "schema": "object"}, {}, "a schema is an object, not 'object'"),
        ({"kind": "number"}, "many", "the reference 'many' is no number"),
        ({"kind": "number"}, None, "the reference None is no number"),
        ({"kind": "number", "tolerance": "wide"}, 1, "the tolerance 'wide' is no number"),
    ],
)
@pytest.mark.parametrize("answer", ["", "{} 1", "[1]"])
def test_a_malformed_verifier_says_what_is_wrong(
    verifier: dict[str, Any], reference: Any, said: str, answer: str
) -> None:
    """Whatever the answer is, an empty one too: the mistake is named, never charged to the model."""
    with pytest.raises(ValueError, match=f"^{said}"):
        verify(verifier, answer, reference)
    line = json.dumps({"prompt": "p", "reference": reference, "verifier": verifier})
    with pytest.raises(ValueError, match=f"^suite of 't', line 1: {said}"):
        parse_suite("t", line)


def test_a_suites_line_may_leave_out_what_has_a_default() -> None:
    """Without a verifier it is ``exact``; ids are text and number the lines of the file, blank ones too."""
    lines = ['{"prompt": "a", "reference": "b"}', "  ", '{"id": 7, "prompt": "c", "reference": "d"}']
    own = {"kind": "number", "tolerance": 0.5}
    lines.append(json.dumps({"prompt": "e", "reference": 1, "verifier": own}))
    items = parse_suite("t", "\n".join(lines))
    assert [(i.id, i.task, i.prompt, i.reference) for i in items] == [
        ("t-001", "t", "a", "b"), ("7", "t", "c", "d"), ("t-004", "t", "e", 1),
    ]  # fmt: skip
    assert [i.verifier for i in items] == [{"kind": "exact"}, {"kind": "exact"}, own]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"prompt": "a"}', "'reference'"),
        ('{"reference": "a"}', "'prompt'"),
        ('{"prompt": "a", "reference": "b", "verifier": {"kind": "vibes"}}', "unknown verifier 'vibes'"),
    ],
)
def test_a_suites_mistake_is_named_with_its_suite_and_line(line: str, said: str) -> None:
    """Which file, which line, what is wrong."""
    with pytest.raises(ValueError, match=f"^suite of 't', line 1: {said}"):
        parse_suite("t", line)
