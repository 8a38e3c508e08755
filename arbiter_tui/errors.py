"""Every error that arbiter raises on purpose, as one tree.

::

    ArbiterError                    .code, .retry_after_s, .details; str() is a sentence for a person
    ├── ConfigError                 the configuration file: names file, key, value, nearest valid key
    ├── UnknownName                 no such model / task / alias / swap; carries the nearest valid ones
    ├── Refused                     a guard, read-only mode or a missing confirmation said no (carries why)
    │   ├── Impossible              a value that can't be true; names its field (422)
    │   ├── NoQualifyingModel       nothing can serve the task; carries each model's reason
    │   ├── Incompatible            a swap would lose a capability or cannot fit even alone
    │   ├── SwapInProgress          the task already has a running and a waiting swap; carries its id
    │   ├── NothingToRollBack       the task has no previous version
    │   ├── BudgetSpent             a paid provider has reached its cap of the day; the way out is in the sentence
    │   ├── KeyNeeded               no key, or one that opens nothing (401)
    │   └── Forbidden               the key does not allow it (403)
    │       └── Unconstitutional    a rule of the constitution does not; names it
    ├── Overloaded                  queue full (429)
    ├── Draining                    the engine is stopping (503)
    ├── ProviderError               something at or behind a provider
    │   ├── ModelUnusable           the file is missing, truncated, not a model, or of an unknown kind
    │   ├── LoadFailed              loading failed or timed out
    │   ├── OutOfBudget             does not fit the memory budget, even alone
    │   ├── ContextOverflow         the prompt is longer than the loaded context
    │   ├── InvalidRequest          the runtime refused the request's content (400)
    │   ├── WorkerDied              the process behind the model crashed, hung or was killed
    │   ├── Unreachable             an HTTP runtime can't be reached
    │   ├── CircuitOpen             it failed again and again: nobody asks it for a moment (503)
    │   └── NotSupported            the provider has no such capability (embeddings, grammar ...)
    ├── ArchiveInvalid              an archive that can't be taken in: names the line, the field, what would be right
    ├── StoreError                  the state folder
    │   ├── StateLocked             another engine owns it; carries pid and URL
    │   ├── StateReadOnly           it can't be written
    │   ├── StateFull               the disk is full
    │   ├── StateDamaged            the database is damaged; it was kept aside
    │   └── StateTooNew             written by a newer arbiter
    ├── WireUnreadable              what answers is no engine, or its answer is not of the control API's shape
    └── EngineUnreachable           the control API does not answer (exit code 3)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any


class ArbiterError(Exception):
    """Base of all. ``code`` is stable and machine-readable; ``str(error)`` is for a person."""

    code = "error"
    retry_after_s: float | None = None

    def __init__(self, message: str, *, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.details: dict[str, Any] = dict(details or {})


class ConfigError(ArbiterError):
    code = "config_invalid"


class UnknownName(ArbiterError):
    code = "unknown_name"

    def __init__(self, kind: str, name: str, valid: Iterable[str] = ()) -> None:
        names = sorted(set(valid))
        near = nearest(name, names)
        hint = f"; nearest: {', '.join(near)}" if near else ""
        if not near and names:
            hint = f"; known: {', '.join(names[:8])}{' …' if len(names) > 8 else ''}"
        super().__init__(f"unknown {kind} {name!r}{hint}", details={"kind": kind, "name": name, "nearest": near})


class Refused(ArbiterError):
    """Carries ``details['why']``: a list of {rule, value, threshold, would_change_if}."""

    code = "refused"


class Impossible(Refused):
    """``param``: the field whose value can't be true."""

    code = "invalid_value"

    def __init__(
        self, message: str, *, details: Mapping[str, Any] | None = None, param: str | None = None
    ) -> None:  # fmt: skip
        super().__init__(message, details=details)
        self.param = param


class NoQualifyingModel(Refused):
    """Carries ``details['reasons']``: version -> why it does not qualify."""

    code = "no_qualifying_model"


class Incompatible(Refused):
    code = "incompatible"


class SwapInProgress(Refused):
    code = "swap_in_progress"


class NothingToRollBack(Refused):
    code = "nothing_to_roll_back"


class BudgetSpent(Refused):
    """Carries ``details``: provider, spent, budget_per_day."""

    code = "budget_spent"


class KeyNeeded(Refused):
    code = "invalid_api_key"


class Forbidden(Refused):
    code = "forbidden"


class Unconstitutional(Forbidden):
    """Carries ``details['constitution']``: the rule's name."""

    code = "constitution"


class Overloaded(ArbiterError):
    code = "overloaded"
    retry_after_s = 1.0


class Draining(ArbiterError):
    code = "draining"
    retry_after_s = 5.0


class ProviderError(ArbiterError):
    code = "provider_error"


class ModelUnusable(ProviderError):
    code = "model_unusable"


class LoadFailed(ProviderError):
    code = "load_failed"


class OutOfBudget(ProviderError):
    code = "out_of_budget"


class ContextOverflow(ProviderError):
    code = "context_overflow"


class InvalidRequest(ProviderError):
    code = "invalid_request"


class WorkerDied(ProviderError):
    code = "worker_died"
    retry_after_s = 1.0


class Unreachable(ProviderError):
    code = "unreachable"
    retry_after_s = 1.0


class CircuitOpen(ProviderError):
    code = "circuit_open"
    retry_after_s = 1.0


class NotSupported(ProviderError):
    """``param``: the field of the request that asks for it, if one does."""

    code = "not_supported"

    def __init__(
        self, message: str, *, details: Mapping[str, Any] | None = None, param: str | None = None
    ) -> None:  # fmt: skip
        super().__init__(message, details=details)
        self.param = param


class ArchiveInvalid(ArbiterError):
    """``details``: ``line`` and ``field`` where one of them is at fault."""

    code = "archive_invalid"


class StoreError(ArbiterError):
    code = "store_error"


class StateLocked(StoreError):
    code = "state_locked"


class StateReadOnly(StoreError):
    code = "state_read_only"


class StateFull(StoreError):
    code = "state_full"


class StateDamaged(StoreError):
    code = "state_damaged"


class StateTooNew(StoreError):
    code = "state_too_new"


class WireUnreadable(ArbiterError):
    code = "wire_unreadable"


class EngineUnreachable(ArbiterError):
    code = "engine_unreachable"


CLOSE = 0.6  # how alike two names must be: below it a suggestion is a guess (frob, rollback)


def nearest(name: str, valid: Iterable[str], n: int = 3) -> list[str]:
    """The valid names closest to ``name``, best first; empty if nothing is close."""
    known, wanted = list(valid), name.lower()
    alike = get_close_matches(wanted, known, n=n, cutoff=CLOSE)
    return [*alike, *(v for v in known if wanted and v.startswith(wanted) and v not in alike)][:n]
