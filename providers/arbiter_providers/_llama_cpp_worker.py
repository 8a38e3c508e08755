"""The child process around llama-cpp-python: one model, one request at a time, messages over pipes.

Owns: tokens, sampling, cancellation between tokens and between batches of the prompt. Never: a socket; the choice of
what to serve.

In : {do: generate|embed, id, ...}, {do: cancel, id}, {do: ping, id}
Out: {event: text|done|vectors|error|pong, id, ...}
"""

from __future__ import annotations

import codecs
import ctypes
import json
import sys
import time
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

from arbiter_providers._stops import StopFilter
from arbiter_providers._worker import Channel, open_channel

_BATCH = 512
_PASSED_ON = ("top_k", "min_p", "typical_p", "repeat_penalty", "frequency_penalty", "presence_penalty")
Job = dict[str, Any]


class Refusal(Exception):
    """A request that can't be done; ``code`` is an ArbiterError's code."""

    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code, self.details = code, details


class Inbox:
    """Jobs in order of arrival; a cancellation overtakes them, whether its job waits or runs."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._open: set[int] = set()
        self._cancelled: set[int] = set()

    def receive(self, message: Job) -> None:
        """On the listening thread."""
        match message["do"]:
            case "ping":
                self._channel.send({"event": "pong", "id": message["id"]})
            case "cancel":
                if message["id"] in self._open:
                    self._cancelled.add(message["id"])
            case _:
                self._open.add(message["id"])
                self._jobs.put(message)

    def next(self) -> Job:
        return self._jobs.get()

    def cancelled(self, job: Job) -> bool:
        return job["id"] in self._cancelled

    def close(self, job: Job) -> None:
        self._open.discard(job["id"])
        self._cancelled.discard(job["id"])


class Engine:
    """The loaded model."""

    def __init__(self, given: Job) -> None:
        import llama_cpp  # here, not above: the lifeline must hold before a slow import starts

        self._lib: Any = llama_cpp
        threads = given["threads"]
        self.model: Any = llama_cpp.Llama(
            given["path"], n_ctx=given["context"], n_batch=_BATCH, n_ubatch=_BATCH, n_threads=threads,
            n_threads_batch=threads, n_gpu_layers=-1 if given["gpu_layers"] is None else given["gpu_layers"],
            verbose=True,  # what it says while loading goes to the log ring; afterwards it would talk at every answer
        )  # fmt: skip
        self.model.verbose = False
        llama_cpp._logger.set_verbose(False)
        self._vocab = self.model._model.vocab
        self._piece = ctypes.create_string_buffer(512)
        self._template = self._formatter()

    def backend(self) -> str:
        """CPU, Metal, CUDA ...: the first device that the engine's own description names beside the CPU."""
        if not self._lib.llama_supports_gpu_offload():
            return "CPU"
        told = self._lib.llama_print_system_info().decode()
        names = [part.split(":")[0].strip() for part in told.split("|") if ":" in part]
        return next((n for n in names if n and n != "CPU"), "GPU")

    def tokens_of(self, job: Job) -> list[int]:
        """The prompt's tokens; conversations go through the model's template, if it has one."""
        if job["messages"] and self._template is not None:
            text = self._template(messages=job["messages"]).prompt
            return self._tokens(text, add_bos=False, special=True)
        return self._tokens(job["prompt"], add_bos=True, special=not job["plain"])

    def prefill(self, tokens: list[int]) -> Iterator[int]:
        """Evaluate the prompt in batches, reusing the common start with the last one; yields the reused count first."""
        model = self.model
        known = model._input_ids[: model.n_tokens].tolist()
        same = next(
            (i for i, (a, b) in enumerate(zip(known, tokens, strict=False)) if a != b), min(len(known), len(tokens))
        )
        same = min(same, len(tokens) - 1)  # at least one token is evaluated: sampling needs its logits
        if same <= 0 or not model._ctx.kv_cache_seq_rm(-1, same, -1):
            self._forget()
            same = 0
        model.n_tokens = same
        yield same
        for start in range(same, len(tokens), _BATCH):
            model.eval(tokens[start : start + _BATCH])
            yield len(tokens) - start

    def sample(self, job: Job, tokens: list[int]) -> Iterator[int]:
        """Tokens after an evaluated prompt, without end."""
        self.model.set_seed(self._lib.LLAMA_DEFAULT_SEED if job["seed"] is None else job["seed"] & 0xFFFFFFFF)
        options = {k: job["extra"][k] for k in _PASSED_ON if k in job["extra"]}
        generated: Iterator[int] = self.model.generate(
            tokens, temp=job["temperature"], top_p=job["top_p"], grammar=self._grammar(job), **options
        )
        return generated

    def ends(self, token: int) -> bool:
        return bool(self._lib.llama_vocab_is_eog(self._vocab, token))

    def piece(self, token: int) -> bytes:
        n = self._lib.llama_token_to_piece(self._vocab, token, self._piece, len(self._piece), 0, False)
        return self._piece.raw[: max(0, n)]

    def logprobs(self, token: int, top: int) -> list[Any]:
        """[text, log-probability, [[text, log-probability] ...]] of a token from the logits it was sampled from."""
        import numpy

        logits = numpy.ctypeslib.as_array(
            self._lib.llama_get_logits_ith(self.model._ctx.ctx, -1), shape=(self.model.n_vocab(),)
        )
        peak = logits.max()
        level = float(peak + numpy.log(numpy.exp(logits - peak).sum()))
        best = numpy.argsort(-logits)[:top] if top else ()
        alternatives = [[self._text(int(i)), float(logits[i]) - level] for i in best]
        return [self._text(token), float(logits[token]) - level, alternatives]

    def embed(self, text: str) -> list[float]:
        """The mean of the tokens' vectors, of length 1."""
        import numpy

        tokens = self._tokens(text, add_bos=True, special=False)
        if len(tokens) > min(_BATCH, self.model.n_ctx()):
            raise Refusal("context_overflow", f"a text has {len(tokens)} tokens, at most {_BATCH} can be embedded")
        context = self.model._ctx
        self._forget()
        self._lib.llama_set_embeddings(context.ctx, True)
        try:
            self.model._batch.set_batch(batch=tokens, n_past=0, logits_all=True)
            context.decode(self.model._batch)
            pooled = self._lib.llama_get_embeddings_seq(context.ctx, 0)
            rows, width = (1, self.model.n_embd()) if pooled else (len(tokens), self.model.n_embd())
            flat = numpy.ctypeslib.as_array(
                pooled or self._lib.llama_get_embeddings(context.ctx), shape=(rows * width,)
            )
            mean = flat.reshape(rows, width).mean(axis=0)
        finally:
            self._lib.llama_set_embeddings(context.ctx, False)
            self._forget()
        vector: list[float] = (mean / (numpy.linalg.norm(mean) or 1.0)).tolist()
        return vector

    def _tokens(self, text: str, *, add_bos: bool, special: bool) -> list[int]:
        tokens: list[int] = self.model.tokenize(text.encode(), add_bos=add_bos, special=special)
        return tokens

    def _forget(self) -> None:
        self.model.reset()
        self.model._ctx.kv_cache_clear()

    def _text(self, token: int) -> str:
        return self.piece(token).decode("utf-8", "replace")

    def _formatter(self) -> Any:
        template = self.model.metadata.get("tokenizer.chat_template")
        if not template:
            return None
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        def text(token: int) -> str:
            return self._lib.llama_vocab_get_text(self._vocab, token).decode() if token >= 0 else ""

        return Jinja2ChatFormatter(template, text(self.model.token_eos()), text(self.model.token_bos()))

    def _grammar(self, job: Job) -> Any:
        """The engine's grammar, or None. Checked first: its sampler would crash on one that can't be parsed."""
        from llama_cpp.llama_grammar import LlamaGrammar, json_schema_to_gbnf

        text = job["grammar"]
        if job["json_schema"] is not None:
            try:
                text = json_schema_to_gbnf(json.dumps(job["json_schema"]))
            except Exception as error:  # the converter raises whatever the schema makes it trip over
                raise Refusal("invalid_request", f"the JSON schema can't be used: {error!r}") from error
        if text is None:
            return None
        sampler = self._lib.llama_sampler_init_grammar(self._vocab, text.encode(), b"root")
        if not sampler:
            raise Refusal("invalid_request", "the grammar can't be parsed")
        self._lib.llama_sampler_free(sampler)
        return LlamaGrammar.from_string(text, verbose=False)


def generate(engine: Engine, inbox: Inbox, channel: Channel, job: Job) -> None:
    """One answer: text messages, then done."""
    tokens = engine.tokens_of(job)
    limit = engine.model.n_ctx()
    if len(tokens) >= limit:
        raise Refusal(
            "context_overflow", f"the prompt has {len(tokens)} tokens, the context holds {limit}",
            tokens=len(tokens), context=limit,
        )  # fmt: skip
    started = time.perf_counter()
    steps = engine.prefill(tokens)
    reused = next(steps)
    for _ in steps:
        if inbox.cancelled(job):
            return
    prompt_s = time.perf_counter() - started
    writer = _Writer(engine, channel, job)
    reason = "length"
    for token in engine.sample(job, tokens) if job["max_tokens"] > 0 else ():
        if inbox.cancelled(job):
            return
        if engine.ends(token):
            reason = "stop"
            break
        if writer.add(token):
            reason = "stop"
            break
        if writer.count >= job["max_tokens"] or len(tokens) + writer.count >= limit:
            break
    writer.finish(reason == "stop")
    usage = {
        "tokens_in": len(tokens), "tokens_out": writer.count, "tokens_cached": reused, "prompt_s": prompt_s,
        "decode_s": time.perf_counter() - started - prompt_s,
    }  # fmt: skip
    channel.send({"event": "done", "id": job["id"], "finish": reason, "usage": usage})


class _Writer:
    """Tokens -> text messages: whole characters only, stop sequences never shown."""

    def __init__(self, engine: Engine, channel: Channel, job: Job) -> None:
        self._engine, self._channel, self._job = engine, channel, job
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._filter = StopFilter(job["stop"], strip_start=job["plain"])
        self._logprobs: list[Any] = []
        self.count = 0

    def add(self, token: int) -> bool:
        """True when a stop sequence was reached."""
        self.count += 1
        if self._job["logprobs"] is not None:
            self._logprobs.append(self._engine.logprobs(token, self._job["logprobs"]))
        self._send(self._filter.feed(self._decoder.decode(self._engine.piece(token))))
        return self._filter.stopped

    def finish(self, stopped: bool) -> None:
        if not self._filter.stopped:
            rest = self._filter.feed(self._decoder.decode(b"", final=not stopped))
            self._send(rest + self._filter.finish())

    def _send(self, text: str) -> None:
        if text:
            self._channel.send({"event": "text", "id": self._job["id"], "text": text, "logprobs": self._logprobs})
            self._logprobs = []


def work(engine: Engine, inbox: Inbox, channel: Channel, job: Job) -> None:
    """One job; its failure is its own message and ends nothing else."""
    try:
        if inbox.cancelled(job):
            return
        if job["do"] == "embed":
            rows = [engine.embed(text) for text in job["texts"]]
            channel.send({"event": "vectors", "id": job["id"], "rows": rows})
        else:
            generate(engine, inbox, channel, job)
    except Refusal as error:
        _refuse(channel, job, error.code, str(error), error.details)
    except Exception as error:  # engine and template code raise anything; the request must hear of it
        print(f"request {job['id']}: {error!r}", file=sys.stderr, flush=True)
        _refuse(channel, job, "provider_error", str(error) or repr(error), {})
    finally:
        inbox.close(job)


def _refuse(channel: Channel, job: Job, code: str, message: str, details: Job) -> None:
    channel.send({"event": "error", "id": job["id"], "code": code, "message": message, "details": details})


def main() -> None:
    channel = open_channel(int(sys.argv[1]))
    given = channel.parameters()
    inbox = Inbox(channel)
    channel.listen(inbox.receive)
    started = time.perf_counter()
    try:
        engine = Engine(given)
    except ImportError as error:
        channel.send({"event": "failed", "message": f"llama-cpp-python is not installed ({error})"})
        return
    except (RuntimeError, ValueError, OSError, MemoryError) as error:
        channel.send({"event": "failed", "message": str(error)})
        return
    channel.send({"event": "ready", "backend": engine.backend(), "load_s": time.perf_counter() - started})
    while True:
        work(engine, inbox, channel, inbox.next())


if __name__ == "__main__":
    main()
