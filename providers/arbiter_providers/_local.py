"""What both embedded runtimes know about a model file on this disk.

Owns: GGUF file -> draft ModelVersion, its digest (cached by path, size and mtime), its predicted size, and the load
settings. Never: a process.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil

from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.errors import ModelUnusable

from ._options import flag, number, positive, whole
from ._options import known as check_known
from .embedded import EmbeddedModel, cache_folder, installed_models
from .gguf import GgufHeader, read_header

MIB = 1024 * 1024
DEFAULT_CONTEXT = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A provider block's options, checked. ``context``: tokens per request; ``threads``: None = physical cores;
    ``model_dirs``: folders below which a relative source is looked for."""

    context: int = DEFAULT_CONTEXT
    parallel: int = 4
    threads: int | None = None
    gpu_layers: int | None = None  # None = all that the build can place on a GPU
    hang_timeout_s: float = 15.0
    prompt_cache_mib: int = 0
    warmup: bool = False  # the pool's probe generation warms the model anyway
    embedded: bool = True
    model_dirs: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Settings:
        """Raises ValueError for an option that there isn't, or of a wrong kind."""
        check_known(options, tuple(cls.__dataclass_fields__))
        for name in ("context", "parallel", "threads"):
            positive(options.get(name), name)
        for name in ("gpu_layers", "prompt_cache_mib"):
            whole(options.get(name), name)
        for name in ("warmup", "embedded"):
            flag(options.get(name), name, False)
        number(options.get("hang_timeout_s"), "hang_timeout_s")
        return cls(**{k: v for k, v in options.items() if v is not None})

    def with_options(self, options: Mapping[str, Any]) -> Settings:
        """These, with one version's own options on top."""
        return replace(self, **{k: v for k, v in options.items() if k in self.__dataclass_fields__})

    def thread_count(self) -> int:
        return self.threads or physical_cores()


def physical_cores() -> int:
    """Cores that decode: physical ones (two threads on one core only get in each other's way), of those we may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))


def header(source: str) -> GgufHeader:
    """The checked header of a file. Raises ModelUnusable. Blocking."""
    path = Path(source).expanduser()
    try:
        status = path.stat()
    except OSError:
        return read_header(path)  # says what is wrong
    return _header(str(path), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _header(path: str, size: int, mtime_ns: int) -> GgufHeader:
    return read_header(Path(path))


def located(source: str, folders: Sequence[str]) -> Path:
    """The absolute path of ``source``: a relative one below ``folders``, in their order, else in the working folder.

    Raises ModelUnusable that names the folders. Blocking.
    """
    path = Path(source).expanduser()
    if path.is_absolute():
        return path
    places = [*(Path(f) for f in folders), Path.cwd()]
    for place in places:
        if (place / path).exists():
            return (place / path).absolute()
    raise ModelUnusable(f"{source} is in none of {', '.join(map(str, places))} ([pool] model_dirs, the working folder)")


def describe(source: str, *, provider: str, suffix: str, settings: Settings) -> ModelVersion:
    """The draft version of a GGUF file. Raises ModelUnusable. Blocking: hashes the file the first time."""
    path = located(source, settings.model_dirs)
    head = header(str(path))
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-.").lower() or "model"
    context = min(settings.context, head.trained_context or settings.context)
    return ModelVersion(
        version=f"{stem[:100]}.{suffix}", provider=provider, model=stem[:100], source=str(path), digest=digest(path),
        quantization=head.quantization, family=head.architecture, parameters=head.parameters,
        file_bytes=head.file_bytes, context=context, parallel=settings.parallel, licence=head.licence,
        capabilities=frozenset({"text-generation", "embeddings"} | ({"chat"} if head.chat_template else set())),
    )  # fmt: skip


def embedded_versions(*, provider: str, suffix: str, settings: Settings) -> list[ModelVersion]:
    """Draft versions of the installed embedded models; one that can't be used is left out. Blocking."""
    if not settings.embedded:
        return []
    found: list[ModelVersion] = []
    for known, path in installed_models():
        with contextlib.suppress(ModelUnusable):  # listed only when usable; `inspect` of the path says why
            version = describe(str(path), provider=provider, suffix=suffix, settings=settings)
            found.append(_named(known, version, suffix))
    return found


def _named(known: EmbeddedModel, version: ModelVersion, suffix: str) -> ModelVersion:
    return replace(
        version, version=f"{known.name}.{suffix}", model=known.model, category=known.category, licence=known.licence,
        family=known.model.split("-")[0],
    )  # fmt: skip


def predicted_bytes(version: ModelVersion, *, engine_bytes: int, parallel: int, windowed: bool = True) -> int | None:
    """Weights + KV cache for every slot + compute buffers + the engine itself; None if the file can't tell.

    ``windowed``: the engine keeps only the window of layers with a sliding one.
    """
    try:
        head = header(version.source)
    except ModelUnusable:
        return None
    cache = head.kv_bytes(version.context or DEFAULT_CONTEXT, parallel, windowed=windowed)
    if cache is None:
        return None
    return head.file_bytes + cache + _compute_bytes(head) + engine_bytes


def _compute_bytes(head: GgufHeader) -> int:
    """Work buffers of one micro-batch of 512 tokens (activations of a few layers in f32), and the vocabulary's tables.

    The factors 4 and 200 fit what two models of very different vocabularies (49,152 and 262,144) were seen to use.
    """
    width = (head.number("embedding_length") or 0) + (head.number("feed_forward_length") or 0)
    return 512 * 4 * width * 4 + 200 * head.vocabulary


def digest(path: Path) -> str:
    """``sha256:<hex>`` of the file, from the cache when path, size and mtime are those of the last time."""
    status = path.stat()
    key = f"{path}|{status.st_size}|{status.st_mtime_ns}"
    index = cache_folder() / "digests.json"
    known = _read_index(index)
    if key not in known:
        with path.open("rb") as file:
            known[key] = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        _write_index(index, known)
    return known[key]


def _read_index(index: Path) -> dict[str, str]:
    try:
        found = json.loads(index.read_text())
    except (OSError, ValueError):
        return {}  # absent or damaged: it is only a cache
    return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}


def _write_index(index: Path, known: Mapping[str, str]) -> None:
    newest = dict(list(known.items())[-500:])
    with contextlib.suppress(OSError):  # a cache that can't be written only costs time at the next start
        index.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=index.parent, delete=False) as file:
            json.dump(newest, file)
        Path(file.name).replace(index)
