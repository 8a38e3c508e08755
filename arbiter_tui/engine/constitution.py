"""The constitution in force: the configuration's rules, and where each version runs.

Owns: what counts as this machine, and telling of waivers and of tasks that are served against a rule. Never: a rule's
meaning (core/constitution.py).

A version runs on this machine if its provider says so (``local``); else if its provider's address is loopback; else if
its provider starts its processes itself and hands nothing on to other nodes. What can't be shown to run here does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ..config_gates import rules_of
from ..config_server import is_loopback
from ..core.constitution import Breach, breach, labels_of, unmet
from ..core.registry import ModelVersion
from ..core.tasks import Task
from ..errors import Unconstitutional
from ..provider import Provider
from .live import Live

OWN_PROCESSES = frozenset({"llama_server", "llama_cpp", "server", "transformers", "onnx", "mlx", "coreml"})
OTHER_NODES = ("rpc", "ray_address")
# The same in a command's own words (llama.cpp, vLLM; programs that run another one elsewhere), and in its environment.
NODE_WORDS = re.compile(
    r"--?rpc|ray|--(data-parallel|master)-addr(ess)?|--nnodes|--node-rank|ssh|kubectl|srun|mpirun|mpiexec|mlx\.launch",
    re.IGNORECASE,
)
NODE_VARIABLES = frozenset({"LLAMA_ARG_RPC", "RAY_ADDRESS", "MASTER_ADDR"})
CLOUD = "cloud"  # Ollama's own servers answer for a model with such a tag, through the local address


class Constitution:
    def __init__(self, live: Live, providers: Mapping[str, Provider]) -> None:
        self._live = live
        self._providers = providers
        self.adopt()
        self._options: Mapping[str, Mapping[str, Any]] = {b.name: b.options for b in live.config.providers}

    def adopt(self) -> None:
        """The configuration's rules bind from here on."""
        self._rules = rules_of(self._live.config.constitution)

    def forbids(self, task: str, version: ModelVersion) -> Breach | None:
        """The rule that ``version`` would break by serving ``task``; synchronous, and nothing where there are none."""
        if not self._rules:
            return None
        known = self._live.tasks.get(task)
        return breach(
            self._rules, task, labels_of(known) if known is not None else (), version.version,
            provider=version.provider, local=self.is_local(version), now=self._live.clock.now(),
        )  # fmt: skip

    def check(self, task: str, version: ModelVersion) -> None:
        """Raises Unconstitutional, which names the rule."""
        found = self.forbids(task, version)
        if found is not None:
            raise forbidden(found)

    def check_change(self, before: Task | None, after: Task) -> None:
        """A task keeps the labels by which a rule binds it; else raises Unconstitutional."""
        gone = labels_of(before) - labels_of(after) if before is not None else frozenset()
        for rule in self._rules:
            if lost := sorted(gone.intersection(rule.labels)):
                raise Unconstitutional(
                    f"{after.name} keeps the label {lost[0]!r}: the constitution's rule {rule.name!r} binds it; "
                    "only the configuration can take it away"
                )

    def is_local(self, version: ModelVersion) -> bool:
        provider = self._providers.get(version.provider)
        if provider is None:
            return False
        said = getattr(provider, "local", None)
        if isinstance(said, bool):
            return said
        addresses = getattr(provider, "base_urls", None) or (getattr(provider, "base_url", None),)
        if isinstance(addresses[0], str):
            hosts = [urlsplit(str(address)).hostname for address in addresses]
            handed_on = provider.kind == "ollama" and version.source.rpartition(":")[2].endswith(CLOUD)
            return all(host is not None and is_loopback(host) for host in hosts) and not handed_on
        return provider.kind in OWN_PROCESSES and not hands_on(self._options.get(provider.name, {}))

    def tell(self) -> None:
        """At the start, and when they change: which waivers hold, and which tasks are routed against a rule."""
        now = self._live.clock.now()
        for rule in self._rules:
            for said in unmet(rule.name, rule.tasks, rule.labels, self._live.tasks.values()):
                self._live.alert("warning", said)
            for waiver in rule.waivers:
                if now < waiver.until:
                    text = f"the constitution's rule {rule.name!r} is waived for {waiver.task}: {waiver.reason}"
                    self._live.alert("info", text, task=waiver.task)
        for task in self._live.tasks:
            version = self._live.find(self._live.routes.get(task).incumbent)
            found = None if version is None else self.forbids(task, version)
            if found is not None and version is not None:
                text = f"{task} is refused until it is swapped: {found.sentence}"
                self._live.alert("error", text, task=task, version=version.version)


def hands_on(options: Mapping[str, Any]) -> bool:
    """Whether a managed server may pass its work to other machines, by its block: what may is taken as if it did."""
    command, told = options.get("command") or (), options.get("env")
    variables = {str(name).upper() for name in told} if isinstance(told, Mapping) else set()
    words = [part.rpartition("/")[2] for word in command for part in re.split(r"[\s=]+", str(word))]
    return (
        any(options.get(name) for name in OTHER_NODES)
        or not variables.isdisjoint(NODE_VARIABLES)
        or any(NODE_WORDS.fullmatch(word) for word in words)
    )


def forbidden(found: Breach) -> Unconstitutional:
    return Unconstitutional(found.sentence, details={"why": [found.why], "constitution": found.rule.name})
