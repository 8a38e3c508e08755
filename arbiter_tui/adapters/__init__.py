"""The outside world behind the ports. Owns: SQLite, hardware counters, plug-in discovery, secrets. Never: a decision."""
