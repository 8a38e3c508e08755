"""The configuration: TOML -> one frozen ``Config``.

Owns: which settings exist, their defaults and ranges, where the file and the state folder are.
Never: resolves a secret, imports a provider, reads the bundled tasks (``merge_tasks`` is given both sides).

Every error is a ConfigError that names file, key (dotted path), value and the nearest valid key. Sizes are bytes or
texts like "2GiB"; times are seconds. A model's or provider's meaning is checked where it is used; its shape is here.
"""
# ruff: noqa: RUF009 - setting() is dataclasses.field() with the key's checks as metadata

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from .config_gates import RuleBlock, WebhookBlock, check_rules, check_secrets, check_webhooks
from .config_reader import Setting, Where, read_values, schema_of, setting, setting_schema, settings
from .config_rules import RuleConfig, check_task_rules
from .config_server import LimitsConfig, ServerConfig, check_server
from .config_tasks import (
    MODES,
    NAME,
    OPTIONAL,
    TASK_SETTINGS,
    ConfiguredTask,
    merge_patches,
    merge_tasks,
    patch_task,
    read_task,
)
from .core.scaling import Span
from .core.tasks import Task
from .errors import ConfigError

__all__ = [
    "OPTIONAL", "AutopilotConfig", "Config", "ConfigError", "ConfiguredTask", "LimitsConfig", "ModelBlock",
    "PoolConfig", "ProviderBlock", "RetentionConfig", "RolloutConfig", "RuleConfig", "ScheduleConfig", "ServerConfig",
    "TelemetryConfig", "TuiConfig", "WindowConfig", "find", "load", "merge_patches", "merge_tasks", "parse",
    "patch_task", "schema", "state_dir",
]  # fmt: skip

FILE_NAME = "arbiter.toml"
APP = "arbiter"
TRIGGERS = ("degraded", "better")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
TIME_OF_DAY = r"([01]\d|2[0-3]):[0-5]\d"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig:
    memory_budget_bytes: int | None = None  # [pool] memory_budget; None: from the measured free memory
    max_loaded: int | None = setting(None, kind="int", low=1, high=1000, help="most models loaded at once")
    idle_ttl_s: float | None = setting(None, kind="number", low=1, help="unload after so long without a request")
    model_dirs: tuple[str, ...] = setting((), kind="texts", help="folders of model files; sources are paths below")
    load_timeout_s: float = setting(120.0, kind="number", low=1, high=7200, help="longest load")
    queue_limit: int = setting(64, kind="int", low=1, high=100_000, help="waiting requests per model")


@dataclass(frozen=True, slots=True, kw_only=True)
class AutopilotConfig:
    mode: str = setting("on", kind="text", choices=MODES, help="of every task that does not say otherwise")
    cooldown_s: float = setting(300.0, kind="number", low=0, help="shortest time between two swaps of a task")
    min_samples: int = setting(10, kind="int", low=1, high=1_000_000, help="fewer samples decide nothing")
    performance_threshold: float = setting(0.8, kind="number", low=0, high=1, help="degraded below this success rate")
    quality_factor: float = setting(0.9, kind="number", low=0, high=1, help="degraded below this x quality_threshold")
    triggers: tuple[str, ...] = setting(TRIGGERS, kind="texts", choices=TRIGGERS, help="what may cause a swap")
    explore_share: float = setting(0.05, kind="number", low=0, high=1, help="share of requests that may explore")
    hold_s: float = setting(3600.0, kind="number", low=0, help="a manual swap holds its task so long")
    swaps_per_day: int = setting(24, kind="int", low=0, high=100_000, help="of one task by itself; 0: no limit")
    oscillation_s: float = setting(21_600.0, kind="number", low=0, help="it asks before A -> B -> A within this time")
    announce_s: float = setting(0.0, kind="number", low=0, help="a better model is announced so long; n vetoes it")
    sentinels_per_hour: float = setting(20.0, kind="number", low=0, high=3600, help="known questions per task")
    strict_compatibility: bool = setting(False, kind="flag", help="treat compatibility warnings as errors")
    interval_s: float = setting(1.0, kind="number", low=0.05, high=3600, help="between two looks at the evidence")
    drift_min_samples: int = setting(30, kind="int", low=2, high=1_000_000, help="before drift can be alarmed")


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutConfig:
    rule: str = setting("posterior", kind="text", choices=("posterior", "literal"), help="how a canary is judged")
    start: float = setting(0.10, kind="number", low=0, high=1, help="first share of a canary")
    step: float = setting(0.10, kind="number", low=0.001, high=1, help="growth of the share")
    every_s: float = setting(3600.0, kind="number", low=1, help="between two steps")
    shadow_per_hour: float = setting(
        240.0, kind="number", low=0, high=36_000, help="known questions that both versions answer in idle time"
    )
    load_every_s: float = setting(
        600.0, kind="number", low=1, help="where both don't fit: shortest time between two loads of the new one"
    )
    block_questions: int = setting(30, kind="int", low=1, high=1000, help="that it answers while it is loaded")
    max_slowdown: float | None = setting(
        None, kind="number", low=1.01, high=1000, help="taken back when it takes so many times as long; none: never"
    )
    max_steps: int = setting(30, kind="int", low=1, high=10_000, help="without a verdict it ends after so many steps")
    keep_warm_s: float = setting(604800.0, kind="number", low=0, help="the replaced version stays at hand so long")


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowConfig:
    """A span of the local day; ``end`` before ``start`` runs past midnight (and belongs to the day it began)."""

    start: str = setting(kind="text", pattern=TIME_OF_DAY, required=True, help='local time, "22:00"')
    end: str = setting(kind="text", pattern=TIME_OF_DAY, required=True, help='local time, "06:00"')
    days: tuple[str, ...] = setting(DAYS, kind="texts", choices=DAYS, help="on which it begins")

    @property
    def told(self) -> str:
        return f"{self.start}–{self.end}" + ("" if self.days == DAYS else f" {' '.join(self.days)}")

    def covers(self, weekday: int, minute: int) -> bool:
        """``weekday`` 0 is Monday; ``minute`` of the local day."""
        start, end = _minute(self.start), _minute(self.end)
        today, yesterday = DAYS[weekday] in self.days, DAYS[weekday - 1] in self.days
        if start < end:
            return today and start <= minute < end
        return (today and minute >= start) or (yesterday and minute < end)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleConfig:
    windows: tuple[WindowConfig, ...] = setting(
        (), kind="sections", section=WindowConfig, help="when the autopilot may swap; none: at any time"
    )
    quiet: bool = setting(False, kind="flag", help="a better model takes over in hours that are usually quiet")
    batch_s: float = setting(
        0.0, kind="number", low=0, high=86_400, help="better models take over together, so far apart; 0: each at once"
    )
    on_battery: str = setting(
        "save", kind="text", choices=("save", "ignore"), help="save: nothing is asked that nobody waits for"
    )
    heat: str = setting(
        "hold", kind="text", choices=("hold", "ignore"), help="hold: no swap and no question while heat throttles"
    )

    @property
    def told(self) -> str:
        """The windows in words; empty where there are none."""
        return ", ".join(w.told for w in self.windows)

    def allows(self, weekday: int, minute: int) -> bool:
        """Whether the autopilot may swap at this minute of the local day."""
        return not self.windows or any(w.covers(weekday, minute) for w in self.windows)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionConfig:
    outcomes_days: float = setting(90.0, kind="number", low=1, help="single outcomes; what was learnt from them stays")
    decisions_days: float = setting(90.0, kind="number", low=1, help="explanations of single decisions")


@dataclass(frozen=True, slots=True, kw_only=True)
class TuiConfig:
    theme: str | None = setting(None, kind="text", help="a theme's name; none: by the terminal's background")
    keys: Mapping[str, str] = setting(factory=dict, kind="table", help="action -> key, to remap")


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryConfig:
    keep_prompts: bool = setting(False, kind="flag", help="false: prompts stay in memory, the last 200 per task")
    otlp_endpoint: str | None = setting(
        None, kind="text", pattern=r"https?://.+", help="where a span of each request goes (OTLP over HTTP); no prompts"
    )
    service_name: str = setting("arbiter", kind="text", pattern=r".{1,128}", help="of the spans")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderBlock:
    """One [[providers]] block. ``options``: the kind's own keys, secrets still as references."""

    name: str = setting(kind="text", pattern=NAME, required=True, help="unique")
    kind: str = setting(kind="text", required=True, help="an installed kind of provider")
    replicas: Span | None = setting(
        None, kind="span", help='copies of each of its models; "1-3": as many as are needed'
    )
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelBlock:
    """One [[models]] block. ``None`` and empty mean: as the provider finds it."""

    name: str = setting(kind="text", pattern=NAME, required=True, help="the version's name")
    provider: str = setting(kind="text", required=True, help="a provider's name")
    source: str = setting(kind="text", required=True, help="path below [pool] model_dirs, ollama:NAME, runtime's name")
    context: int | None = setting(None, kind="int", low=16, help="tokens")
    parallel: int | None = setting(None, kind="int", low=1, high=1024, help="requests at once")
    capabilities: tuple[str, ...] = setting((), kind="texts", help="text-generation, code, embeddings …")
    labels: tuple[str, ...] = setting((), kind="texts", help="free words")
    replicas: Span | None = setting(None, kind="span", help='loaded copies; "1-3": as many as are needed')
    pinned: bool = setting(False, kind="flag", help="never evicted")
    options: Mapping[str, Any] = setting(factory=dict, kind="table", help="load options of the provider")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    server: ServerConfig = setting(factory=ServerConfig, kind="section", section=ServerConfig, help="the doors")
    pool: PoolConfig = field(default_factory=PoolConfig)
    autopilot: AutopilotConfig = setting(
        factory=AutopilotConfig, kind="section", section=AutopilotConfig, help="when to swap unasked"
    )
    rollout: RolloutConfig = setting(factory=RolloutConfig, kind="section", section=RolloutConfig, help="canaries")
    schedule: ScheduleConfig = setting(
        factory=ScheduleConfig, kind="section", section=ScheduleConfig, help="when swaps may happen"
    )
    retention: RetentionConfig = setting(
        factory=RetentionConfig, kind="section", section=RetentionConfig, help="what is kept for how long"
    )
    tui: TuiConfig = setting(factory=TuiConfig, kind="section", section=TuiConfig, help="the cockpit")
    telemetry: TelemetryConfig = setting(
        factory=TelemetryConfig, kind="section", section=TelemetryConfig, help="local only"
    )
    providers: tuple[ProviderBlock, ...] = ()
    models: tuple[ModelBlock, ...] = setting((), kind="sections", section=ModelBlock, help="models by name")
    tasks: tuple[Task, ...] = ()
    constitution: tuple[RuleBlock, ...] = setting(
        (), kind="sections", section=RuleBlock, help="rules that hold whatever is measured"
    )
    webhooks: tuple[WebhookBlock, ...] = setting(
        (), kind="sections", section=WebhookBlock, help="posts what became of swaps"
    )
    rules: tuple[RuleConfig, ...] = setting(
        (), kind="sections", section=RuleConfig, help="a request's task when its client can't name one"
    )
    path: Path | None = None


_BUDGET = Setting(kind="size", low=1, help="of all loaded models; bytes or a text like 2GiB")


def find() -> Path | None:
    """The configuration file: in the working folder, else in the user's configuration folder; None if there is none."""
    from platformdirs import user_config_path

    return next((p for p in (Path(FILE_NAME), user_config_path(APP) / FILE_NAME) if p.is_file()), None)


def state_dir(override: str | Path | None = None) -> Path:
    """The state folder: ``override``, else ARBITER_STATE_DIR, else the user's state folder. Not created here."""
    from platformdirs import user_state_path

    chosen = override or os.environ.get("ARBITER_STATE_DIR")
    return Path(chosen).expanduser().absolute() if chosen else user_state_path(APP)


def load(path: Path | None = None) -> Config:
    """The configuration in ``path``, else in the file of :func:`find`, else the defaults. Raises ConfigError."""
    chosen = path or find()
    if chosen is None:
        return Config()
    return replace(parse(_text_of(chosen), str(chosen)), path=chosen.absolute())


def parse(text: str, file: str = FILE_NAME) -> Config:
    """The configuration in ``text``; ``file`` names it in errors. Raises ConfigError."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not valid TOML: {error}", details={"file": file}) from error
    return from_table(table, Where(file))


def from_table(table: Mapping[str, Any], where: Where) -> Config:
    """A checked Config from a parsed TOML document. Raises ConfigError."""
    plain = settings(Config)
    for name in table:
        if name not in _SECTIONS:
            raise where.unknown(name, table[name], _SECTIONS)
    values = read_values(plain, {k: v for k, v in table.items() if k in plain}, where)
    config = Config(
        **values,
        pool=_pool(table.get("pool", {}), where.key("pool")),
        providers=tuple(_provider(v, w) for v, w in _items(table, "providers", where)),
        tasks=tuple(read_task(v, w) for v, w in _items(table, "tasks", where)),
    )
    _check(config, where)
    return config


def schema() -> dict[str, Any]:
    """JSON Schema of the configuration file."""
    found = schema_of(Config)
    pool = schema_of(PoolConfig)
    pool["properties"] = {"memory_budget": setting_schema(_BUDGET), **pool["properties"]}
    task = {"type": "object", "additionalProperties": False, "required": ["name"]}
    properties = {
        **found["properties"],
        "pool": pool,
        "providers": {"type": "array", "items": {**schema_of(ProviderBlock), "additionalProperties": True}},
        "tasks": {
            "type": "array",
            "items": {**task, "properties": {k: setting_schema(s) for k, s in TASK_SETTINGS.items()}},
        },
    }
    return {**found, "$schema": "https://json-schema.org/draft/2020-12/schema", "properties": properties}


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}", details={"file": str(path)}) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"{path}: can't be read: {reason}", details={"file": str(path)}) from error


def _items(table: Mapping[str, Any], name: str, where: Where) -> Iterable[tuple[Any, Where]]:
    found = table.get(name, [])
    if not isinstance(found, list):
        raise where.key(name).error(found, f"must be written as [[{name}]] blocks")
    return [(value, where.key(name).item(i)) for i, value in enumerate(found)]


def _pool(table: Any, where: Where) -> PoolConfig:
    if not isinstance(table, Mapping):
        raise where.error(table, "must be a table")
    values = read_values({"memory_budget": _BUDGET, **settings(PoolConfig)}, table, where)
    return PoolConfig(memory_budget_bytes=values.pop("memory_budget", None), **values)


def _provider(table: Any, where: Where) -> ProviderBlock:
    if not isinstance(table, Mapping):
        raise where.error(table, "must be a table")
    known = settings(ProviderBlock)
    named = read_values(known, {k: v for k, v in table.items() if k in known}, where)
    options = {k: v for k, v in table.items() if k not in known}
    check_secrets(options, where)
    return ProviderBlock(**named, options=options)


def _check(config: Config, where: Where) -> None:
    check_server(config.server, where.key("server"))
    _check_unique([p.name for p in config.providers], where.key("providers"))
    _check_unique([m.name for m in config.models], where.key("models"))
    _check_unique([t.name for t in config.tasks], where.key("tasks"))
    _check_unique([r.name for r in config.constitution], where.key("constitution"))
    _check_unique([w.name for w in config.webhooks], where.key("webhooks"))
    check_webhooks(config.webhooks, where.key("webhooks"))
    check_rules(config.constitution, where.key("constitution"))
    check_task_rules(config.rules, where.key("rules"))
    for i, model in enumerate(config.models):
        check_secrets(model.options, where.key("models").item(i).key("options"))
    for action, key in config.tui.keys.items():
        if not isinstance(key, str) or not key:
            raise where.key("tui").key("keys").key(action).error(key, 'must be a key, as in "w" or "ctrl+s"')


def _check_unique(names: list[str], where: Where) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise where.item(index).key("name").error(name, "is there twice; names are unique")


def _minute(time_of_day: str) -> int:
    hours, minutes = time_of_day.split(":")
    return int(hours) * 60 + int(minutes)


_SECTIONS = frozenset({f.name for f in fields(Config)} - {"path"})
