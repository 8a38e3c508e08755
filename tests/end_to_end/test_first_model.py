"""One real model over HTTP, asked with the official client, as a user's program would."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import openai
import pytest
from engine_process import GEMMA, SMOL, Engine, needs

pytestmark = [pytest.mark.real, needs(SMOL)]
USER = [{"role": "user", "content": "Name a colour."}]


@pytest.fixture
def client(engine: Engine) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{engine.url}/v1", api_key="none", max_retries=0, http_client=httpx.Client(trust_env=False)
    ) as one:
        yield one


def test_an_answer_whole_and_streamed(client: openai.OpenAI) -> None:
    """The same greedy question gives the same text in both forms, with usage, a finish reason and who served."""
    raw = client.chat.completions.with_raw_response.create(
        model=SMOL,
        messages=USER,
        max_tokens=12,
        temperature=0,  # type: ignore[arg-type]
    )
    whole = raw.parse()
    assert raw.headers["x-arbiter-model"] == SMOL
    assert raw.headers["x-arbiter-request-id"]
    assert whole.usage is not None
    assert whole.usage.completion_tokens > 0
    text, finish, usage = "", None, None
    for chunk in client.chat.completions.create(
        model=SMOL, messages=USER, max_tokens=12, temperature=0, stream=True,  # type: ignore[arg-type]
        stream_options={"include_usage": True},
    ):  # fmt: skip
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
    assert text
    assert text == whole.choices[0].message.content
    assert finish == whole.choices[0].finish_reason
    assert usage is not None
    assert usage.total_tokens == whole.usage.total_tokens


def test_a_task_is_a_model(client: openai.OpenAI) -> None:
    """``arbiter/TASK`` is listed and answers, and the headers say which version that was."""
    names = [m.id for m in client.models.list()]
    assert {SMOL, "arbiter/sentiment"} <= set(names)
    raw = client.chat.completions.with_raw_response.create(
        model="arbiter/sentiment",
        messages=USER,
        max_tokens=4,  # type: ignore[arg-type]
    )
    assert raw.headers["x-arbiter-task"] == "sentiment"
    assert raw.headers["x-arbiter-model"] in names
    assert raw.parse().choices[0].message.content is not None


def test_the_older_completions_form(client: openai.OpenAI) -> None:
    """A prompt without messages streams as well."""
    pieces = [
        c.choices[0].text for c in client.completions.create(model=SMOL, prompt="One two", max_tokens=6, stream=True)
    ]
    assert "".join(pieces)


def test_an_unknown_model_names_the_nearest(client: openai.OpenAI) -> None:
    """A slip of the pen gets 404 with the name that was meant."""
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="smollm2-135m-q4_1.lama-server", messages=USER)  # type: ignore[arg-type]
    assert SMOL in str(missing.value)
    with pytest.raises(openai.NotFoundError) as task:
        client.chat.completions.create(model="arbiter/sentimnet", messages=USER)  # type: ignore[arg-type]
    assert "sentiment" in str(task.value)


@needs(GEMMA)
def test_a_model_without_a_chat_template_answers_too(engine: Engine) -> None:
    """A base model gets a plain prompt in place of the template: its answer is not empty."""
    assert engine.ask(GEMMA, "The capital of France is")["choices"][0]["message"]["content"].strip()


def test_a_stream_names_the_version_and_no_path_of_this_machine(engine: Engine) -> None:
    """Its bytes are the engine's own, and the engine knows itself by the version's name."""
    body = {"model": SMOL, "stream": True, "max_tokens": 3, "messages": [{"role": "user", "content": "hi"}]}
    told = httpx.post(f"{engine.url}/v1/chat/completions", json=body, timeout=60, trust_env=False).text
    assert f'"model":"{SMOL}"' in told.replace(": ", ":")
    assert ".gguf" not in told
