"""The demo's fault: a damaged copy of a model's weights, as a failing disk or a broken download leaves it.

Owns: making the copy. Never: telling anybody but the script. The copy is a real GGUF that loads and answers; how much
worse it is, is measured by whoever serves it.
"""

from __future__ import annotations

import random
from pathlib import Path

# One page in so many is overwritten. Enough to hurt every task, little enough that the model still talks.
PAGE = 4096
ONE_IN = 40
HEADER_SHARE = 0.35  # names, vocabulary and the embedding table stand first: damage there would stop it from loading


def damaged_copy(source: Path, target: Path, seed: int) -> int:
    """Copy ``source`` with a seeded choice of pages of its weights overwritten by noise. Returns the number of them."""
    data = bytearray(source.read_bytes())
    rng = random.Random(seed)
    first = int(len(data) * HEADER_SHARE)
    pages = range(first, len(data) - PAGE, PAGE)
    chosen = rng.sample(pages, k=len(pages) // ONE_IN)
    for at in chosen:
        data[at : at + PAGE] = _shuffled(bytes(data[at : at + PAGE]), rng)
    target.write_bytes(data)
    return len(chosen)


def _shuffled(page: bytes, rng: random.Random) -> bytes:
    """The same bytes in another order: the scales stay within what the file has, so no infinities arise."""
    pieces = [page[i : i + 64] for i in range(0, len(page), 64)]
    rng.shuffle(pieces)
    return b"".join(pieces)
