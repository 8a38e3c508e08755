"""The laws of the table of versions, aliases and lifecycles."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from core_cases import version
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.registry import VERSION_NAME, Lifecycle, ModelVersion, Registry
from arbiter_tui.errors import Refused, UnknownName

L = Lifecycle
ALLOWED = {
    (L.DRAFT, L.ACTIVE), (L.DRAFT, L.ARCHIVED), (L.ACTIVE, L.DEPRECATED), (L.DEPRECATED, L.ACTIVE),
    (L.DEPRECATED, L.ARCHIVED), (L.ARCHIVED, L.ACTIVE),
}  # fmt: skip

contents = st.builds(
    lambda name, source, digest, context, parallel, options: version(
        name, source=source, digest=digest, context=context, parallel=parallel, options=options
    ),
    st.from_regex(VERSION_NAME, fullmatch=True),
    st.sampled_from(["/a.gguf", "/b.gguf"]),
    st.sampled_from([None, "sha256:1", "sha256:2"]),
    st.sampled_from([None, 2048, 4096]),
    st.sampled_from([1, 4]),
    st.sampled_from([{}, {"threads": 2}, {"threads": 4, "mlock": True}]),
)


def registered(*versions: ModelVersion) -> Registry:
    table = Registry()
    for one in versions:
        table, _ = table.register(one)
    return table


@given(st.lists(contents, max_size=12))
def test_registering_never_replaces_and_never_forgets(many: list[ModelVersion]) -> None:
    """Every content gets one version under its own name; nothing that was there changes."""
    table = Registry()
    for one in many:
        before = dict(table.versions)
        table, known = table.register(one)
        assert known.identity() == one.identity()
        assert table.versions[known.version] == known
        assert all(table.versions[name] is v for name, v in before.items())
    assert len(table.versions) == len({one.identity() for one in many})
    assert all(name == v.version for name, v in table.versions.items())


@given(contents)
def test_the_same_content_again_is_the_same_version(one: ModelVersion) -> None:
    """Registering twice is once, under whatever name it comes the second time."""
    table, first = Registry().register(one)
    again, second = table.register(replace(one, version="another-name", labels=("new",)))
    assert again is table
    assert second is first


def test_an_update_gets_a_new_name() -> None:
    """Another content under a taken name, or an alias's, is numbered: the old one stays what it was."""
    table = registered(version("m", digest="1"), version("m", digest="2"), version("m", digest="3"))
    assert list(table.versions) == ["m", "m-2", "m-3"]
    assert table.alias("champion", "m").free_name("champion") == "champion-2"


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "x" * 129, "a\n"])
def test_a_name_that_cannot_stand_in_a_url_is_refused(name: str) -> None:
    """Names match [A-Za-z0-9._-]{1,128}, as versions and as aliases."""
    with pytest.raises(Refused):
        Registry().register(version(name))
    with pytest.raises(Refused):
        registered(version("m")).alias(name, "m")


@pytest.mark.parametrize(("before", "after"), list(product(L, L)))
def test_the_lifecycle_has_exactly_the_drawn_moves(before: Lifecycle, after: Lifecycle) -> None:
    """Every pair of states: the drawn moves happen, the same state is a no-op, everything else is refused in words."""
    table = registered(version("m", lifecycle=before))
    if before is after:
        assert table.move("m", after) is table
    elif (before, after) in ALLOWED:
        assert table.move("m", after).get("m") == replace(table.get("m"), lifecycle=after)
    else:
        with pytest.raises(Refused, match=f"m is {before}: it can become .*, not {after}"):
            table.move("m", after)


def test_an_alias_moves_and_hides_nothing() -> None:
    """An alias resolves to its version, may be moved, follows another alias, and may not take a version's name."""
    table = registered(version("a"), version("b", digest="2"))
    table = table.alias("champion", "a")
    assert table.get("champion").version == "a"
    table = table.alias("champion", "b").alias("best", "champion")
    assert table.get("champion").version == table.get("best").version == "b"
    with pytest.raises(Refused, match="can't be an alias"):
        table.alias("a", "b")


def test_an_unknown_name_names_its_neighbours() -> None:
    """The error carries the nearest versions and aliases; without any near ones it lists what is known."""
    table = registered(version("smollm2-135m"), version("gemma3-270m", digest="2")).alias("champion", "smollm2-135m")
    with pytest.raises(UnknownName, match="nearest: smollm2-135m") as caught:
        table.get("smolm2-135m")
    assert caught.value.details["nearest"] == ["smollm2-135m"]
    with pytest.raises(UnknownName, match="known: champion, gemma3-270m, smollm2-135m"):
        table.get("zzz")
    with pytest.raises(UnknownName, match=r"^unknown model 'zzz'$"):
        Registry().get("zzz")
    with pytest.raises(UnknownName):
        table.move("zzz", L.ACTIVE)


def test_pinning_changes_one_version() -> None:
    """Pins are set and taken back; the table that was is untouched."""
    table = registered(version("a"), version("b", digest="2"))
    pinned = table.pin("a", True)
    assert [v.pinned for v in pinned.versions.values()] == [True, False]
    assert [v.pinned for v in table.versions.values()] == [False, False]
    assert pinned.pin("a", False) == table


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["a", "b", "c"]),
        ({"capabilities": ["code"]}, ["b"]),
        ({"capabilities": ["code", "vision"]}, []),
        ({"category": "fast"}, ["a"]),
        ({"provider": "other"}, ["c"]),
        ({"hardware": "cuda"}, ["c"]),
        ({"lifecycle": [L.DRAFT]}, ["b"]),
        ({"lifecycle": [L.DRAFT, L.ACTIVE], "hardware": "cpu"}, ["a", "b"]),
        ({"lifecycle": []}, []),
    ],
)
def test_queries_join_what_is_asked(asked: dict[str, Any], found: list[str]) -> None:
    """All criteria hold at once; what is not asked does not filter; the order is that of registration."""
    table = registered(
        version("a", category="fast"),
        version("b", digest="2", capabilities=frozenset({"text-generation", "code"}), lifecycle=L.DRAFT),
        version("c", digest="3", provider="other", hardware="cuda"),
    )
    assert [v.version for v in table.query(**asked)] == found
