"""deploy/nginx.conf in front of two web processes on one machine, as the site describes it."""

import asyncio
import shutil
import ssl
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from course.content.chapters import ROOT, find_chapter
from course.processes import HOST, free_port, is_free
from course.testkit import (
    Follower,
    RunningProject,
    eventually,
    expect,
    expect_that,
    run_async,
    running,
)

FOLDER = find_chapter("05").folder
CERTIFICATE = (
    "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost "
    "-keyout key.pem -out cert.pem"
)
MISSING = [program for program in ("nginx", "openssl") if not shutil.which(program)]

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]


@pytest.fixture
def project() -> Iterator[RunningProject]:
    with ExitStack() as stack:
        project = stack.enter_context(running(FOLDER, settings={"WS_FALLBACK_POLL_SECONDS": 60}))
        project.start_web()
        yield project


def start_nginx(
    project: RunningProject, tmp_path: Path, without: str = "no such line", most: int = 2000
) -> int:
    """The port of nginx, with the configuration as it is but for the ports, or a line less, or
    another number of connections of one address.
    """
    port = free_port()
    lines = (ROOT / "deploy" / "nginx.conf").read_text().replace("8443", str(port)).splitlines()
    nginx = "\n".join(line for line in lines if without not in line)
    nginx = nginx.replace("limit_conn clients 2000", f"limit_conn clients {most}")
    (tmp_path / "nginx.conf").write_text(nginx)
    web = (ROOT / "docs" / "under" / "files" / "web.conf").read_text()
    for number, one in zip(("8010", "8020"), project.webs, strict=True):
        web = web.replace(number, str(one.port))
    (tmp_path / "web.conf").write_text(web)
    (tmp_path / "certificate").mkdir()
    subprocess.run(
        CERTIFICATE.split(), cwd=tmp_path / "certificate", check=True, capture_output=True
    )
    command = f"nginx -p {tmp_path} -c {tmp_path}/nginx.conf -g 'daemon off;'"
    process = project.launch("nginx", command)
    project.wait_ready(process, lambda: not is_free(port))
    return port


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@pytest.mark.parametrize(
    ("without", "status", "log"),
    [("Host $http_host", 403, '" 403'), ("Upgrade $http_upgrade", 404, "404 Not Found")],
)
def test_line_that_decides(
    project: RunningProject, tmp_path: Path, without: str, status: int, log: str
) -> None:
    """Without it the handshake fails as the site says."""
    port = start_nginx(project, tmp_path, without)
    url = f"wss://{HOST}:{port}/ws/task_status/{uuid.uuid4()}"
    with pytest.raises(InvalidStatus) as refused:
        connect(url, origin=Origin(f"https://{HOST}:{port}"), ssl=trusting())
    assert refused.value.response.status_code == status
    eventually(
        lambda: [line for web in project.webs for line in web.process.lines],
        lambda lines: any("/ws/task_status/" in line and log in line for line in lines),
        "the web process's log says so",
        within=10,
    )


def test_two_web_processes_behind_nginx(project: RunningProject, tmp_path: Path) -> None:
    """Four sockets over TLS go to the two web processes in turn, and all are told the end."""
    port = start_nginx(project, tmp_path)
    task_id = project.subscribe("slow+1.5@example.com")
    with ExitStack() as stack:
        followers = [
            Follower(
                stack.enter_context(
                    connect(
                        f"wss://{HOST}:{port}/ws/task_status/{task_id}",
                        origin=Origin(f"https://{HOST}:{port}"),
                        ssl=trusting(),
                    )
                )
            )
            for _ in range(4)
        ]
        states = [follower.until_final()["state"] for follower in followers]
    expect("the last states", states, ["SUCCESS"] * 4)
    sockets = [sum("[accepted]" in line for line in web.process.lines) for web in project.webs]
    expect_that(sockets == [2, 2], "two sockets at each web process", sockets)


HEADERS = "Host: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n"
SLOW = {  # what each client sends at first, and then every second
    "silent": (b"", b""),
    "half of the headers": (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n", b""),
    "a header a second": (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"X: 1\r\n"),
    "half of a body": (f"POST /subscriptions HTTP/1.1\r\n{HEADERS}\r\n".encode(), b""),
}


async def seconds_until_closed(port: int, first: bytes, every_second: bytes) -> float:
    start = time.monotonic()
    try:
        reader, writer = await asyncio.open_connection(HOST, port, ssl=trusting())
    except ConnectionResetError:  # a busy machine did not get further than the handshake
        return time.monotonic() - start
    writer.write(first)
    closed = asyncio.create_task(reader.read())
    while not closed.done():
        expect_that(time.monotonic() - start < 20, "closed within 20 s", "still open")
        writer.write(every_second)
        await asyncio.wait([closed], timeout=1)
    writer.close()
    return time.monotonic() - start


def test_slow_clients_are_let_go(project: RunningProject, tmp_path: Path) -> None:
    """Slowloris: 50 clients of each kind are closed after 10 s; others are served meanwhile."""
    port = start_nginx(project, tmp_path)
    page = httpx.AsyncClient(verify=False, trust_env=False, timeout=5)

    async def crowd() -> dict[str, list[float]]:
        clients = {
            kind: [asyncio.create_task(seconds_until_closed(port, *slow)) for _ in range(50)]
            for kind, slow in SLOW.items()
        }
        await asyncio.sleep(3)  # all of them are connected, none is closed yet
        answer = await page.get(f"https://{HOST}:{port}/")
        expect("the status for another client", answer.status_code, 200)
        await page.aclose()
        return {kind: await asyncio.gather(*clients[kind]) for kind in clients}

    for kind, seconds in run_async(crowd).items():
        expect_that(
            min(seconds) > 9 and max(seconds) < 15,
            f"{kind}: closed after 10 s",
            f"after {min(seconds):.1f} to {max(seconds):.1f} s",
            look_at="deploy/nginx.conf",
        )


def test_connections_of_one_address_are_limited(project: RunningProject, tmp_path: Path) -> None:
    """One more than allowed is answered with 429, before a web process sees it."""
    port = start_nginx(project, tmp_path, most=4)
    context = trusting()
    task_id = project.subscribe("slow+60@example.com")
    url = f"wss://{HOST}:{port}/ws/task_status/{task_id}"
    origin = Origin(f"https://{HOST}:{port}")
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(connect(url, origin=origin, ssl=context))
        with pytest.raises(InvalidStatus) as refused:
            connect(url, origin=origin, ssl=context)
        expect("the status of the fifth", refused.value.response.status_code, 429)
    eventually(
        lambda: httpx.get(f"https://{HOST}:{port}/", verify=False).status_code,
        lambda status: status == 200,
        "served again when the four have left",
        within=5,
    )


def test_certificates_command_is_the_sites() -> None:
    """The command that makes the certificate stands on the page."""
    assert CERTIFICATE in (ROOT / "docs" / "under" / "scale.md").read_text()
