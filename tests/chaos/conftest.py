"""Fixtures of the chaos tests."""

from engine_process import engine, fresh

__all__ = ["engine", "fresh"]
