"""A suite's question as a request, and as one text for a model without a chat template."""

from __future__ import annotations

import pytest

from arbiter_tui.core.prompts import fingerprint, plain_prompt, suite_request
from arbiter_tui.core.tasks import Task

PAIRS = (("q1", "a1"), ("q2", "a2"))
TURNS = (("user", "q1"), ("assistant", "a1"), ("user", "q2"), ("assistant", "a2"))


def test_a_request_has_exactly_these_fields() -> None:
    """Greedy, short, the examples both as turns and as pairs; one line is an answer where no example has more."""
    assert suite_request(Task(name="t", few_shot=PAIRS, max_tokens=7), "q3") == {
        "messages": (*TURNS, ("user", "q3")),
        "few_shot": PAIRS,
        "max_tokens": 7,
        "temperature": 0.0,
        "stop": ("\n",),
    }


@pytest.mark.parametrize(
    ("answers", "stop"), [((), ("\n",)), (("a",), ("\n",)), (("a", "b\nc"), ()), (("b\nc", "a"), ())]
)
def test_one_long_example_lets_answers_run_on(answers: tuple[str, ...], stop: tuple[str, ...]) -> None:
    """A single example of several lines shows that answers have several."""
    assert suite_request(Task(name="t", few_shot=tuple(("q", a) for a in answers)), "q")["stop"] == stop


@pytest.mark.parametrize(
    ("messages", "few_shot", "text"),
    [
        ((("user", "q3"),), (), "q3\n"),
        ((("user", "q3"),), PAIRS, "q1\na1\n\nq2\na2\n\nq3\n"),
        ((*TURNS, ("user", "q3")), PAIRS, "q1\na1\n\nq2\na2\n\nq3\n"),
        ((("user", "q0"), ("assistant", "a0"), *TURNS), PAIRS, "q0\na0\n\nq1\na1\n\nq2\na2\n\n"),
        ((*TURNS[:2], ("user", "q3")), PAIRS, "q1\na1\n\nq2\na2\n\nq1\na1\n\nq3\n"),
        ((("system", "be brief"), ("user", "q3")), PAIRS[:1], "be brief\n\nq1\na1\n\nq3\n"),
        ((("user", "q3"), ("system", "be brief"), ("system", "be kind")), (), "be brief\n\nbe kind\n\nq3\n"),
        (TURNS, PAIRS, "q1\na1\n\nq2\na2\n\n"),
        ((), (), "\n"),
    ],
)
def test_the_plain_text(
    messages: tuple[tuple[str, str], ...], few_shot: tuple[tuple[str, str], ...], text: str
) -> None:
    """System texts first, then what is not yet in the conversation, then the conversation; a blank line after each."""
    assert plain_prompt(messages, few_shot) == text


def test_a_fingerprint_is_the_same_for_the_same_prompt_and_tells_nothing_else() -> None:
    """Twelve hexadecimal digits; another word, another role or another order is another prompt."""
    prompt = ("user", "What is the capital of France?")
    told = fingerprint(prompt)
    assert told == fingerprint(iter(prompt))
    assert len(told) == 12
    assert not set(told) - set("0123456789abcdef")
    others = [("user", "What is the capital of Spain?"), ("system", prompt[1]), prompt[::-1], (*prompt, ""), ()]
    assert len({told, *(fingerprint(other) for other in others)}) == 6
    assert fingerprint(["\ud800"])  # half a character, as a client may send it
