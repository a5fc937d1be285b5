"""`python -m bench.torture.proxy`: a TCP proxy that misbehaves when told to, between the product and each of its outsides.

Its argument is JSON, {name: address}: "127.0.0.1:port" or the path of a unix socket; it prints {name: port}. Each line of
standard input, {"name", "mode", "seconds"}, sets how that way behaves from now on (MODES):

- pass: as if it were not there.
- delay: everything arrives `seconds` later, both ways, in order.
- reset: connections are cut with RST, each in the middle of something; new ones as well.
- half_open: the far end is gone and nobody is told: what is said is swallowed. When that ends, RST.
- blackhole: nothing arrives. When that ends everything does, late, as TCP sends again; also what was said by one that has
  given up meanwhile.
"""

import asyncio
import json
import random
import signal
import socket
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

HERE = Path(__file__).resolve().parents[2]
MODES = ("pass", "delay", "reset", "half_open", "blackhole")
CUT = 0.3  # how many of the pieces that pass in mode "reset" are the last


@dataclass
class Way:
    """One outside: where it is, how the way there behaves, and the connections on it."""

    name: str
    address: str
    mode: str = "pass"
    seconds: float = 0.0
    ends: set["End"] = field(default_factory=set)
    chance: random.Random = field(default_factory=lambda: random.Random(1))

    def behave(self, mode: str, seconds: float = 0.0) -> None:
        """From now on in this mode. Raises ValueError for one that there is not."""
        if mode not in MODES:
            raise ValueError(f"no mode {mode}")
        before, self.mode, self.seconds = self.mode, mode, seconds
        if before == "half_open" or mode == "reset":
            for end in list(self.ends):
                end.cut()
        if mode == "half_open":
            for end in list(self.ends):
                if end.far:
                    end.vanish()
        for end in list(self.ends):
            end.flush()

    async def listen(self) -> int:
        """Serve; returns the port."""
        server = await asyncio.get_running_loop().create_server(lambda: End(self), "127.0.0.1", 0, backlog=512)
        return int(server.sockets[0].getsockname()[1])

    async def connect(self, near: "End") -> None:
        """Find the far end for somebody who has come; whoever cannot be connected is cut off."""
        loop = asyncio.get_running_loop()
        try:
            if self.address.startswith("/"):
                await loop.create_unix_connection(lambda: End(self, near), self.address)
            else:
                host, _, port = self.address.rpartition(":")
                await loop.create_connection(lambda: End(self, near), host, int(port))
        except OSError:
            near.cut()


class End(asyncio.Protocol):
    """One end of a connection: near (who came to us) or far. What it says waits in its own queue."""

    def __init__(self, way: Way, other: "End | None" = None) -> None:
        self.way, self.other, self.far = way, other, other is not None
        self.transport: Any = None
        self.waiting: deque[tuple[float, bytes]] = deque()  # when it may leave; b"": it hung up
        self.loop = asyncio.get_running_loop()
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: Any) -> None:
        """Somebody came, or the far end answered."""
        self.transport = transport
        self.way.ends.add(self)
        if self.other is not None:  # the far end
            if self.other.transport is None or (self.other.transport.is_closing() and not self.other.waiting):
                transport.abort()
                return
            self.other.other = self
            self.other.flush()
        elif self.way.mode != "half_open":
            self.task = self.loop.create_task(self.way.connect(self))

    def data_received(self, data: bytes) -> None:
        """It said something."""
        if self.way.mode == "half_open":
            return
        self.say(data)

    def connection_lost(self, _: Exception | None) -> None:
        """It hung up: the other is told, in its turn."""
        self.say(b"")
        if not self.waiting:
            self.way.ends.discard(self)

    def say(self, data: bytes) -> None:
        """Put it behind what waits already, and let go what may."""
        delay = self.way.seconds if self.way.mode == "delay" else 0.0
        self.waiting.append((self.loop.time() + delay, data))
        self.flush()
        if self.waiting and delay:
            self.loop.call_later(delay, self.flush)

    def flush(self) -> None:
        """Hand on what may arrive now."""
        while self.waiting and self.other is not None and self.way.mode != "blackhole":
            due, data = self.waiting[0]
            if due > self.loop.time() + 0.001:
                return
            self.waiting.popleft()
            self.hand_on(data)
        if self.transport is None or self.transport.is_closing():
            self.way.ends.discard(self)

    def hand_on(self, data: bytes) -> None:
        """To the other end; in mode "reset" maybe only half of it."""
        other = self.other
        if other is None or other.transport is None or other.transport.is_closing():
            return
        if not data:
            other.transport.close()
        elif self.way.mode == "reset" and self.way.chance.random() < CUT:
            other.transport.write(data[: len(data) // 2])
            other.loop.call_soon(self.cut)
        else:
            other.transport.write(data)

    def cut(self) -> None:
        """RST to both ends."""
        for end in (self, self.other):
            if end is not None and end.transport is not None:
                end.waiting.clear()
                _reset(end.transport)

    def vanish(self) -> None:
        """The far end is gone, and the near one hears nothing of it."""
        if self.other is not None:
            self.other.waiting.clear()
            self.other.other = None
        self.other = None
        self.transport.abort()


def _reset(transport: Any) -> None:
    sock = transport.get_extra_info("socket")
    with suppress(OSError, AttributeError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


@dataclass(frozen=True, slots=True)
class Proxy:
    """One that runs: the port of each way, and how to set its mode."""

    ports: Mapping[str, int]
    _say: Any

    def set(self, name: str, mode: str, seconds: float = 0.0) -> None:
        """How the way to this outside behaves from now on."""
        self._say.write(json.dumps({"name": name, "mode": mode, "seconds": seconds}) + "\n")
        self._say.flush()


@contextmanager
def started(addresses: Mapping[str, str]) -> Iterator[Proxy]:
    """Run one in a process of its own, with a way to each of these."""
    command = (sys.executable, "-m", "bench.torture.proxy", json.dumps(dict(addresses)))
    with subprocess.Popen(command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Proxy(json.loads(process.stdout.readline()), process.stdin)
        finally:
            process.stdin.close()


async def _main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    ways = {name: Way(name, address) for name, address in json.loads(sys.argv[1]).items()}
    print(json.dumps({name: await way.listen() for name, way in ways.items()}), flush=True)
    while line := await reader.readline():
        told = json.loads(line)
        ways[told["name"]].behave(told["mode"], told["seconds"])


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the bench above
    uvloop.run(_main())
