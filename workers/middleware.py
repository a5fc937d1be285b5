"""Around every bell that a worker answers: a clean log context, a count, a time."""

from time import perf_counter
from typing import Any

import structlog
from dramatiq import Broker
from dramatiq.middleware import Middleware

from engine import metrics


class Jobs(Middleware):
    """Counts and times jobs, by queue and outcome."""

    def before_process_message(self, _: Broker, message: Any) -> None:
        """Start the watch with an empty log context."""
        structlog.contextvars.clear_contextvars()
        message.options["started"] = perf_counter()

    def after_process_message(
        self, _: Broker, message: Any, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        """Stop it; a failed job is logged with its traceback, its rows are tried again by themselves."""
        del result  # Dramatiq passes it by name; our actors return nothing
        queue = message.queue_name
        metrics.JOBS.labels(queue, "failed" if exception else "done").inc()
        metrics.JOB_SECONDS.labels(queue).observe(perf_counter() - message.options["started"])
        if exception:
            structlog.get_logger(__name__).error("job failed", queue=queue, exc_info=exception)
