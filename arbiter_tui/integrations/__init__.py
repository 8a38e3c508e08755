"""Bridges to other tools, each behind an optional extra. Never: imported by the engine."""
