"""Laws of the pure verifiers and of the suite parser."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.prompts import plain_prompt, suite_request
from arbiter_tui.core.tasks import Task
from arbiter_tui.core.verify import matches_schema, parse_suite, verify

LABELS = {"kind": "one_of", "labels": ["yes", "no", "not sure"]}
PERSON = {
    "kind": "json_schema",
    "schema": {
        "type": "object",
        "required": ["name", "age"],
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "additionalProperties": False,
    },
}


@pytest.mark.parametrize(
    ("verifier", "answer", "reference", "quality"),
    [
        ({"kind": "exact"}, "  Water. ", "water", 1.0),
        ({"kind": "exact"}, "\n\nwater\nGerman: Milch", "water", 1.0),
        ({"kind": "exact"}, "house", ["home", "house"], 1.0),
        ({"kind": "exact"}, "the water", "water", 0.0),
        ({"kind": "exact"}, "", "water", 0.0),
        (LABELS, "Yes, because no cat barks.", "yes", 1.0),
        (LABELS, "Not sure.", "not sure", 1.0),
        (LABELS, "Nothing of the kind: yes", "no", 0.0),
        (LABELS, "perhaps", "no", 0.0),
        ({"kind": "contains"}, "It is in Paris, France.", "paris", 1.0),
        ({"kind": "contains"}, "It is a comparison.", "paris", 0.0),
        ({"kind": "contains", "all": True}, "salt and pepper", ["pepper", "salt"], 1.0),
        ({"kind": "contains", "all": True}, "salt", ["pepper", "salt"], 0.0),
        ({"kind": "number"}, "The answer is 1,250.", 1250, 1.0),
        ({"kind": "number"}, "-3", "-3", 1.0),
        ({"kind": "number"}, "3", "-3", 0.0),
        ({"kind": "number"}, "12, then 13", 13, 0.0),
        ({"kind": "number"}, "x12", 12, 0.0),
        ({"kind": "number", "tolerance": 0.1}, "3.14", 3.2, 1.0),
        ({"kind": "number"}, "none", 0, 0.0),
        ({"kind": "regex", "pattern": r"^\d{4}$"}, "1999", None, 1.0),
        ({"kind": "regex"}, "colour", "colou?r", 1.0),
        ({"kind": "regex", "ignore_case": True}, "COLOR", "colou?r", 1.0),
        (PERSON, '```json\n{"name": "ada.", "age": 36}\n```', {"name": "Ada", "age": 36}, 1.0),
        (PERSON, '{"name": "Ada", "age": 37}', {"name": "Ada", "age": 36}, 0.5),
        (PERSON, '{"name": "Ada", "age": "36"}', {"name": "Ada", "age": 36}, 0.0),
        (PERSON, '{"name": "Ada"}', {"name": "Ada", "age": 36}, 0.0),
        (PERSON, '{"name": "Ada", "age": 36, "x": 1}', {"name": "Ada", "age": 36}, 0.0),
        (PERSON, '{"name": "Ada", "age": true}', {"name": "Ada", "age": 1}, 0.0),
        (PERSON, "Ada is 36", {"name": "Ada", "age": 36}, 0.0),
    ],
)
def test_quality(verifier: dict[str, Any], answer: str, reference: Any, quality: float) -> None:
    """Each kind accepts what a fair person would accept, and nothing else."""
    assert verify(verifier, answer, reference) == quality


@pytest.mark.parametrize(
    ("verifier", "reference"),
    [
        ({"kind": "vibes"}, "x"),
        ({"kind": "one_of", "labels": []}, "x"),
        ({"kind": "one_of", "labels": ["a", "b"]}, "c"),
        ({"kind": "regex", "pattern": "("}, "x"),
        ({"kind": "json_schema", "schema": {"type": "person"}}, {}),
    ],
)
def test_a_broken_verifier_is_an_error_not_a_bad_model(verifier: dict[str, Any], reference: Any) -> None:
    """A malformed verifier raises, because a 0 would be charged to the model."""
    with pytest.raises(ValueError):
        verify(verifier, "{}", reference)


@given(st.text(), st.sampled_from(["exact", "contains", "number", "regex", "json_schema"]))
def test_any_answer_has_a_quality(answer: str, kind: str) -> None:
    """Whatever a model says, its quality is a number in 0..1 and the same each time."""
    reference: Any = {"a": 1} if kind == "json_schema" else "7"
    quality = verify({"kind": kind}, answer, reference)
    assert 0.0 <= quality <= 1.0
    assert quality == verify({"kind": kind}, answer, reference)


@given(st.dictionaries(st.text(min_size=1), st.integers() | st.booleans() | st.text(), min_size=1))
def test_the_right_json_is_always_right(value: dict[str, Any]) -> None:
    """Any object, printed, is worth 1 against itself, even inside prose."""
    assert verify({"kind": "json_schema"}, f"Here: {json.dumps(value)} (done)", value) == 1.0


def test_schema_subset() -> None:
    """Nested arrays, enums and unions of types are checked to the bottom."""
    schema = {"type": "array", "items": {"type": ["string", "null"], "enum": ["a", None]}}
    assert matches_schema(["a", None], schema)
    assert not matches_schema(["a", "b"], schema)
    assert not matches_schema([1], schema)
    assert matches_schema({"x": 1}, {"properties": {"x": {"const": 1}}})


def test_parse_suite() -> None:
    """Items keep their ids; without one the line's number serves; blank lines are skipped."""
    items = parse_suite("t", '{"prompt": "a", "reference": "b"}\n\n{"id": "k", "prompt": "c", "reference": "d"}\n')
    assert [(i.id, i.task, i.prompt, i.reference) for i in items] == [("t-001", "t", "a", "b"), ("k", "t", "c", "d")]


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"prompt": "a"}', '{"prompt": "a", "reference": "b", "verifier": {"kind": "vibes"}}']
)
def test_parse_suite_names_the_line(line: str) -> None:
    """A mistake in a user's suite is named with its line."""
    with pytest.raises(ValueError, match="line 2"):
        parse_suite("t", '{"prompt": "a", "reference": "b"}\n' + line)


def test_suite_request_shows_the_examples_as_turns() -> None:
    """A chat model sees each worked example as a user's turn and an assistant's; the question stands last."""
    request = suite_request(Task(name="t", few_shot=(("q1", "a1"), ("q2", "a2")), max_tokens=4), "q3")
    assert request["messages"] == (
        ("user", "q1"),
        ("assistant", "a1"),
        ("user", "q2"),
        ("assistant", "a2"),
        ("user", "q3"),
    )
    assert (request["max_tokens"], request["temperature"], request["stop"]) == (4, 0.0, ("\n",))
    assert suite_request(Task(name="t", few_shot=(("q", "a\nb"),)), "q3")["stop"] == ()


def test_plain_prompt_shows_each_example_once() -> None:
    """Examples given both as turns and as few-shot pairs are not repeated; given only as pairs they are added."""
    request = suite_request(Task(name="t", few_shot=(("q1", "a1"),)), "q2")
    assert plain_prompt(request["messages"], request["few_shot"]) == "q1\na1\n\nq2\n"
    assert plain_prompt((("user", "q2"),), request["few_shot"]) == "q1\na1\n\nq2\n"
    assert plain_prompt((("system", "s"), ("user", "q2"))) == "s\n\nq2\n"
