"""What the providers of paid services share: models that are named one by one, a key, prices, a budget a day.

Owns: the options of such a block, and that nothing is asked of the service but what a person named. Never: the sum of
what was spent (the engine keeps it), a dialect.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from arbiter_tui.core.cost import Price
from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.errors import LoadFailed, ModelUnusable, Overloaded, ProviderError
from arbiter_tui.provider import EventSink, LoadedModel, ProviderConfig

from ._openai_runtime import Runtime
from ._openai_wire import safe_name
from ._options import address, known, names, positive, seconds

OPTIONS = ("api_key", "base_url", "models", "context", "parallel", "stall_timeout_s", "leave_out", "prices",
           "budget_per_day")  # fmt: skip
PRICE_KEYS = ("input", "output", "cached_input")
LOOK_EVERY_S = 60.0  # each look is a request to somebody else's server


class PaidProvider:
    """Options: api_key and models (needed), base_url (the vendor's own), context, parallel (default 8),
    stall_timeout_s (default 120), leave_out (fields that these models refuse, as ["temperature"]), prices (a table a
    model: input, output and cached_input per million tokens), budget_per_day."""

    kind = ""
    local = False
    default_url = ""
    key_example = ""
    vendor = ""

    def __init__(self, config: ProviderConfig) -> None:
        options = config.options
        self.name = config.name
        known(options, OPTIONS)
        self._models = _named(options.get("models"))
        self._context = positive(options.get("context"), "context")
        self._parallel = positive(options.get("parallel"), "parallel") or 8
        self.leave_out = frozenset(names(options.get("leave_out"), "leave_out"))
        self._prices = _prices(options.get("prices"), self._models)
        self.budget_per_day = _budget(options.get("budget_per_day"), self._models, self._prices)
        key = options.get("api_key")
        if not isinstance(key, str) or not key:
            raise ValueError(f'api_key is needed, as a reference: "{self.key_example}"')
        url = address(options.get("base_url") or self.default_url, self.default_url)
        self.runtime = self.make_runtime(url, key, seconds(options.get("stall_timeout_s"), "stall_timeout_s", 120.0))
        self._loaded: set[Any] = set()

    def make_runtime(self, url: str, key: str, stall_s: float) -> Runtime:
        raise NotImplementedError

    def make_model(self, version: ModelVersion, on_event: EventSink) -> LoadedModel:
        raise NotImplementedError

    @property
    def base_url(self) -> str:
        return self.runtime.base_url

    def price(self, version: ModelVersion) -> Price | None:
        return self._prices.get(version.source)

    async def available(self) -> str | None:
        """There is a key: nobody is asked before a model is wanted."""
        return None

    async def discover(self) -> list[ModelVersion]:
        """What the block names; the service is not asked."""
        return [self._version(name) for name in self._models]

    async def inspect(self, source: str) -> ModelVersion:
        name = source.removeprefix(f"{self.name}:")
        if name not in self._models:
            raise ModelUnusable(f"{self.name} may not use {name!r}; its block names {', '.join(self._models)}")
        return self._version(name)

    def predicted_bytes(self, version: ModelVersion) -> int | None:
        """Somebody else's memory."""
        return None

    async def load(self, version: ModelVersion, *, timeout_s: float, on_event: EventSink) -> LoadedModel:
        """Asks once whether the key and the model's name are good; that costs nothing."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.check(version.source)
        except TimeoutError:
            raise LoadFailed(f"{version.version}: {self.base_url} did not answer within {timeout_s:g} s") from None
        except Overloaded as error:
            raise LoadFailed(f"{version.version} can't be asked now: {error}") from error
        model = self.make_model(version, on_event)
        self._loaded.add(model)
        return model

    def forget(self, model: LoadedModel) -> None:
        self._loaded.discard(model)

    async def close(self) -> None:
        for model in list(self._loaded):
            await model.unload()
        await self.runtime.close()

    async def check(self, name: str) -> None:
        """Raises ModelUnusable, or what is wrong with the key or the way there."""
        try:
            await self.runtime.get(f"/v1/models/{quote(name, safe='')}")
        except ModelUnusable:  # a proxy may only have the list
            entries = (await self.runtime.get("/v1/models")).get("data")
            known = [e.get("id") for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
            if name not in known:
                raise ModelUnusable(f"{self.base_url} has no model {name!r}") from None

    def _version(self, name: str) -> ModelVersion:
        safe = safe_name(name)
        return ModelVersion(
            version=f"{safe}.{safe_name(self.name)[:20]}", provider=self.name, model=safe, source=name,
            family=self.vendor, context=self._context, parallel=self._parallel,
            capabilities=frozenset({"text-generation", "chat", "tools"}),
        )  # fmt: skip


class Looks:
    """Is the service there? Asked at most once a minute while the answer is yes."""

    def __init__(self, check: Callable[[], Any]) -> None:
        self._check = check
        self._well_at = time.monotonic()

    async def well(self) -> bool:
        if time.monotonic() - self._well_at < LOOK_EVERY_S:
            return True
        try:
            await self._check()
        except (ProviderError, Overloaded):
            return False
        self._well_at = time.monotonic()
        return True


def _named(value: Any) -> tuple[str, ...]:
    listed = names(value, "models")
    if not listed or "*" in listed:
        raise ValueError('models must be named one by one, as in models = ["NAME"]: nothing here is used unasked')
    return listed


def _prices(value: Any, models: tuple[str, ...]) -> dict[str, Price]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError('prices must be tables, as in [providers.prices."NAME"] with input and output')
    return {name: _price(name, table, models) for name, table in value.items()}


def _price(name: str, table: Any, models: tuple[str, ...]) -> Price:
    where = f'prices."{name}"'
    if name not in models:
        raise ValueError(f"{where} is a price of none of the models {', '.join(models)}")
    if not isinstance(table, Mapping) or "input" not in table or "output" not in table:
        raise ValueError(f"{where} needs input and output, both per million tokens")
    known(table, PRICE_KEYS, f"{where}.")
    amounts = {key: _amount(amount, f"{where}.{key}") for key, amount in table.items()}
    return Price(**amounts)


def _budget(value: Any, models: tuple[str, ...], prices: Mapping[str, Price]) -> float | None:
    if value is None:
        return None
    free = [name for name in models if name not in prices]
    if free:
        raise ValueError(f'budget_per_day needs prices: [providers.prices."{free[0]}"] with input and output')
    return _amount(value, "budget_per_day")


def _amount(value: Any, name: str) -> float:
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if not number or not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} must be an amount of money, not {value!r}")
    return float(value)
