"""Log lines: one structlog configuration for every process. They carry ids, never names, addresses, bodies or tokens.

`event` ids bound in `structlog.contextvars` by the edges run from the request to the letter.
"""

import logging
import sys

import structlog

from engine.settings import Settings

_QUIET = {"dramatiq": logging.ERROR, "uvicorn": logging.WARNING, "alembic": logging.WARNING, "urllib3": logging.WARNING}


def configure(settings: Settings, process: str) -> None:
    """Send our lines and the libraries' to standard error. `process` names this process in each line."""
    structlog.contextvars.clear_contextvars()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        lambda _, __, line: {**line, "process": process},
        structlog.processors.format_exc_info,
    ]
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), sort_keys=False, pad_level=False)
    )
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name, level in _QUIET.items():
        logging.getLogger(name).setLevel(level)
