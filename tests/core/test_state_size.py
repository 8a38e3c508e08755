"""What is kept of a version on a task: at most 2 KB packed, whatever was measured and for however long."""

from __future__ import annotations

import pickle
import random
import zlib
from collections.abc import Iterable

from arbiter_tui.core.cost import Outcome
from arbiter_tui.core.drift import Detectors
from arbiter_tui.core.stats import EMPTY, Stats

CLASSES = 400  # compressed bytes of the names of the classes and fields, the same for every version


def noisy(n: int) -> Outcome:
    """Every figure known, and as random as it can be."""
    chance = random.Random(n)
    return Outcome(
        id=str(n), task="t", version="v", at=1000.0 + n, success=chance.random() < 0.98, tokens_out=20,
        latency_s=chance.lognormvariate(0.0, 0.4), ttft_s=chance.lognormvariate(-3.0, 0.5),
        tokens_in=chance.randrange(20, 2000), memory_bytes=10**9, energy_j=chance.lognormvariate(2.0, 0.5),
        quality=chance.random(), quality_source=chance.choice(("suite", "sentinel", "feedback")),
        item=f"{chance.getrandbits(48):x}",
    )  # fmt: skip


def learnt(outcomes: Iterable[Outcome]) -> tuple[Stats, Detectors]:
    several = list(outcomes)
    return EMPTY.add_all(several), Detectors().observe_all(several)[0]


def test_it_is_small_and_stays_so() -> None:
    """After 1,500 requests as after 6,000; and what is packed is what is read back."""
    sizes = []
    for requests in (1500, 6000):
        state = learnt(noisy(n) for n in range(requests))
        packed = zlib.compress(pickle.dumps(state, protocol=5), 6)
        assert pickle.loads(zlib.decompress(packed)) == state
        sizes.append(len(packed) - CLASSES)
    assert max(sizes) <= 2048
    assert sizes[1] <= sizes[0] + 64
