"""Warnings of this process as events: levels, threads, and no secret among them."""

from __future__ import annotations

import asyncio
import logging

import pytest

from arbiter_tui.adapters.logs import EventLog, redacted


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("api_key=sk-123 was refused", "api_key=*** was refused"),
        ('{"Authorization": "Bearer abc.def"}', '{"Authorization": "Bearer ***"}'),
        ("'secret': 'abc def'", "'secret': '*** def'"),
        ("GET with bearer abc failed", "GET with bearer *** failed"),
        ("http://me:hunter2@box/v1 is gone", "http://me:***@box/v1 is gone"),
        ("12 tokens in 3 s", "12 tokens in 3 s"),
    ],
)
def test_what_follows_the_name_of_a_secret_is_removed(said: str, kept: str) -> None:
    """The sentence stays readable."""
    assert redacted(said) == kept


async def test_warnings_and_errors_are_told_from_any_thread() -> None:
    """Below a warning nothing is; an exception is named with its text; afterwards nobody listens."""
    told: list[tuple[str, str]] = []
    log = EventLog(asyncio.get_running_loop(), lambda text, level: told.append((text, level)))
    log.listen()
    try:
        logger = logging.getLogger("arbiter_tui.test")
        logger.info("quiet")
        await asyncio.to_thread(logger.warning, "the password=%s is wrong", "hunter2")
        try:
            raise ValueError("boom")
        except ValueError:
            logger.exception("failed")
        await asyncio.sleep(0)
    finally:
        log.leave()
    logging.getLogger("arbiter_tui.test").warning("late")
    await asyncio.sleep(0)
    assert told == [
        ("arbiter_tui.test: the password=*** is wrong", "warning"),
        ("arbiter_tui.test: failed (ValueError: boom)", "error"),
    ]
