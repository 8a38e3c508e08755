"""Hypothesis on a shared, busy machine: no deadline (a test proves a law, not a speed), and as many examples as pay."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("core", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("core")
