"""Where processes of a negative control begin: the product's own, after a safeguard was taken away from it.

`bench.torture.process:web` for uvicorn, `bench.torture.process:worker` for Dramatiq, `python -m bench.torture.process` for
the pulse. TORTURE_WITHOUT names the safeguard; with TORTURE_KEPT it is kept, and only what it is against is provoked.
"""

import os

from starlette.applications import Starlette

from bench.torture import without
from bench.torture.without import Safeguard
from engine.bootstrap import start
from webhooks import app
from workers import main, pulse


def _armed() -> Safeguard:
    return without.arm(os.environ["TORTURE_WITHOUT"], kept=bool(os.environ.get("TORTURE_KEPT")))


def web() -> Starlette:
    """As `webhooks.app.main`."""
    lacking = _armed()
    deps = start("web")
    built = app.build(deps, deps.settings.web_only.split(","), writer=lacking.writer(deps))
    app.settle()
    return built


def worker() -> None:
    """As `workers.main.setup`."""
    _armed()
    main.setup()


if __name__ == "__main__":
    _armed()
    pulse.main()
