"""What is shipped for running in production (compose.yaml, systemd units, nginx, Caddy) is whole, strict, and of one mind."""

import os
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from annotated_types import Le

from engine import command_lines
from engine.cli import app as command
from engine.settings import ROOT, Settings
from webhooks.protocol import LAST_SECONDS
from workers.main import GROUPS

DEPLOY = ROOT / "deploy"
UNITS = DEPLOY / "systemd"
SHARED = UNITS / "groundswell-.service.d" / "10-all.conf"
LONGEST_DRAIN = next(each.le for each in Settings.model_fields["drain_seconds"].metadata if isinstance(each, Le))
INSTALLED = "/opt/groundswell"
OURS = (
    "build image logging init restart stop_grace_period read_only tmpfs cap_drop security_opt env_file environment "
    "depends_on healthcheck command ports mem_limit deploy"
)
SERVERS = "image logging restart stop_grace_period shm_size command environment volumes healthcheck"
SECTIONS = {
    "Unit": "Description PartOf Wants After StartLimitIntervalSec",
    "Install": "WantedBy",
    "Service": "Type ExecStart Environment EnvironmentFile MemoryMax Restart RestartSec TimeoutStartSec TimeoutStopSec "
    "WorkingDirectory KillMode DynamicUser User UMask NoNewPrivileges CapabilityBoundingSet AmbientCapabilities "
    "ProtectSystem ProtectHome PrivateTmp PrivateDevices PrivateUsers ProtectProc ProcSubset ProtectClock "
    "ProtectControlGroups ProtectHostname ProtectKernelLogs ProtectKernelModules ProtectKernelTunables "
    "LockPersonality MemoryDenyWriteExecute RemoveIPC RestrictAddressFamilies RestrictNamespaces RestrictRealtime "
    "RestrictSUIDSGID SystemCallArchitectures SystemCallFilter SystemCallErrorNumber TasksMax",
}
Unit = Mapping[str, Mapping[str, list[str]]]


class _Strict(yaml.SafeLoader):
    """Refuses a key that stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        if doubled := {key for key in keys if keys.count(key) > 1}:
            raise ValueError(f"twice: {doubled}")
        return super().construct_mapping(node, deep)


def composed(text: str) -> dict[str, Any]:
    """compose.yaml, with all that a service inherits."""
    return dict(yaml.load(text, _Strict))


COMPOSE = composed((ROOT / "compose.yaml").read_text("utf-8"))
PROCESSES = {name: one for name, one in COMPOSE["services"].items() if name not in ("postgres", "redis")}


def understood(words: list[str]) -> dict[str, Any]:
    """The options of a command line of ours. Raises when it is none."""
    group = typer.main.get_command(command)
    commands = getattr(group, "commands", {})
    return dict(commands[words[0]].make_context(words[0], words[1:]).params)


def seconds(written: str) -> int:
    assert re.fullmatch(r"\d+s", written)
    return int(written[:-1])


def read(text: str) -> Unit:
    """A unit file. Raises on what is no line of one, and on settings that we do not know."""
    found: dict[str, dict[str, list[str]]] = {}
    section = ""
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if head := re.fullmatch(r"\[(\w+)\]", line):
            section = head[1]
            found[section] = defaultdict(list)
            continue
        name, mark, value = line.partition("=")
        if not mark or name not in SECTIONS[section].split():
            raise ValueError(f"{line} under [{section}]")
        found[section][name].append(value)
    return found


def services() -> dict[str, Unit]:
    return {path.name: read(path.read_text("utf-8")) for path in UNITS.glob("*.service")}


def wanted() -> list[str]:
    """What the target starts."""
    lines = read((UNITS / "groundswell.target").read_text("utf-8"))["Unit"]["Wants"]
    return [name for line in lines for name in line.split()]


def lines_of(name: str, told: str) -> list[str]:
    return re.findall(told, (DEPLOY / name).read_text("utf-8"))


def test_every_process_in_compose_is_a_command_of_ours_confined_and_looked_after():
    assert {name: set(one) - set(OURS.split()) for name, one in PROCESSES.items()} == {
        name: set() for name in PROCESSES
    }
    for name, one in PROCESSES.items():
        understood(one["command"])
        assert (one["read_only"], one["init"], one["tmpfs"]) == (True, True, ["/tmp"]), name
        assert (one["cap_drop"], one["security_opt"]) == (["ALL"], ["no-new-privileges:true"]), name
        assert seconds(one["stop_grace_period"]) * 1000 > command_lines.SHUTDOWN_MS
        assert seconds(one["stop_grace_period"]) > command_lines.END_SECONDS + LONGEST_DRAIN
        if name != "migrate":
            assert one["restart"] == "unless-stopped"
            assert one["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
            assert one["mem_limit"] == "1g"
            port = 8000 if one["command"][0] == "web" else int(one["environment"]["METRICS_PORT"])
            assert f"127.0.0.1:{port}/" in one["healthcheck"]["test"][-1]
    groups = [one["command"][-1] for one in PROCESSES.values() if one["command"][0] == "worker"]
    assert sorted(groups) == sorted(GROUPS)


def test_the_servers_in_compose_keep_what_they_have_and_are_asked_whether_they_live():
    for name in ("postgres", "redis"):
        one = COMPOSE["services"][name]
        assert set(one) <= set(SERVERS.split())
        assert one["volumes"][0].partition(":")[0] in COMPOSE["volumes"]
        assert one["healthcheck"]["test"][0] == "CMD"
        assert "ports" not in one
    assert "--appendonly yes" in " ".join(COMPOSE["services"]["redis"]["command"])


def test_compose_takes_servers_of_your_own_from_its_settings_and_its_own_role_is_no_superuser():
    for one in PROCESSES.values():
        assert {name: one["environment"][name].partition(":-")[0] for name in ("DATABASE_URL", "REDIS_URL")} == {
            "DATABASE_URL": "${DATABASE_URL", "REDIS_URL": "${REDIS_URL",
        }  # fmt: skip
    postgres = COMPOSE["services"]["postgres"]
    place, _, entry = postgres["volumes"][1].partition(":")
    assert entry.startswith("/docker-entrypoint-initdb.d/")
    script = (ROOT / place).read_text("utf-8")
    assert "CREATE ROLE groundswell LOGIN PASSWORD" in script
    assert "SUPERUSER" not in script
    assert postgres["environment"]["POSTGRES_USER"] == "postgres"


def test_the_webs_are_where_both_proxies_look_for_them():
    published = {
        str(one["ports"][0]): understood(one["command"])["only"] for one in PROCESSES.values() if "ports" in one
    }
    assert published == {
        "127.0.0.1:8000:8000": "hooks,pages", "127.0.0.1:8001:8000": "hooks,pages",
        "127.0.0.1:8002:8000": "staff,api", "127.0.0.1:8003:8000": "staff,api",
    }  # fmt: skip
    assert lines_of("nginx.conf", r"(?m)^ +server 127\.0\.0\.1:(\d+) max_fails") == ["8000", "8001", "8002", "8003"]
    caddys = set(lines_of("Caddyfile", r"reverse_proxy 127\.0\.0\.1:(\d+) 127\.0\.0\.1:(\d+) \{"))
    assert caddys == {("8000", "8001"), ("8002", "8003")}
    units = [understood(started(name)) for name in wanted() if "web@" in name or "staff@" in name]
    assert [(one["only"], one["port"]) for one in units] == [
        ("hooks,pages", 8000), ("hooks,pages", 8001), ("staff,api", 8002), ("staff,api", 8003)
    ]  # fmt: skip


def started(instance: str) -> list[str]:
    """The words of our command that this instance runs."""
    name, _, called = instance.removesuffix(".service").partition("@")
    unit = services()[f"{name}@.service" if called else f"{name}.service"]["Service"]
    (line,) = unit["ExecStart"]
    variables = dict(each.split("=", 1) for each in unit.get("Environment", []))
    for variable, value in variables.items():
        line = line.replace(f"${{{variable}}}", value)
    program, *words = line.replace("%i", called).split()
    assert program == f"{INSTALLED}/.venv/bin/groundswell"
    return words


def test_the_target_starts_every_group_and_every_kind_of_process_and_nothing_that_is_not_there():
    words = [started(name) for name in wanted()]
    assert [understood(each)["group"] for each in words if each[0] == "worker"] == list(GROUPS)
    assert {each[0] for each in words} == {"web", "worker", "pulse"}
    assert started("groundswell-migrate.service") == ["migrate"]
    for name, unit in services().items():
        assert unit["Service"]["MemoryMax"] != [], name
        if name != "groundswell-migrate.service":
            assert (unit["Service"]["Restart"], unit["Unit"]["PartOf"]) == (["always"], ["groundswell.target"])


def numbers_of(instance: str) -> str:
    """The port of its numbers, as its unit and its drop-ins say."""
    name, _, called = instance.removesuffix(".service").partition("@")
    texts = [(UNITS / f"{name}@.service").read_text("utf-8")]
    texts += [path.read_text("utf-8") for path in UNITS.glob(f"{instance}.d/*.conf")]
    (port,) = [
        each.removeprefix("METRICS_PORT=").replace("%i", called) for one in texts
        for each in read(one)["Service"]["Environment"] if each.startswith("METRICS_PORT=")
    ]  # fmt: skip
    return port


def test_every_unit_has_a_port_for_its_numbers_and_the_page_on_watching_lists_them():
    ports = [numbers_of(name) for name in wanted()]
    assert len(ports) == len(set(ports)) == 11
    page = (ROOT / "docs" / "watching.md").read_text("utf-8")
    assert [port for port in ports if f'"127.0.0.1:{port}"' not in page] == []
    assert [name for name in PROCESSES if name != "migrate" and f'"{name}"' not in page] == []


def test_what_holds_for_all_units_confines_them_and_lets_them_end():
    shared = read(SHARED.read_text("utf-8"))
    yes = (
        "DynamicUser NoNewPrivileges PrivateTmp PrivateDevices PrivateUsers ProtectHome ProtectClock ProtectControlGroups "
        "ProtectHostname ProtectKernelLogs ProtectKernelModules ProtectKernelTunables LockPersonality RemoveIPC "
        "MemoryDenyWriteExecute RestrictNamespaces RestrictRealtime RestrictSUIDSGID"
    )
    service = shared["Service"]
    assert {name: service[name] for name in yes.split()} == {name: ["yes"] for name in yes.split()}
    assert (service["ProtectSystem"], service["CapabilityBoundingSet"]) == (["strict"], [""])
    assert service["KillMode"] == ["mixed"]  # whoever is told twice to end drops what is under way
    assert int(service["TimeoutStopSec"][0]) * 1000 > command_lines.SHUTDOWN_MS
    assert shared["Unit"]["StartLimitIntervalSec"] == ["0"]


def test_systemd_itself_takes_the_units_where_it_is(tmp_path: Path):
    """As ours does everywhere: what it would refuse most likely is a line that is none, or an unknown setting."""
    with pytest.raises(ValueError, match=r"NoNewPrivilege=yes under \[Service\]"):
        read("[Service]\nNoNewPrivilege=yes\n")
    with pytest.raises(ValueError, match="yes"):
        read("[Service]\nyes\n")
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return
    shutil.copytree(UNITS, tmp_path / "units")
    program = shutil.which("true")
    for path in (tmp_path / "units").rglob("*"):
        if path.is_file():
            text = path.read_text("utf-8").replace(f"{INSTALLED}/.venv/bin/groundswell", str(program))
            path.write_text(text.replace(INSTALLED, "/"), "utf-8")
    paths = [tmp_path / "units" / name for name in ("groundswell.target", *services())]
    environment = {"SYSTEMD_UNIT_PATH": f"{tmp_path}/units:"}
    done = subprocess.run(
        [analyze, "verify", "--man=no", *paths], env=environment, capture_output=True, text=True, check=False
    )
    about_ours = [line for line in done.stderr.splitlines() if "groundswell" in line]
    assert (done.returncode, about_ours) == (0, [])


def test_both_proxies_have_the_same_limits():
    nginx, caddy = (DEPLOY / name for name in ("nginx.conf", "Caddyfile"))
    sizes = {"16k": "16KiB", "256k": "256KiB", "1m": "1MiB", "2m": "2MiB"}
    places = re.findall(r"location (?:= )?(/\S*) \{\n\s+client_max_body_size (\w+);", nginx.read_text("utf-8"))
    measured = re.findall(r"handle (/\S+) \{\n\s+import at_most (\S+) (\d+)", caddy.read_text("utf-8"))
    ours = {place.rstrip("*"): size for place, size, _ in measured}
    assert {place: sizes[size] for place, size in places if place not in ("/staff", "/api/")} == ours
    told = re.findall(r"import at_most (\d+)(KiB|MiB) (\d+)", caddy.read_text("utf-8"))
    assert all(int(size) * {"KiB": 1024, "MiB": 1024**2}[unit] == int(long) for size, unit, long in told)
    assert {"header": 10, "idle": 10}.items() <= {
        name: int(value) for name, value in re.findall(r"(header|idle) (\d+)s", caddy.read_text("utf-8"))
    }.items()
    assert "large_client_header_buffers 4 8k;" in nginx.read_text("utf-8")
    assert "max_header_size 32KB" in caddy.read_text("utf-8")


def test_a_web_that_ends_keeps_idle_connections_longer_than_the_proxies_do():
    kept = command_lines.END_SECONDS - LAST_SECONDS
    nginx = lines_of("nginx.conf", r"(?m)^ +keepalive_timeout (\d+)s;$")
    caddy = lines_of("Caddyfile", r"(?m)^\t+keepalive (\d+)s$")
    assert nginx
    assert caddy
    assert all(int(each) + 1 < kept < command_lines.KEEP_ALIVE_SECONDS for each in (*nginx, *caddy))


def test_these_checks_can_fail():
    with pytest.raises(ValueError, match="twice"):
        composed("a: 1\na: 2\n")
    with pytest.raises(Exception, match="nothing"):
        understood(["web", "--nothing"])


@pytest.mark.parametrize("kept", [(), ("SECRET_KEY", "STRIPE_API_KEY")], ids=["none", "secrets in files"])
def test_the_command_beside_the_units_has_their_settings_user_and_secrets(tmp_path, kept):
    (tmp_path / "systemd-run").write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$LOG"\n')
    (tmp_path / "systemd-run").chmod(0o755)
    (tmp_path / "secrets").mkdir()
    for name in kept:
        (tmp_path / "secrets" / name).write_text("x")
    environment = {"PATH": f"{tmp_path}:{os.defpath}", "LOG": str(tmp_path / "log")}
    environment |= {"GROUNDSWELL_SECRETS": str(tmp_path / "secrets")}
    subprocess.run([DEPLOY / "groundswell", "notices", "a b"], env=environment, check=True)
    words = (tmp_path / "log").read_text().splitlines()
    assert words[-3:] == [f"{INSTALLED}/.venv/bin/groundswell", "notices", "a b"]
    shared = read(SHARED.read_text("utf-8"))["Service"]
    assert {f"--property={name}={shared[name][0]}" for name in ("DynamicUser", "User", "UMask", "EnvironmentFile")} <= {
        *words
    }
    loaded = [f"--property=LoadCredential={name}:{tmp_path}/secrets/{name}" for name in kept]
    assert [word for word in words if "LoadCredential" in word] == loaded
    assert ("/bin/sh" in words) == bool(kept)


STUB = """#!/bin/sh
echo "$(basename "$0") $*" >> "$LOG"
case "$*" in
    list-units*web*) printf 'groundswell-web@8000.service loaded active\\ngroundswell-web@8001.service loaded active\\n' ;;
    list-units*pulse*) printf 'groundswell-pulse@1.service loaded active\\n' ;;
    *:8001/readyz) exit "$SECOND" ;;
esac
"""


@pytest.mark.parametrize("second", [0, 1], ids=["all come back", "the second does not"])
def test_a_rolling_restart_asks_each_web_before_it_ends_the_next_and_stops_at_one_that_does_not_come_back(
    tmp_path, second
):
    for name in ("systemctl", "curl"):
        (tmp_path / name).write_text(STUB)
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.defpath}", "LOG": str(tmp_path / "log"), "SECOND": str(second)}
    environment |= {"READY_SECONDS": "0", "SETTLE_SECONDS": "0"}
    done = subprocess.run([DEPLOY / "rolling-restart.sh"], env=environment, capture_output=True, text=True, check=False)
    acts = [line for line in (tmp_path / "log").read_text().splitlines() if "list-units" not in line]
    webs = [
        "systemctl restart groundswell-web@8000.service",
        "curl --fail --silent --output /dev/null --max-time 4 --header Host: localhost http://127.0.0.1:8000/readyz",
        "systemctl restart groundswell-web@8001.service",
        "curl --fail --silent --output /dev/null --max-time 4 --header Host: localhost http://127.0.0.1:8001/readyz",
    ]
    pulse = ["systemctl restart groundswell-pulse@1.service", "systemctl is-active --quiet groundswell-pulse@1.service"]
    assert (done.returncode, acts) == ((0, webs + pulse) if second == 0 else (1, webs))
    assert ("groundswell-web@8001.service is not ready" in done.stderr) == bool(second)
