"""Who plays in the demo. Owns: the choice of its tasks and of the model that starts. Never: what is played.

Apart from the script, which talks HTTP: the cockpit that shows the demo need not carry that library.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from ..core.tasks import Task
from ..data import bundled_tasks


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays. Every task starts on the model family ``start``; the priors only choose the tasks, not the outcomes.

    ``gain``: another family should do better. ``engine``: starts on the slower engine with the same weights, where both
    engines are installed. ``fault``: its served version is replaced by a damaged one; ``threshold``: its quality floor.
    """

    start: str
    gain: Task
    engine: Task
    fault: Task
    threshold: float

    @property
    def tasks(self) -> tuple[Task, ...]:
        return (self.gain, self.engine, self.fault)


def plan(seed: int) -> Cast:
    """Chosen from the bundled priors: start with the family that leads most tasks; its widest gap is the task to gain
    on, its strongest task gets the fault, a seeded other one starts on the slower engine."""
    tasks = [task for task in bundled_tasks() if len(task.priors) >= 2]
    families = sorted({name for task in tasks for name in task.priors})
    start = max(families, key=lambda f: sum(task.priors.get(f, 0) >= max(task.priors.values()) for task in tasks))

    def lead(task: Task) -> float:
        """Of the starting family over the best other one."""
        return task.priors.get(start, 0.0) - max(q for name, q in task.priors.items() if name != start)

    gain = min(tasks, key=lead)
    fault = max((t for t in tasks if t.name != gain.name), key=lambda t: (t.priors.get(start, 0.0), t.name))
    short = [t for t in tasks if t.name not in (gain.name, fault.name) and t.max_tokens <= 12 and lead(t) > 0]
    engine = random.Random(seed).choice(short) if short else fault
    threshold = round(max(0.5, fault.priors.get(start, 0.5) - 0.05), 2)
    return Cast(start, gain, engine, fault, threshold)
