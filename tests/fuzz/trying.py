"""One input, tried: bounded in time, and with no end but the two that a parser may have."""

import hashlib
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import process_time
from types import FrameType

from engine.settings import ROOT
from tests.fuzz.parsers import PARSERS, Parser, unfit

CORPUS = ROOT / "tests" / "corpus"
MOST_SECONDS = 4.0  # of this process' own time, for 64 KB at most


class TooLong(BaseException):
    """It did not end in time. No `except` of a parser's catches it."""


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Raises TooLong inside of the block once this process has worked for so long."""

    def ring(_: int, __: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def fault(parser: Parser, body: bytes, seconds: float = MOST_SECONDS) -> str:
    """What is wrong with how this was read; "" for nothing."""
    began = process_time()
    try:
        with bounded(seconds):
            said = parser.read(body)
            return "; ".join(list(unfit(said))[:3]) if parser.kept else ""
    except parser.refusals as error:
        return "; ".join(list(unfit(str(error)))[:3])
    except TooLong:
        return f"no end after {process_time() - began:.1f} seconds"
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        (*_, place) = traceback.extract_tb(error.__traceback__)
        ours = [
            f
            for f in traceback.extract_tb(error.__traceback__)
            if "/engine/" in f.filename or "/webhooks/" in f.filename
        ]
        where = ours[-1] if ours else place
        return f"{type(error).__name__}: {str(error)[:200]!r} at {Path(where.filename).name}:{where.lineno}"


def corpus(name: str) -> list[Path]:
    """The files that are kept for this parser."""
    return sorted((CORPUS / name).glob("*.bin"))


def keep(name: str, body: bytes) -> Path:
    """Keep an input for all runs to come."""
    path = CORPUS / name / f"{hashlib.sha256(body).hexdigest()[:12]}.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


def samples(name: str) -> list[bytes]:
    """What mutations begin with: real ones, and what is kept."""
    return [*PARSERS[name].samples(), *(path.read_bytes() for path in corpus(name))]
