"""Pure decisions. Owns: what a model, task, route, score and decision is. Never: I/O, clock, randomness, async, logging."""
