"""What a preset means for each known server: how many requests at once, and the flags that make it so.

Owns: the vendors' flags (llama-server's and mlx_lm.server's ``--help``, vLLM's engine arguments and its guide to
optimisation). Never: overrides a flag that the user's command already has. Untested on hardware: vLLM, mlx_lm.server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from arbiter_tui.core.registry import ModelVersion

PRESETS: Mapping[str, int] = {"latency": 1, "balanced": 4, "throughput": 16}  # requests at once
PLACEHOLDERS = ("source", "host", "port", "context", "context_all", "parallel")
_OF_ONE = {"tensor_parallel": "vllm", "pipeline_parallel": "vllm", "ray_address": "vllm", "rpc": "llama-server"}
# Tokens that one step of vLLM works on: its guide takes 2048 for short times between tokens, 8192 for throughput.
_VLLM_BATCH = {"latency": "2048", "throughput": "8192"}


def program(command: Sequence[str]) -> str:
    """llama-server, vllm, mlx_lm.server, or what the command is called."""
    name = Path(command[0]).name
    words = {name, *(Path(part).name for part in command[1:3])}
    return next((known for known in ("llama-server", "vllm", "mlx_lm.server") if known in words), name)


def for_program(command: Sequence[str], options: Mapping[str, object]) -> None:
    """Options of one program alone must not pass in silence with another. Raises ValueError."""
    for name, wanted in _OF_ONE.items():
        if options.get(name) and program(command) != wanted:
            told = f"{name} is for {wanted}; this command is {program(command)}"
            raise ValueError(f"{told}: say it among the command's own words")


def preset_flags(
    command: Sequence[str], preset: str, *, tensor: int | None, pipeline: int | None, rpc: Sequence[str]
) -> list[str]:
    """Flags to append to ``command``, with placeholders: those that it does not have itself."""
    match program(command):
        case "llama-server":
            wanted = {"--parallel": "{parallel}", "--ctx-size": "{context_all}", "--host": "{host}"}
            also = {"--parallel": ("-np",), "--ctx-size": ("-c",)}
            if rpc:
                wanted["--rpc"] = ",".join(rpc)
        case "vllm":
            wanted = {"--max-num-seqs": "{parallel}", "--max-model-len": "{context}", "--host": "{host}"}
            also = {}
            if preset in _VLLM_BATCH:
                wanted["--max-num-batched-tokens"] = _VLLM_BATCH[preset]
            if tensor is not None:
                wanted["--tensor-parallel-size"], also["--tensor-parallel-size"] = str(tensor), ("-tp",)
            if pipeline is not None:
                wanted["--pipeline-parallel-size"], also["--pipeline-parallel-size"] = str(pipeline), ("-pp",)
        case "mlx_lm.server":
            wanted, also = {"--decode-concurrency": "{parallel}", "--host": "{host}"}, {}
        case _:
            wanted, also = {}, {}
    has = {part.split("=", 1)[0] for part in command}
    flags: list[str] = []
    for flag, value in wanted.items():
        if not has & {flag, *also.get(flag, ())}:
            flags += [flag, value]
    return flags


def filled(command: Sequence[str], version: ModelVersion, *, host: str, port: int, context: int) -> list[str]:
    """The command for one version: every placeholder by its value."""
    size = version.context or context
    values = {
        "source": version.source, "host": host, "port": str(port), "context": str(size),
        "context_all": str(size * version.parallel), "parallel": str(version.parallel),
    }  # fmt: skip
    return [_fill(part, values) for part in command]


def _fill(part: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        part = part.replace("{" + name + "}", value)
    return part
