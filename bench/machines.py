"""Machines that are not there: network namespaces with addresses of their own on one bridge, of which one can be cut off.

Needs root and `ip` and `bridge` (iproute2). This machine is on the bridge, too, as its first address.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from bench.report import Failed

NETWORK = "10.231.77"
BITS = 24


@dataclass(frozen=True, slots=True)
class Machine:
    """One of them: its name, its address, the end of its cable at the bridge."""

    name: str
    address: str
    cable: str

    @property
    def before(self) -> tuple[str, ...]:
        """What stands before a command that shall run there."""
        return ("ip", "netns", "exec", self.name)

    def unplug(self) -> None:
        """Its cable is pulled: its own end sees no carrier."""
        _run("ip", "link", "set", self.cable, "down")

    def silence(self) -> None:
        """Every packet from and to it is lost, and nobody is told: connections are half open."""
        _run("bridge", "link", "set", "dev", self.cable, "state", "0")

    def heal(self) -> None:
        """All is as it was."""
        _run("ip", "link", "set", self.cable, "up")
        _run("bridge", "link", "set", "dev", self.cable, "state", "3")


@contextmanager
def network(names: Sequence[str]) -> Iterator[tuple[str, list[Machine]]]:
    """The address of this machine on the bridge, and the others; gone afterwards. Raises Failed where they cannot be made."""
    if os.geteuid() != 0 or not (shutil.which("ip") and shutil.which("bridge")):
        raise Failed("network namespaces need root, and `ip` and `bridge` (apt-get install iproute2)")
    mark = f"gs{os.getpid() % 100_000}"
    with ExitStack() as ending:
        ending.callback(partial(_run, "ip", "link", "del", mark, check=False))
        _run("ip", "link", "add", mark, "type", "bridge")
        _run("ip", "address", "add", f"{NETWORK}.1/{BITS}", "dev", mark)
        _run("ip", "link", "set", mark, "up")
        made = [Machine(f"{mark}-{name}", f"{NETWORK}.{10 + n}", f"{mark}{name}") for n, name in enumerate(names)]
        for one in made:
            ending.callback(partial(_run, "ip", "netns", "del", one.name, check=False))
            _plug(one, mark)
        yield f"{NETWORK}.1", made


def _plug(one: Machine, switch: str) -> None:
    _run("ip", "netns", "add", one.name)
    _run("ip", "link", "add", one.cable, "type", "veth", "peer", "name", "eth0", "netns", one.name)
    _run("ip", "link", "set", one.cable, "master", switch, "up")
    inside = ("ip", "-n", one.name)
    _run(*inside, "address", "add", f"{one.address}/{BITS}", "dev", "eth0")
    _run(*inside, "link", "set", "eth0", "up")
    _run(*inside, "link", "set", "lo", "up")


def _run(*command: str, check: bool = True) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(command)}: {done.stderr.strip()}")
