"""The model endpoints of the three dialects in the OpenAPI document: what they take, and what comes back.

Owns: their paths, bodies and answers as schemas. Never: a check (openai_in.py, ollama_in.py, anthropic_in.py do it).

Only what is understood here is described; further fields pass on to the runtime, so every body allows them. The
makers of the dialects describe the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .fields import MAX_INPUTS, MAX_STOPS, MAX_TOKENS, MAX_TOP_LOGPROBS

Schema = Mapping[str, Any]
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
OBJECT: Schema = {"type": "object"}
NAME: Schema = {"type": "string", "maxLength": 256, "description": "a version, an alias, or arbiter/TASK"}
COUNT: Schema = {"type": "integer", "minimum": 1, "maximum": MAX_TOKENS}
STOPS: Schema = {"anyOf": [TEXT, {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": MAX_STOPS}]}
KEEP: Schema = {"anyOf": [{"type": "number"}, TEXT], "description": 'seconds, or "5m"; below 0 for ever'}
TEXTS: Schema = {"anyOf": [TEXT, {"type": "array", "items": TEXT, "maxItems": MAX_INPUTS}]}
TOOL: Schema = {
    "type": "object", "required": ["type", "function"],
    "properties": {"type": {"const": "function"}, "function": {
        "type": "object", "required": ["name"], "properties": {"name": {"type": "string", "minLength": 1}},
    }},
}  # fmt: skip
SAMPLING: Schema = {
    "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    "top_p": {"type": "number", "minimum": 0, "maximum": 1},
    "seed": {"type": "integer"},
}  # fmt: skip
COMMON: Schema = {
    "model": NAME, "stream": FLAG, "stream_options": {"type": "object", "properties": {"include_usage": FLAG}},
    "max_tokens": COUNT, "max_completion_tokens": COUNT, **SAMPLING, "stop": STOPS, "n": {"const": 1},
    "response_format": OBJECT, "keep_alive": KEEP,
}  # fmt: skip


def _message(roles: tuple[str, ...] = ()) -> Schema:
    role = {"enum": list(roles)} if roles else {"type": "string", "minLength": 1}
    return {"type": "object", "required": ["role", "content"], "properties": {"role": role, "content": TEXT}}


def _messages(roles: tuple[str, ...] = ()) -> Schema:
    return {"type": "array", "minItems": 1, "items": _message(roles)}


# Path -> what it does, the fields of its body, those that must be there, and its error's schema.
BODIES: Mapping[str, tuple[str, Schema, tuple[str, ...], str]] = {
    "/v1/chat/completions": (
        "OpenAI: a chat answer, whole or streamed",
        {**COMMON, "messages": _messages(), "tools": {"type": "array", "items": TOOL}, "logprobs": FLAG,
         "top_logprobs": {"type": "integer", "minimum": 0, "maximum": MAX_TOP_LOGPROBS}, "tool_choice": {}},
        ("messages",), "OpenAIError"),
    "/v1/completions": (
        "OpenAI: a text goes on, whole or streamed",
        {**COMMON, "prompt": TEXT, "logprobs": {"type": "integer", "minimum": 0, "maximum": MAX_TOP_LOGPROBS}},
        ("prompt",), "OpenAIError"),
    "/v1/responses": (
        "OpenAI: a response; nothing is kept",
        {"model": NAME, "input": {"anyOf": [TEXT, {"type": "array", "items": _message(), "minItems": 1}]},
         "instructions": TEXT, "stream": FLAG, "max_output_tokens": COUNT, **SAMPLING, "keep_alive": KEEP},
        ("input",), "OpenAIError"),
    "/v1/embeddings": (
        "OpenAI: a vector for each text",
        {"model": NAME, "input": TEXTS, "encoding_format": {"enum": ["float", "base64"]}, "keep_alive": KEEP,
         "dimensions": {"type": "integer", "minimum": 1}},
        ("input",), "OpenAIError"),
    "/v1/messages": (
        "Anthropic: a message, whole or streamed",
        {"model": NAME, "messages": _messages(("user", "assistant")), "max_tokens": COUNT, "system": TEXT,
         "stream": FLAG, "stop_sequences": STOPS, "temperature": {"type": "number", "minimum": 0, "maximum": 1},
         "top_p": SAMPLING["top_p"], "tools": {"type": "array", "items": OBJECT}, "keep_alive": KEEP},
        ("messages", "max_tokens"), "AnthropicError"),
    "/v1/messages/count_tokens": (
        "Anthropic: an estimate of a question's tokens",
        {"model": NAME, "messages": _messages(("user", "assistant")), "system": TEXT}, ("messages",), "AnthropicError"),
    "/api/chat": (
        "Ollama: a chat answer in lines, unless stream is false; without messages it loads",
        {"model": NAME, "messages": {"type": "array", "items": _message()}, "stream": FLAG, "options": OBJECT,
         "format": {}, "keep_alive": KEEP, "tools": {"type": "array", "items": TOOL}, "think": {"const": False}},
        ("model",), "OllamaError"),
    "/api/generate": (
        "Ollama: an answer to a prompt in lines, unless stream is false; without a prompt it loads",
        {"model": NAME, "prompt": TEXT, "system": TEXT, "raw": FLAG, "stream": FLAG, "options": OBJECT, "format": {},
         "keep_alive": KEEP},
        ("model",), "OllamaError"),
    "/api/embed": ("Ollama: a vector for each text", {"model": NAME, "input": TEXTS, "keep_alive": KEEP,
                   "dimensions": {"type": "integer", "minimum": 1}}, ("model",), "OllamaError"),
    "/api/embeddings": ("Ollama: the older form, one text", {"model": NAME, "prompt": TEXT, "keep_alive": KEEP},
                        ("model",), "OllamaError"),
    "/api/show": ("Ollama: what is known of a model", {"model": NAME}, ("model",), "OllamaError"),
}  # fmt: skip
LISTS: Mapping[str, tuple[str, str]] = {
    "/v1/models": ("OpenAI: tasks, aliases, versions", "OpenAIError"),
    "/api/tags": ("Ollama: tasks, aliases, versions", "OllamaError"),
    "/api/ps": ("Ollama: what is loaded", "OllamaError"),
    "/api/version": ("Ollama: the version that its clients look for", "OllamaError"),
}
STREAMS = {"/api/chat": "application/x-ndjson", "/api/generate": "application/x-ndjson"}
SCHEMAS: Mapping[str, Schema] = {
    "OpenAIError": {"type": "object", "required": ["error"], "properties": {"error": {
        "type": "object", "required": ["message", "type", "param", "code"],
        "properties": {"message": TEXT, "type": TEXT, "param": {"type": ["string", "null"]}, "code": TEXT},
    }}},
    "OllamaError": {"type": "object", "required": ["error"], "properties": {"error": TEXT}},
    "AnthropicError": {"type": "object", "required": ["type", "error"], "properties": {
        "type": {"const": "error"},
        "error": {"type": "object", "required": ["type", "message"], "properties": {"type": TEXT, "message": TEXT}},
    }},
}  # fmt: skip


def paths() -> dict[str, Any]:
    """Their part of the document's ``paths``."""
    asking = {path: {"post": _post(path, *told)} for path, told in BODIES.items()}
    lists = {path: {"get": _operation(path, what, error, "get")} for path, (what, error) in LISTS.items()}
    return {**asking, **lists}


def _post(path: str, what: str, fields: Schema, required: tuple[str, ...], error: str) -> dict[str, Any]:
    body = {"type": "object", "properties": dict(fields), "required": list(required), "additionalProperties": True}
    return {
        **_operation(path, what, error, "post"),
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
    }


def _operation(path: str, what: str, error: str, method: str) -> dict[str, Any]:
    """A stream's media type stands beside the whole answer's."""
    answers: dict[str, Any] = {"application/json": {"schema": OBJECT}}
    if method == "post" and "embed" not in path and path not in ("/api/show", "/v1/messages/count_tokens"):
        answers[STREAMS.get(path, "text/event-stream")] = {"schema": TEXT}
    wrong = {"application/json": {"schema": {"$ref": f"#/components/schemas/{error}"}}}
    return {
        "summary": what, "operationId": method + path.replace("/", "_"),
        "responses": {
            "200": {"description": "The answer", "content": answers},
            "default": {"description": "What went wrong, in the dialect", "content": wrong},
        },
    }  # fmt: skip
