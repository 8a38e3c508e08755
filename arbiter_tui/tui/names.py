"""Names of versions where there is little room: always such that two that stand together can be told apart. Pure.

Owns: which form of a name is short enough. Never: what a name means, colours. A version's name is
``FAMILY-QUANTISATION.PROVIDER``, and another registration of the same has ``-2`` behind it; what is left out first is
what all of them share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

from . import format as fmt
from .text import Line, Span, line, model_name, plain, version_name


def stem(version: str) -> str:
    """Without its provider."""
    before, dot, provider = version.rpartition(".")
    return before if dot and provider[:1].isalpha() else version


def briefly(versions: Iterable[str], *, providers: bool = False) -> Mapping[str, str]:
    """Each with the shortest form in which they all differ: without providers (unless these are wanted), with short
    ones, or in full."""
    known = list(dict.fromkeys(v for v in versions if v))
    forms: tuple[Callable[[str], str], ...] = (model_name,) if providers else (stem, model_name)
    for form in forms:
        found = {v: form(v) for v in known}
        if len(set(found.values())) == len(known):
            return found
    return {v: v for v in known}


def in_brief(sentence: str, names: Mapping[str, str]) -> str:
    """``sentence`` with each name in its short form, the longest names first: one may begin like another."""
    for version in sorted(names, key=len, reverse=True):
        sentence = sentence.replace(version, names[version])
    return sentence


@lru_cache(maxsize=64)
def beside(versions: tuple[str, ...], width: int, token: str = "figure") -> Mapping[str, Line]:
    """A column of names, ``width`` cells wide: all in one form, and no two of them alike."""
    known = tuple(dict.fromkeys(versions))
    brief = any(fmt.cells(v) > width for v in known)
    alone = len({stem(v) for v in known}) == len(known)  # providers tell nothing then: they go first
    drawn = {v: _drawn(v, width, token, brief, alone) for v in known}
    alike: dict[str, list[str]] = {}
    for version in known:
        alike.setdefault(plain(drawn[version]), []).append(version)
    for several in alike.values():
        if len(several) > 1:
            drawn |= {v: _telling(v, [x for x in several if x != v], width, token) for v in several}
    return drawn


def _drawn(version: str, width: int, token: str, brief: bool, alone: bool) -> Line:
    if brief and not alone and fmt.cells(model_name(version)) > width:
        return (Span(fmt.fit(model_name(version), width), token),)
    return version_name(version, width, token, brief=brief)


def distinct(version: str, width: int, others: Sequence[str], token: str = "figure") -> Line:
    """One name among ``others``."""
    known = tuple(others)
    return beside(known if version in known else (*known, version), width, token)[version]


def _telling(version: str, rivals: Sequence[str], width: int, token: str) -> Line:
    """What tells it from its rivals is kept: its end, else the place where they part."""
    short = model_name(version)
    if short in [model_name(r) for r in rivals]:
        short, rivals = version, list(rivals)
    else:
        rivals = [model_name(r) for r in rivals]
    whole = fmt.fit(short, width)
    if width < 5 or whole not in [fmt.fit(r, width) for r in rivals]:
        return (Span(whole, token),)
    parts = max(_shared(short, r) for r in rivals)
    end = short[max(1, min(parts, len(short) - 1)) :]
    head = fmt.cut(short, max(1, width // 3, width - 1 - fmt.cells(end)))
    return line((f"{head}…{fmt.cut(end, width - 1 - fmt.cells(head))}", token))


def _shared(a: str, b: str) -> int:
    """How many characters both begin with."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
