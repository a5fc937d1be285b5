"""The real nginx, with the configuration that is shipped: other addresses and paths, everything else as it stands."""

import os
import pwd
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from engine.settings import ROOT
from tests.system import free_port

NGINX = shutil.which("nginx", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")
SHIPPED = ROOT / "deploy" / "nginx.conf"
HOST = "give.example.org"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@dataclass(frozen=True)
class Nginx:
    """One running nginx: its folder, its ports for https and http, what it takes us to trust."""

    folder: Path
    https: int
    http: int
    trusting: ssl.SSLContext

    @property
    def log(self) -> str:
        """Everything it has written: access log and error log."""
        return "".join((self.folder / name).read_text("utf-8", "replace") for name in ("access.log", "error.log"))


def rendered(folder: Path, https: int, http: int, webs: Sequence[str], staff: Sequence[str]) -> str:
    """The shipped file with this folder's paths and ports of this machine, and the addresses of two webs and two of staff."""
    upstreams = {f"server 127.0.0.1:{8000 + n} ": f"server {at} " for n, at in enumerate((*webs, *staff))}
    ours = {
        "user www-data;": f"user {pwd.getpwuid(os.getuid()).pw_name};" if os.getuid() == 0 else "",
        "/run/nginx.pid": f"{folder}/nginx.pid",
        "/var/log/nginx/": f"{folder}/",
        "/var/www/letsencrypt": f"{folder}",
        f"/etc/letsencrypt/live/{HOST}/": f"{folder}/",
        "listen 443": f"listen 127.0.0.1:{https}",
        "listen 80": f"listen 127.0.0.1:{http}",
        "listen [::]:443": f"listen 127.0.0.2:{https}",  # a machine need not have IPv6
        "listen [::]:80": f"listen 127.0.0.2:{http}",
        **upstreams,
        "http {": "http {\n" + "".join(f"{name}_temp_path {folder}/{name};\n" for name in TEMPORARY),
    }
    text = SHIPPED.read_text("utf-8")
    for shipped, here in ours.items():
        assert shipped in text, f"deploy/nginx.conf no longer says {shipped}"
        text = text.replace(shipped, here)
    return text


@contextmanager
def started(folder: Path, web: int, staff: int) -> Iterator[Nginx]:
    """Run it in front of these two ports, each process alone, until the end of the block."""
    with before(folder, [f"127.0.0.1:{web}"] * 2, [f"127.0.0.1:{staff}"] * 2) as running:
        yield running


@contextmanager
def before(folder: Path, webs: Sequence[str], staff: Sequence[str]) -> Iterator[Nginx]:
    """Run it before two webs and two of staff until the end of the block."""
    assert NGINX is not None
    https, http = free_port(), free_port()
    trusting = certificate(folder)
    (folder / "nginx.conf").write_text(rendered(folder, https, http, webs, staff), "utf-8")
    command = (NGINX, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log", "-g", "daemon off;")
    with (folder / "nginx.out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
    try:
        _await_pid(folder, process)
        yield Nginx(folder, https, http, trusting)
    finally:
        process.terminate()
        process.wait(10)


def _await_pid(folder: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = monotonic() + 10
    pid = folder / "nginx.pid"
    while not (pid.exists() and pid.read_text().strip()):
        if process.poll() is not None or monotonic() > deadline:
            raise AssertionError("nginx did not start:\n" + (folder / "nginx.out").read_text("utf-8"))
        sleep(0.02)


def certificate(folder: Path) -> ssl.SSLContext:
    """A certificate of this run's own, for HOST; returns what a client needs to trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "fullchain.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return ssl.create_default_context(cafile=folder / "fullchain.pem")
