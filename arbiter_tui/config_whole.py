"""What only a whole configuration can be asked: whether its parts fit together, and fit what is installed.

Owns: all tasks, the bundled ones included, and the names by which blocks mean each other. Never: a block's own grammar
(config.py), a secret, a connection.
"""

from __future__ import annotations

from collections.abc import Iterable

from .config import Config, merge_tasks
from .config_reader import Where
from .config_rules import check_rule_tasks
from .config_tasks import check_policies
from .core.tasks import Task


def tasks_of(config: Config) -> tuple[Task, ...]:
    """Bundled and configured ones. Raises ConfigError for a policy or a rule's task that there isn't."""
    from .data import bundled_tasks

    tasks = merge_tasks(bundled_tasks(), config.tasks)
    check_policies(tasks, file=str(config.path))
    check_rule_tasks(config.rules, (t.name for t in tasks), file=str(config.path))
    return tasks


def check_blocks(config: Config, running: Iterable[str] = ()) -> None:
    """Providers' own options, and the providers that models name; ``running``: those that are there besides. Raises
    ConfigError."""
    from .adapters.plugins import check_providers, provider_names

    where = Where(str(config.path))
    check_providers(config.providers, file=where.file)
    known = sorted({*provider_names(config.providers), *running})
    for i, model in enumerate(config.models):
        if model.provider not in known:
            at = where.key("models").item(i).key("provider")
            raise at.error(model.provider, "there is no such provider", known)


def unbound(config: Config, tasks: tuple[Task, ...]) -> list[str]:
    """Sentences about rules that name what there isn't now: a task may still be made while the engine serves."""
    from .adapters.plugins import provider_names
    from .core.constitution import unmet

    known = provider_names(config.providers)
    return [
        *(told for block in config.constitution for told in unmet(block.name, block.tasks, block.labels, tasks)),
        *(
            f"the constitution's rule {block.name!r} allows the provider {name!r}: there is none"
            for block in config.constitution for name in block.providers if name not in known
        ),
    ]  # fmt: skip
