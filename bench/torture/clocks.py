"""Clocks that are wrong: processes whose wall clock is off by as many seconds as a file says, from one moment to the next.

A library of a few lines, compiled here, is loaded before theirs. Monotonic time stays true, as it does on a machine whose
clock is set. Without a C compiler there are no wrong clocks.
"""

import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

_LIBRARY = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long *offset;

__attribute__((constructor)) static void look(void) {
    const char *path = getenv("TORTURE_CLOCK");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file < 0) return;
    void *found = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    if (found != MAP_FAILED) offset = found;
    close(file);
}

int clock_gettime(clockid_t id, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(id, at);
    if (!failed && offset && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) at->tv_sec += *offset;
    return failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec found;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &found);
    at->tv_sec = found.tv_sec;
    at->tv_usec = found.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec found;
    clock_gettime(CLOCK_REALTIME, &found);
    if (at) *at = found.tv_sec;
    return found.tv_sec;
}
"""


class WrongClock:
    """A clock that some processes go by."""

    def __init__(self, library: Path, place: Path) -> None:
        self._library, self._place = library, place
        self.set(0)

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables of a process that goes by it."""
        return {"LD_PRELOAD": str(self._library), "TORTURE_CLOCK": str(self._place)}

    def set(self, seconds: int) -> None:
        """From now on it is this far from the true one."""
        told = struct.pack("l", seconds)
        if self._place.exists():
            with self._place.open("r+b") as file:  # in place: they look at this very file
                file.write(told)
        else:
            self._place.write_bytes(told)


def make(folder: Path, *names: str) -> dict[str, WrongClock]:
    """Clocks by these names; none where nothing can be compiled."""
    compiler = shutil.which("cc")
    if compiler is None:
        return {}
    library = folder / "clock.so"
    source = folder / "clock.c"
    source.write_text(_LIBRARY, "utf-8")
    done = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"], capture_output=True, check=False
    )
    return {name: WrongClock(library, folder / f"clock-{name}") for name in names} if done.returncode == 0 else {}
