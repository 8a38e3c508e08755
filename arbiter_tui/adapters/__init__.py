"""The outside world behind the ports. Owns: SQLite, hardware counters, plug-ins, secrets. Never: a decision."""
