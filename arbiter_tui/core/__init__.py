"""Pure decisions. Owns: what a model, task, route, score, decision is. Never: I/O, clock, randomness, async, logs."""
