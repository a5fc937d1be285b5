"""Log lines: one structlog configuration for every process. They carry ids, never names, addresses, bodies or tokens.

Ids of inbound events run from the request's line to the letter's.
"""

import logging
import sys
import threading
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO, cast

import orjson
import structlog

from engine import redaction
from engine.errors import GroundswellError
from engine.settings import Settings

# Dramatiq's own lines are left out: what fails in a job our middleware says once, a lost Redis our bells.
# Those of the providers' own packages show requests and keys at DEBUG: they stay at theirs whatever is asked of the others.
_QUIET = {
    "dramatiq": logging.CRITICAL + 1, "uvicorn": logging.WARNING, "alembic": logging.WARNING, "stripe": logging.WARNING,
    "python_http_client": logging.WARNING, "urllib3": logging.WARNING,
}  # fmt: skip


class _Json(structlog.processors.JSONRenderer):
    """Renders lines of this process as JSON."""

    def __init__(self, process: str) -> None:
        super().__init__(lambda line, **_: orjson.dumps(line, default=repr).decode())
        self.process = process


def without_values(exc_info: structlog.typing.ExcInfo) -> str:
    """A traceback without the errors' messages: those of a database repeat the row that it refused."""
    error: BaseException | None = exc_info[1]
    said: list[str] = []
    while error is not None:
        frames = "".join(traceback.format_tb(error.__traceback__))
        said.insert(0, f"Traceback (most recent call last):\n{frames}{_named(error)}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n\nthen\n\n".join(said)


def _named(error: BaseException) -> str:
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    if isinstance(error, GroundswellError):
        return f"{name}: {error}"
    diagnosis = getattr(getattr(error, "orig", error), "diag", None)
    parts = [getattr(diagnosis, part, None) for part in ("sqlstate", "table_name", "column_name", "constraint_name")]
    return " ".join([name, *(part for part in parts if part)])


def configure(settings: Settings, process: str) -> None:
    """Send our lines and the libraries' to standard error. `process` names this process in each line."""
    structlog.contextvars.clear_contextvars()
    guarded = cast("TextIO", redaction.Guarded(sys.stderr, redaction.Redactor(settings.secrets)))
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        lambda _, __, line: {**line, "timestamp": datetime.now(UTC).isoformat(), "process": process},
        structlog.processors.ExceptionRenderer(without_values),
    ]
    last: structlog.typing.Processor = (
        _Json(process)
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), sort_keys=False, pad_level=False)
    )
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(guarded),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(guarded)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name, level in _QUIET.items():
        logging.getLogger(name).setLevel(level)
    sys.excepthook = lambda kind, error, trace: _last_words(kind, error, trace, "the process ends")
    threading.excepthook = lambda told: _last_words(told.exc_type, told.exc_value, told.exc_traceback, "a thread ends")


def _last_words(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None, event: str
) -> None:
    """An error that nobody caught: Python itself would write what it says, a row that a database refused, too."""
    if issubclass(kind, KeyboardInterrupt | SystemExit) or error is None:
        return
    structlog.get_logger(__name__).critical(event, exc_info=(kind, error, trace))


class Lines:
    """Many lines of one event at level info. Made after `configure`.

    JSON lines, production's, are made here at a fraction of what structlog takes, and look the same. They wait until
    `flush`, so that what ends together is written together.
    """

    def __init__(self, event: str) -> None:
        self._event = event
        self._process = _json_process()
        self._logger = structlog.get_logger().bind()
        self._waiting: list[bytes] = []

    def add(self, fields: dict[str, object]) -> bool:
        """Say it. Returns whether `flush` is to be called soon, which nobody was told yet."""
        if self._process is None:
            self._logger.info(self._event, **fields)
            return False
        fields |= {"event": self._event, "level": "info", "timestamp": datetime.now(UTC), "process": self._process}
        self._waiting.append(orjson.dumps(fields, default=repr, option=orjson.OPT_APPEND_NEWLINE))
        return len(self._waiting) == 1

    def flush(self) -> None:
        """Write what waits."""
        sys.stderr.buffer.write(b"".join(self._waiting))
        sys.stderr.buffer.flush()
        self._waiting.clear()


def _json_process() -> str | None:
    """The name of this process when its lines are JSON by `configure`."""
    last = structlog.get_config()["processors"][-1]
    return last.process if isinstance(last, _Json) else None
