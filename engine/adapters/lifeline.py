"""Dying with one's parent, however it dies. Linux only; elsewhere orphans are found by the next `up`."""

import ctypes
import os
import shutil
import signal
import sys

_PR_SET_PDEATHSIG = 1


def tied(how: signal.Signals) -> tuple[str, ...]:
    """What to put before a command that cannot ask for itself, so that it gets `how` when its parent is gone."""
    return ("setpriv", "--pdeathsig", how.name[3:], "--") if shutil.which("setpriv") else ()


def die_with_parent(how: signal.Signals = signal.SIGKILL) -> None:
    """Ask the kernel to send `how` to this process when the process that started it is gone."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, how, 0, 0, 0)
    if os.getppid() != parent:  # it died in between
        os.kill(os.getpid(), how)
