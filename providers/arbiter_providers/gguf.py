"""Reads the header of a GGUF file: what the model is, and whether the file is whole.

Owns: the format's header (little endian, versions 2 and 3) and what follows from it: parameters, quantisation, the
size of the KV cache. Never: the weights themselves, any process, any cache on disk.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arbiter_tui.errors import ModelUnusable

from ._gguf_tables import BLOCKS, FILE_TYPES

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_LFS = b"version https://git-lfs"
_KEPT_ARRAY = 1024  # longer arrays are vocabularies: skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufHeader:
    """``metadata``: scalars and short arrays. ``weight_bytes``: of all tensors. ``vocabulary``: tokens or merges."""

    path: Path
    metadata: Mapping[str, Any]
    parameters: int
    weight_bytes: int
    file_bytes: int
    vocabulary: int

    @property
    def architecture(self) -> str | None:
        return self._text("general.architecture")

    @property
    def name(self) -> str | None:
        return self._text("general.name")

    @property
    def licence(self) -> str | None:
        return self._text("general.license")

    @property
    def quantization(self) -> str | None:
        return FILE_TYPES.get(self.metadata.get("general.file_type", -1))

    @property
    def chat_template(self) -> str | None:
        return self._text("tokenizer.chat_template")

    @property
    def trained_context(self) -> int | None:
        return self.number("context_length")

    def number(self, key: str) -> int | None:
        """``<architecture>.<key>`` as an integer (the largest, where it differs by layer)."""
        value = self.metadata.get(f"{self.architecture}.{key}")
        if isinstance(value, list):
            value = max((v for v in value if isinstance(v, int)), default=None)
        return int(value) if isinstance(value, int) else None

    def kv_bytes(self, context: int, parallel: int = 1, *, windowed: bool = True) -> int | None:
        """Bytes of the KV cache for ``parallel`` sequences of ``context`` tokens each; None if the header is silent.

        Layers with a sliding window keep only their window (padded by one micro-batch of 512 tokens) if the engine is
        told so (``windowed``). Keys and values are 2-byte floats.
        """
        layers, heads = self.number("block_count"), self.number("attention.head_count")
        width = self.number("embedding_length")
        if not layers or not heads or not width:
            return None
        kv_heads = self.number("attention.head_count_kv") or heads
        keys = self.number("attention.key_length") or width // heads
        values = self.number("attention.value_length") or width // heads
        per_token = kv_heads * (keys + values) * 2
        window = self.number("attention.sliding_window")
        if not windowed or not window or self.architecture not in _FULL_LAYER_EVERY:
            return layers * per_token * context * parallel
        full = layers // _FULL_LAYER_EVERY[self.architecture]
        short = min(context, window + 512)
        return per_token * parallel * (full * context + (layers - full) * short)

    def _text(self, key: str) -> str | None:
        value = self.metadata.get(key)
        return value if isinstance(value, str) and value else None


# Of how many layers one looks at the whole context, by architecture (llama-model.cpp, n_swa patterns).
_FULL_LAYER_EVERY = {"gemma2": 2, "gemma3": 6, "gemma3n": 5, "cohere2": 4, "gpt-oss": 2}


class _Cursor:
    """A position in the mapped file; reading past the end raises ``struct.error``, which means: truncated."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at = data, 0
        self.strings = 0  # entries of the longest array of strings

    def scalar(self, form: str) -> Any:
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def skip(self, n: int) -> None:
        self.at += n
        if self.at > len(self.data):
            raise struct.error("beyond the end")

    def string(self) -> str:
        size = self.scalar("<Q")
        start = self.at
        self.skip(size)
        return self.data[start : self.at].decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            return self._array()
        if kind not in _SCALARS:
            raise ValueError(f"unknown value type {kind}")
        return self.scalar(_SCALARS[kind])

    def _array(self) -> list[Any] | None:
        kind, count = self.scalar("<I"), self.scalar("<Q")
        self.strings = max(self.strings, count if kind == _STRING else 0)
        if count <= _KEPT_ARRAY:
            return [self.value(kind) for _ in range(count)]
        if kind in _SCALARS:
            self.skip(struct.calcsize(_SCALARS[kind]) * count)
        elif kind == _STRING:
            self._skip_strings(count)
        else:
            raise ValueError(f"array of type {kind}")
        return None

    def _skip_strings(self, count: int) -> None:
        """The hot loop: vocabularies hold a quarter of a million strings."""
        data, at, size_of, end = self.data, self.at, struct.Struct("<Q").unpack_from, len(self.data)
        for _ in range(count):
            at += size_of(data, at)[0] + 8
            if at > end:
                raise struct.error("beyond the end")
        self.at = at


def read_header(path: Path) -> GgufHeader:
    """Read and check ``path``. Blocking (a few ms; 50-100 ms for very large vocabularies).

    Raises ModelUnusable with a sentence: missing, a git-lfs pointer, not GGUF, of an unknown version, truncated.
    """
    try:
        with path.open("rb") as file:
            start = file.read(64)
            _check_start(path, start)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _parse(path, data)
    except FileNotFoundError:
        raise ModelUnusable(f"{path} does not exist") from None
    except IsADirectoryError:
        raise ModelUnusable(f"{path} is a folder, not a GGUF file") from None
    except OSError as error:
        raise ModelUnusable(f"{path} can't be read: {error.strerror or error}") from error
    except (struct.error, OverflowError, MemoryError) as error:
        raise ModelUnusable(f"{path} is truncated: its header is cut off") from error
    except ValueError as error:
        raise ModelUnusable(f"{path} is damaged: {error}") from error


def _check_start(path: Path, start: bytes) -> None:
    if start.startswith(_LFS):
        raise ModelUnusable(f"{path} is a git-lfs pointer, not the model itself: run `git lfs pull` in its folder")
    if not start:
        raise ModelUnusable(f"{path} is empty")
    if not start.startswith(b"GGUF"):
        raise ModelUnusable(f"{path} is not a GGUF file")


def _parse(path: Path, data: mmap.mmap) -> GgufHeader:
    cursor = _Cursor(data)
    cursor.skip(4)
    version = cursor.scalar("<I")
    if version not in (2, 3):
        raise ModelUnusable(f"{path} is GGUF version {version}; versions 2 and 3 are supported")
    tensors, pairs = cursor.scalar("<Q"), cursor.scalar("<Q")
    metadata: dict[str, Any] = {}
    for _ in range(pairs):
        key = cursor.string()
        value = cursor.value(cursor.scalar("<I"))
        if value is not None:
            metadata[key] = value
    parameters, weight_bytes, last = _tensors(cursor, tensors)
    align = metadata.get("general.alignment", 32)
    if not isinstance(align, int) or align <= 0:
        raise ValueError(f"alignment {align!r}")
    need = -(-cursor.at // align) * align + last
    if need > len(data):
        raise ModelUnusable(f"{path} is truncated: it should have {need:,} bytes and has {len(data):,}")
    if tensors == 0:
        raise ModelUnusable(f"{path} holds no tensors (a vocabulary only?)")
    return GgufHeader(
        path=path, metadata=metadata, parameters=parameters, weight_bytes=weight_bytes, file_bytes=len(data),
        vocabulary=cursor.strings,
    )  # fmt: skip


def _tensors(cursor: _Cursor, count: int) -> tuple[int, int, int]:
    """(elements, bytes, end of the last tensor's data) of all tensors."""
    parameters, weight_bytes, last = 0, 0, 0
    for _ in range(count):
        cursor.string()
        elements = 1
        for _ in range(cursor.scalar("<I")):
            elements *= cursor.scalar("<Q")
        kind, offset = cursor.scalar("<I"), cursor.scalar("<Q")
        per_block, block_bytes = BLOCKS.get(kind, (1, 0))  # an unknown type: only its offset is checked
        size = elements // per_block * block_bytes
        parameters, weight_bytes, last = parameters + elements, weight_bytes + size, max(last, offset + size)
    return parameters, weight_bytes, last
