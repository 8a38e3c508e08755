"""What makes two versions the same content, and what each refusal of the registry says."""

from __future__ import annotations

from typing import Any

import pytest
from core_cases import version

from arbiter_tui.core.registry import Lifecycle, ModelVersion, Registry
from arbiter_tui.errors import Refused, UnknownName

BASE: dict[str, Any] = {"source": "/a.gguf", "digest": "sha256:1", "context": 2048, "options": {"threads": 2, "x": 1}}


def registered(*versions: ModelVersion) -> Registry:
    table = Registry()
    for one in versions:
        table, _ = table.register(one)
    return table


@pytest.mark.parametrize(
    "changes",
    [
        {"provider": "other"},
        {"digest": "sha256:2"},
        {"context": 4096},
        {"context": None},
        {"parallel": 1},
        {"options": {"threads": 2}},
        {"options": {"threads": "2", "x": 1}},
        {"options": {"threads": 1, "x": 2}},
        {"digest": None},
    ],
)
def test_each_part_of_the_identity_makes_another_version(changes: dict[str, Any]) -> None:
    """Provider, content, context, parallel requests, load options: any of them differs, and it is another one."""
    assert list(registered(version("m", **BASE), version("m", **{**BASE, **changes})).versions) == ["m", "m-2"]


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "/moved.gguf"},
        {"options": {"x": 1, "threads": 2}},
        {"labels": ("new",), "licence": "MIT", "pinned": True, "created_at": 9.0},
        {"lifecycle": Lifecycle.DRAFT, "family": "f", "hardware": "cuda"},
    ],
)
def test_the_rest_does_not(changes: dict[str, Any]) -> None:
    """Where the same digest lies, the order of its options and what is said about it change nothing."""
    assert list(registered(version("m", **BASE), version("n", **{**BASE, **changes})).versions) == ["m"]


def test_without_a_digest_the_source_is_the_content() -> None:
    """Two files of unknown content are two versions, one file is one."""
    one, two = version("m", source="/a"), version("m", source="/b")
    assert list(registered(one, two, one).versions) == ["m", "m-2"]


def test_a_name_may_have_128_letters() -> None:
    """The longest that stands in a URL's part; every allowed kind of letter in it."""
    name = "aZ09._-" + "x" * 121
    assert registered(version(name)).get(name).version == name


def test_numbering_passes_over_what_is_taken() -> None:
    """By versions and by aliases; the numbered version knows its own name."""
    table = registered(version("m", digest="1"), version("m-2", digest="2"))
    table = table.alias("m-3", "m")
    table, numbered = table.register(version("m", digest="3"))
    assert numbered.version == "m-4"
    assert table.get("m-4") is numbered
    assert table.free_name("new") == "new"


@pytest.mark.parametrize(
    ("before", "to", "said"),
    [
        (Lifecycle.ARCHIVED, Lifecycle.DEPRECATED, "m is archived: it can become active, not deprecated"),
        (Lifecycle.DRAFT, Lifecycle.DEPRECATED, "m is draft: it can become active, archived, not deprecated"),
        (Lifecycle.ACTIVE, Lifecycle.ARCHIVED, "m is active: it can become deprecated, not archived"),
    ],
)
def test_a_refused_move_says_what_is_allowed(before: Lifecycle, to: Lifecycle, said: str) -> None:
    """The state it is in, every state that it can take, and the one that was asked for."""
    with pytest.raises(Refused) as caught:
        registered(version("m", lifecycle=before)).move("m", to)
    assert str(caught.value) == said


def test_a_move_and_a_pin_find_their_version_by_its_alias() -> None:
    """The version behind the name changes, not an entry of that name."""
    table = registered(version("m")).alias("champion", "m")
    moved = table.move("champion", Lifecycle.DEPRECATED).pin("champion", True)
    assert list(moved.versions) == ["m"]
    assert (moved.get("m").lifecycle, moved.get("m").pinned) == (Lifecycle.DEPRECATED, True)


def test_an_unknown_name_is_an_unknown_model() -> None:
    """The details carry kind, name and neighbours, aliases among them."""
    table = registered(version("smollm2")).alias("champion", "smollm2")
    with pytest.raises(UnknownName) as caught:
        table.get("champoin")
    assert caught.value.details == {"kind": "model", "name": "champoin", "nearest": ["champion"]}
    with pytest.raises(UnknownName):
        table.alias("best", "nobody")


def test_a_query_for_all_that_a_version_can_finds_it() -> None:
    """Exactly the capabilities that are asked for are enough."""
    table = registered(version("m", capabilities=frozenset({"text-generation", "code"})))
    assert [v.version for v in table.query(capabilities=["code", "text-generation"])] == ["m"]


def test_a_refused_name_says_what_names_are() -> None:
    """The pattern and the name, for versions; the reason, for aliases."""
    with pytest.raises(Refused, match=r"^version name 'a b' must match \^\[A-Za-z0-9\._-\]\{1,128\}\$$"):
        Registry().register(version("a b"))
    with pytest.raises(Refused, match=r"^'m' can't be an alias"):
        registered(version("m")).alias("m", "m")
