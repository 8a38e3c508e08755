"""Money: what each answer of a paid provider cost, and the cap of a day.

Owns: today's sum per provider, which survives a restart because every outcome carries its cost; the refusal beyond the
cap. Never: a price (the provider's block says it), counts tokens (the service does).

A service that did not say how many tokens it took is charged by estimate, as is an answer that its client broke off:
what was sent in, and a token for each piece that came. Requests under way when the cap is reached are finished and
charged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..core.cost import Outcome, Price
from ..core.registry import ModelVersion
from ..errors import BudgetSpent
from ..provider import Provider
from .answer import Answer
from .chronicle import DAY_S, midnight
from .counting import tokens_sent
from .live import Live


class Spending:
    def __init__(self, live: Live, providers: Mapping[str, Provider]) -> None:
        self._live = live
        self._providers = {n: p for n, p in providers.items() if hasattr(p, "price")}  # provider.Priced
        self._day = midnight(live.clock.now())
        self._spent = dict.fromkeys(self._providers, 0.0)
        live.paid = self.paid
        live.charged = self.charged
        live.affordable = lambda version: not self._providers or self._cap_reached(version) is None

    async def restore(self) -> None:
        """What was spent today before this start."""
        if not self._providers:
            return
        for version, money in (await self._live.store.money_since(self._day)).items():
            known = self._live.registry.versions.get(version)
            if known is not None and known.provider in self._spent:
                self._spent[known.provider] += money

    def paid(self, version: ModelVersion) -> bool:
        """Its answers cost money: the arbiter asks it nothing by itself."""
        return version.provider in self._providers

    def check(self, version: ModelVersion) -> None:
        """Raises BudgetSpent. On the way of every lease: synchronous."""
        cap = self._cap_reached(version) if self._providers else None
        if cap is None:
            return
        spent = self._today()[version.provider]
        error = BudgetSpent(
            f"{version.provider} has spent its budget of {cap:g} a day ({spent:.4g} today): {version.version} is "
            f"refused until midnight; raise budget_per_day in its [[providers]] block, or let another model serve",
            details={"provider": version.provider, "spent": spent, "budget_per_day": cap,
                     "why": [{"rule": "budget_per_day", "value": spent, "threshold": cap,
                              "would_change_if": "a new day began, or budget_per_day was raised"}]},
        )  # fmt: skip
        error.retry_after_s = max(1.0, self._day + DAY_S - self._live.clock.now())
        raise error

    def charged(self, outcome: Outcome, answer: Answer | None = None) -> Outcome:
        """With its cost, which counts from now on; None stays where nothing was used, or there is no price."""
        provider = self._provider_of(outcome.version) if self._providers else None
        if provider is None:
            return outcome
        price: Price | None = provider.price(self._live.registry.get(outcome.version))
        money = None if price is None else _money(price, outcome, answer)
        if money is None:
            return outcome
        self._add(provider, money)
        return replace(outcome, money=money)

    def rows(self) -> list[dict[str, Any]]:
        """Per paid provider: what was spent today (None where it has no prices), and its cap."""
        today, priced = self._today(), self._priced()
        return [
            {
                "provider": name, "spent_today": today[name] if name in priced else None,
                "budget_per_day": getattr(p, "budget_per_day", None),
            }
            for name, p in self._providers.items()
        ]  # fmt: skip

    def _priced(self) -> set[str]:
        versions = self._live.registry.versions.values()
        return {v.provider for v in versions if (p := self._provider_of(v.version)) and p.price(v) is not None}

    def _cap_reached(self, version: ModelVersion) -> float | None:
        """The cap of its provider if there is one and it is reached."""
        provider = self._providers.get(version.provider)
        cap: float | None = None if provider is None else getattr(provider, "budget_per_day", None)
        return cap if cap is not None and self._today()[version.provider] >= cap else None

    def _provider_of(self, version: str) -> Any:
        known = self._live.registry.versions.get(version)
        return None if known is None else self._providers.get(known.provider)

    def _add(self, provider: Provider, money: float) -> None:
        today = self._today()
        before = today[provider.name]
        today[provider.name] = before + money
        cap: float | None = getattr(provider, "budget_per_day", None)
        if cap is not None and before < cap <= before + money:
            self._live.alert("warning", f"{provider.name} has spent its budget of {cap:g} for today: it is not asked")

    def _today(self) -> dict[str, float]:
        day = midnight(self._live.clock.now())
        if day != self._day:
            self._day, self._spent = day, dict.fromkeys(self._providers, 0.0)
        return self._spent


def _money(price: Price, outcome: Outcome, answer: Answer | None) -> float | None:
    tokens_in, tokens_out = outcome.tokens_in, outcome.tokens_out
    if answer is None:
        return None if tokens_in is None or tokens_out is None else price.of(tokens_in, tokens_out)
    if not outcome.success and not answer.pieces:
        return None
    return price.of(
        tokens_sent(answer.request) if tokens_in is None else tokens_in,
        answer.pieces if tokens_out is None else tokens_out,
        answer.usage.tokens_cached or 0,
    )
