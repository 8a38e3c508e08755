"""/metrics: every family that is promised, in base units, with labels that are bounded and values that are exact."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import pytest
from gateway_cases import Stand
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.cost import Failure, Outcome
from arbiter_tui.core.snapshot import SwapView
from arbiter_tui.engine.measures import MOST, SECONDS, Histogram, Measures
from arbiter_tui.errors import ProviderError
from arbiter_tui.gateway.metrics import Text, labelled, number
from arbiter_tui.provider import InstanceStats, Load
from arbiter_tui.testing import FakeModel

LINE = re.compile(r'^arbiter_([a-z_]+)(\{([a-z_]+="(?:[^"\\\n]|\\.)*",?)*\})? (-?[0-9.e+-]+|\+Inf)$')
PROMISED = {
    "requests_total": "counter", "request_seconds": "histogram", "queue_seconds": "histogram",
    "ttft_seconds": "histogram", "overhead_seconds": "histogram", "tokens_total": "counter",
    "resident_bytes": "gauge", "swaps_total": "counter", "up": "gauge", "model_state": "gauge",
}  # fmt: skip


async def scraped(stand: Stand) -> str:
    return (await stand.http.get("/metrics")).text


def outcome(**fields: object) -> Outcome:
    base = {"id": "o", "task": "t", "version": "v", "at": 0.0, "success": True}
    return Outcome(**{**base, **fields})  # type: ignore[arg-type]


async def test_every_promised_family_is_there_once_and_every_line_parses(inside: Stand) -> None:
    """After a request and a swap; HELP and TYPE stand once before their lines, which no other family interrupts."""
    await inside.chat(model="arbiter/chat")
    current = inside.arbiter.routes.get("chat").incumbent
    await inside.arbiter.swap("chat", "fake-b" if current == "fake-a" else "fake-a")
    text = await scraped(inside)
    kinds = dict(re.findall(r"^# TYPE arbiter_(\w+) (\w+)$", text, re.M))
    assert {name: kinds.get(name) for name in PROMISED} == PROMISED
    order = []
    for line in text.splitlines():
        if line.startswith("# TYPE"):
            order.append(line.split()[2].removeprefix("arbiter_"))
        elif not line.startswith("#"):
            found = LINE.match(line)
            assert found, line
            name = found[1]
            assert name == order[-1] or (kinds[order[-1]] == "histogram" and name.startswith(order[-1])), line
    assert len(order) == len(set(order))
    assert 'arbiter_swaps_total{trigger="manual",result="done"} 1' in text
    assert not [name for name in kinds if name.endswith(("_ms", "_mb", "_percent"))]
    assert "energy" not in text  # nothing measured it


async def test_failures_are_counted_by_their_kind_and_nothing_of_a_client_becomes_a_label(inside: Stand) -> None:
    """A model's name that nobody knows, a key, a prompt: none of it is in the text."""
    inside.how("fake-a").fail_generate = [ProviderError("broken")]
    assert (await inside.chat()).status_code >= 500
    await inside.chat(model="no-such-model", text="a very private prompt")
    text = await scraped(inside)
    assert 'model="fake-a",provider="fake",outcome="provider_error"} 1' in text
    assert "no-such-model" not in text
    assert "private" not in text


def test_a_histogram_is_cumulative_and_its_ends_agree() -> None:
    """The last bucket is the count; a value on a bound belongs to that bound."""
    text, histogram = Text(), Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        histogram.add(value)
    text.histogram("x_seconds", "of x", [({"task": "t"}, histogram)])
    assert text.lines[2:] == [
        'arbiter_x_seconds_bucket{task="t",le="0.1"} 2',
        'arbiter_x_seconds_bucket{task="t",le="1.0"} 3',
        'arbiter_x_seconds_bucket{task="t",le="+Inf"} 4',
        'arbiter_x_seconds_sum{task="t"} 7.65',
        'arbiter_x_seconds_count{task="t"} 4',
    ]


@given(st.lists(st.floats(0, 1e4), max_size=50))
def test_no_value_is_lost_in_a_histogram(values: list[float]) -> None:
    """Each is counted in exactly one bucket, at or below its bound."""
    histogram = Histogram(SECONDS)
    for value in values:
        histogram.add(value)
    assert histogram.count == len(values)
    for i, bound in enumerate(SECONDS):
        assert sum(histogram.counts[: i + 1]) == sum(v <= bound for v in values)


def test_what_is_unknown_is_in_no_histogram() -> None:
    """A cancelled request has no rate, one without a first token no time to it, an unmeasured one no energy."""
    measures = Measures()
    measures.ended(outcome(success=False, failure=Failure.CANCELLED, latency_s=2.0, tokens_out=9, ttft_s=1.0), "p")
    measures.ended(outcome(latency_s=2.0, ttft_s=0.5, queue_s=0.5, tokens_out=11, tokens_in=4), "p")
    measures.ended(outcome(latency_s=2.0, tokens_out=1, ttft_s=1.0), "p")
    (found,) = measures.requests.values()
    counts: Mapping[str, int] = {name: h.count for name, h in found.histograms.items()}
    assert counts == {
        "request_seconds": 3, "queue_seconds": 1, "ttft_seconds": 3, "inter_token_seconds": 1, "overhead_seconds": 0,
    }  # fmt: skip
    assert found.histograms["inter_token_seconds"].sum == pytest.approx(0.1)
    assert (found.tokens_in, found.tokens_out, found.energy_j) == (4, 21, None)
    measures.ended(outcome(energy_j=2.5), "p")
    assert found.energy_j == 2.5


def test_the_number_of_series_is_bounded() -> None:
    """Beyond it all is counted together; nothing is lost."""
    measures = Measures()
    for n in range(MOST + 50):
        measures.ended(outcome(version=f"v{n}", latency_s=0.1), "p")
    assert len(measures.requests) == MOST + 1
    assert sum(sum(r.outcomes.values()) for r in measures.requests.values()) == MOST + 50


def test_a_swap_counts_once_when_it_ends() -> None:
    """Not per phase, not when its record is amended, not when an old one is marked as undone."""
    measures = Measures()
    running, done = (
        SwapView(id="s", task="t", trigger="auto"),
        SwapView(id="s", task="t", trigger="auto", result="done"),
    )
    undone = SwapView(id="s", task="t", trigger="auto", result="rolled_back")
    for before, after in ((None, running), (running, running), (running, done), (done, done), (done, undone)):
        measures.swapped(before, after)
    assert measures.swaps == {("auto", "done"): 1}


def test_a_counter_keeps_all_its_digits_and_a_label_is_escaped() -> None:
    """A byte count above a million is not rounded; a quote or a line break can't end a label."""
    assert number(12_345_678_901) == "12345678901"
    assert float(number(1234567.25)) == 1234567.25
    assert labelled(model='a"b\\c\nd') == '{model="a\\"b\\\\c\\nd"}'


async def test_what_a_server_says_of_its_own_work_is_shown(
    inside: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """Its other clients' requests included; what it does not say has no line, nor has a model that says nothing."""
    await inside.chat()
    assert "arbiter_server_" not in await scraped(inside)
    plain = FakeModel.stats

    async def stats(self: FakeModel) -> InstanceStats:
        return replace(await plain(self), load=Load(running=3, cache_used=0.25))

    monkeypatch.setattr(FakeModel, "stats", stats)
    await inside.chat(model="fake-b")
    text = await scraped(inside)
    labels = 'model="fake-b",provider="fake"'
    assert f'arbiter_server_requests{{{labels},state="running"}} 3' in text
    assert f"arbiter_server_cache_used_ratio{{{labels}}} 0.25" in text
    assert "waiting" not in text.split("arbiter_server_requests", 1)[1]
    assert text.count("arbiter_server_requests{") == 1
