"""Fixtures of the end-to-end tests."""

from engine_process import engine, fresh

__all__ = ["engine", "fresh"]
