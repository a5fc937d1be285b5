"""What stands before a command so that it runs as in the image and under the units, without either: as a user who owns
nothing, without capabilities or a way to new ones, with every file system read-only but a /tmp of its own, and no memory that
is both written to and run (where the kernel can say so). Needs root, `unshare` and `setpriv`."""

import os
import shutil
import sys
from pathlib import Path

from bench.report import Failed

UID = 10001  # as the Dockerfile has it
_SCRIPT = """
set -e
scratch=$1 base=$2 closed=$3 uid=$4
shift 4
mount -t tmpfs -o mode=1777 tmpfs "$scratch"
if [ -n "$closed" ]; then
    mkdir "$scratch/.hold"
    mount --bind "$base" "$scratch/.hold"
    mount -t tmpfs -o mode=755 tmpfs "$closed"
    mkdir -p "$base"
    mount --move "$scratch/.hold" "$base"
    rmdir "$scratch/.hold"
fi
cut -d' ' -f2 /proc/self/mounts | while read -r at; do
    case $at in
        /proc*|/sys*|/dev*|"$scratch") ;;
        *) mount -o remount,bind,ro "$at" ;;
    esac
done
! touch "$base/written" 2>/dev/null
TMPDIR=$scratch PYTHONDONTWRITEBYTECODE=1
export TMPDIR PYTHONDONTWRITEBYTECODE
exec setpriv --reuid="$uid" --regid="$uid" --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs -- "$@"
"""
_REFUSE_EXEC_GAIN = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(65, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


def before(scratch: Path) -> tuple[str, ...]:
    """The words; `scratch`: an empty folder that becomes its /tmp. Raises Failed where it cannot be had."""
    if os.geteuid() != 0 or not (shutil.which("unshare") and shutil.which("setpriv")):
        raise Failed("confining a process needs root, unshare and setpriv (apt-get install util-linux)")
    scratch.mkdir()
    base = Path(sys.base_prefix)
    closed = next((str(each) for each in reversed(base.parents) if not each.stat().st_mode & 0o001), "")
    inside = ("unshare", "--mount", "--propagation", "private", "--", "sh", "-c", _SCRIPT, "confined")
    return (*inside, str(scratch), str(base), closed, str(UID), sys.executable, "-c", _REFUSE_EXEC_GAIN)
