"""The registry's view: what is shown of a version, what registers it, and what is asked before a change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from canned import GEMMA, GEMMA_CPP, HEALTHY, SMOL, SMOL_CPP, model
from canned_states import EMPTY
from cockpit_seat import Seat, seat, with_model

from arbiter_tui.errors import EngineUnreachable, ModelUnusable
from arbiter_tui.tui.screens.confirm import Confirm
from arbiter_tui.tui.screens.explain import Reading
from arbiter_tui.tui.screens.registering import FoundSheet, RegisterSheet, completions
from arbiter_tui.tui.screens.registry import Registry
from arbiter_tui.tui.widgets.registry_table import Known, RegistryTable


def table(s: Seat) -> RegistryTable:
    return cast(Registry, s.app.screen).rows


@asynccontextmanager
async def opened(*snapshots: Any, cursor: str | None = None, **kw: Any) -> AsyncIterator[Seat]:
    async with seat(*snapshots, **kw) as s:
        for row in s.engine.registry:
            row["lifecycle"] = next(m.lifecycle for m in s.app.view.snapshot.models if m.version == row["version"])  # type: ignore[union-attr]
        await s.press("M")
        await s.until(lambda: isinstance(s.app.screen, Registry) and table(s).loaded)
        if cursor is not None:
            table(s).cursor = cursor
        await s.pilot.pause()
        yield s


async def test_every_version_stands_with_what_it_is() -> None:
    """Stage of life, provider, size, digest, licence; enter tells all."""
    async with opened() as s:
        text = s.screen_text()
        for word in ("● active", "llama_server", "98 M", "3c1d5e5e5e5e", "Apache-2.0", "4 versions"):
            assert word in text
        await s.press("enter")
        assert isinstance(s.app.screen, Reading)
        assert "/models/" in s.screen_text()


async def test_words_filter_and_o_sorts() -> None:
    """By any field; the cursor stays on its version."""
    async with opened(cursor=SMOL) as s:
        await s.press("slash", *"provider:llama_cpp", "enter")
        assert {k.version for k in table(s).items()} == {GEMMA_CPP, SMOL_CPP}
        await s.press("escape")
        table(s).cursor = SMOL
        await s.press("o", "o", "o")
        assert table(s).cursor == SMOL
        sizes = [k.data["file_bytes"] for k in table(s).items()]
        assert sizes == sorted(sizes, reverse=True)


async def test_activating_asks_and_is_said_when_a_snapshot_shows_it() -> None:
    """Cancel is the default."""
    async with opened(with_model(SMOL_CPP, lifecycle="draft"), cursor=SMOL_CPP) as s:
        await s.press("a")
        assert isinstance(s.app.screen, Confirm)
        await s.press("enter")
        assert not s.did("activate", SMOL_CPP)
        await s.press("a", "k", "enter")
        await s.until(lambda: s.did("activate", SMOL_CPP))
        assert s.notice.startswith("◐")
        await s.show(replace(with_model(SMOL_CPP, lifecycle="active"), revision=300))
        assert s.notice == f"✓ {SMOL_CPP} is active"


async def test_deprecating_asks_and_never_takes_who_serves() -> None:
    """A version that serves says what to do first; another one asks, and Cancel is the default."""
    async with opened(cursor=GEMMA) as s:
        await s.press("D")
        assert "swap that first" in s.notice
        table(s).cursor = SMOL_CPP
        await s.press("D", "enter")
        assert not s.did("deprecate", SMOL_CPP)
        await s.press("D", "k", "enter")
        await s.until(lambda: s.did("deprecate", SMOL_CPP))


async def test_p_pins_and_unpins() -> None:
    """What it is decides which of both; a snapshot proves it."""
    async with opened(cursor=GEMMA) as s:
        await s.press("p")
        await s.until(lambda: s.did("pin", GEMMA, False))
        await s.show(with_model(GEMMA, pinned=False))
        assert "no longer pinned" in s.notice
        table(s).cursor = SMOL
        await s.press("p")
        await s.until(lambda: s.did("pin", SMOL, True))


def test_completion_offers_folders_and_model_files(tmp_path: Path) -> None:
    """Folders first, hidden ones only when asked for, no other files; what can't be read offers nothing."""
    for name in ("models", ".cache", "more"):
        (tmp_path / name).mkdir()
    for name in ("mine.gguf", "mail.txt", "M2.GGUF"):
        (tmp_path / name).touch()
    at = f"{tmp_path}/"
    assert completions(at) == [f"{at}models/", f"{at}more/", f"{at}M2.GGUF", f"{at}mine.gguf"]
    assert completions(f"{at}mo") == [f"{at}models/", f"{at}more/"]
    assert completions(f"{at}.c") == [f"{at}.cache/"]
    assert completions(f"{at}nothing/here") == []


async def test_a_path_is_typed_with_completion_and_registered(tmp_path: Path) -> None:
    """Tab completes, enter opens a folder, enter on a file registers it; success waits for a snapshot."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.gguf").touch()
    async with opened() as s:
        s.app.local = True
        await s.press("n")
        sheet = cast(RegisterSheet, s.app.screen)
        sheet._type(f"{tmp_path}/m")
        await s.press("tab")
        assert sheet.wanted == f"{tmp_path}/models/"
        await s.press("enter")
        await s.until(lambda: s.did("register", "llama_server", f"{tmp_path}/models/mine.gguf"))
        assert s.notice.startswith("◐")
        more = replace(
            HEALTHY, revision=300, models=(*HEALTHY.models, model("mine-q4.llama-server", lifecycle="draft"))
        )
        await s.show(more)
        assert s.notice == "✓ registered as draft: mine-q4.llama-server; a activates it"


async def test_letters_belong_to_the_path_and_another_provider_is_chosen() -> None:
    """q and n are letters here; ctrl+t goes through the providers; escape registers nothing."""
    async with opened() as s:
        s.app.local = True
        await s.press("n", *"/nq")
        sheet = cast(RegisterSheet, s.app.screen)
        assert sheet.wanted == "/nq"
        await s.press("ctrl+t")
        assert sheet.chosen_provider == "llama_cpp"
        await s.press("escape")
        assert isinstance(s.app.screen, Registry)
        assert not [c for c in s.engine.calls if c[0] == "register"]


async def test_an_engine_elsewhere_is_told_the_path_as_it_is_there() -> None:
    """No folder of this machine is offered; the text goes as typed. ollama:NAME goes to Ollama."""
    async with opened() as s:
        await s.press("n")
        assert "The engine runs elsewhere" in s.screen_text()
        await s.press(*"~/x.gguf", "enter")
        await s.until(lambda: s.did("register", "llama_server", "~/x.gguf"))
        await s.press("n", *"ollama:phi", "enter")
        await s.until(lambda: s.did("register", "ollama", "ollama:phi"))


async def test_what_was_found_is_registered_where_it_is_ticked() -> None:
    """Nothing is ticked at first, what is registered already can't be; enter without a tick does nothing."""
    async with opened() as s:
        await s.press("d")
        await s.until(lambda: isinstance(s.app.screen, FoundSheet))
        await s.press("space", "enter")
        assert not [c for c in s.engine.calls if c[0] == "register"]
        await s.press("d")
        await s.until(lambda: isinstance(s.app.screen, FoundSheet))
        await s.press("j", "space")
        assert "[✓] qwen3" in s.screen_text()
        await s.press("enter")
        await s.until(lambda: s.did("register", "ollama", "ollama:qwen3:4b"))
        assert not s.did("register", "ollama", "ollama:phi")


async def test_a_refusal_is_said_and_a_known_file_too() -> None:
    """The engine's words; the same content again is no error."""
    async with opened() as s:
        s.engine.refuse["register"] = ModelUnusable("x.gguf is no GGUF file")
        await s.press("n", *"/x.gguf", "enter")
        await s.until(lambda: "x.gguf is no GGUF file" in s.notice)
        del s.engine.refuse["register"]
        await s.press("n", *"/known.gguf", "enter")
        await s.until(lambda: "already known as mine-q4.llama-server" in s.notice)


@pytest.mark.parametrize("key", ["n", "d", "a", "D", "p"])
async def test_a_cockpit_that_only_reads_changes_nothing(key: str) -> None:
    """Its line of keys offers no such key either."""
    async with opened(read_only=True) as s:
        await s.press(key)
        assert "only reads" in s.notice
        assert {a.id for a in cast(Registry, s.app.screen).shown_keys()} == {"record", "sort"}
        assert not [c for c in s.engine.calls if c[0] in ("register", "discover", "activate", "deprecate", "pin")]


async def test_nothing_registered_says_what_to_press() -> None:
    """The first run: n and d work, the others say why not."""
    async with seat(EMPTY) as s:
        s.engine.registry.clear()
        await s.press("M")
        await s.until(lambda: "Nothing is registered." in s.screen_text())
        await s.press("a")
        assert "nothing is selected" in s.notice


async def test_a_refused_list_is_told_and_a_lost_engine_leaves_what_was_known() -> None:
    """The reason stands where the versions would; afterwards they stay readable without the engine."""
    async with seat() as s:
        s.engine.refuse["models"] = EngineUnreachable("too busy")
        await s.press("M")
        await s.until(lambda: "too busy" in s.screen_text())
        del s.engine.refuse["models"]
        await s.show(replace(HEALTHY, revision=99))
        await s.until(lambda: table(s).loaded)
        s.engine.lose()
        await s.until(lambda: s.app.view.link == "gone")
        await s.press("n")
        assert "the engine does not answer" in s.notice
        assert "Apache-2.0" in s.screen_text()


async def test_what_a_model_does_asks_for_nothing() -> None:
    """Only a change of the table of versions does; nothing is repainted."""
    async with opened() as s:
        before, drawn = len([c for c in s.engine.calls if c[0] == "models"]), list[Any]()
        table(s).refresh = lambda *a, **k: drawn.append(a)  # type: ignore[method-assign, assignment]
        await s.show(with_model(SMOL, tokens_per_second=3.0))
        assert (len([c for c in s.engine.calls if c[0] == "models"]), drawn) == (before, [])


def test_a_version_of_another_engine_is_read_as_far_as_it_goes() -> None:
    """Missing is a dash, control characters stay out."""
    known = Known.of({"version": "a\x1b[2Jb", "pinned": "yes", "aliases": []})
    assert (known.version, known.pinned, known.size(), known.text("aliases")) == ("a [2Jb", False, "–", "–")
