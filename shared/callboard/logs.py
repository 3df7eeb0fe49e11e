"""Logging: structlog to standard error, plain for people on a terminal, JSON otherwise. No message bodies in it."""

import logging
import os
import sys

import structlog


def configure_logging(service: str = "", level: str = "") -> None:
    """Configure structlog for this process; `CALLBOARD_LOG` names the level (debug, info, warning, error)."""
    wanted = (level or os.environ.get("CALLBOARD_LOG", "info")).upper()
    number = logging.getLevelNamesMapping().get(wanted, logging.INFO)
    renderer = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(number),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    if service:
        structlog.contextvars.bind_contextvars(service=service)
