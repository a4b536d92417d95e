"""Chapter 3: the server watches the result backend, and pushes what changes."""

import asyncio
import subprocess
import sys
import uuid
from pathlib import Path

import httpx
from websockets.sync.client import connect

from course.processes import HOST, Process, answers, free_port, project_environment, wait_for
from course.testkit import RunningProject, ahead, expect, expect_that, run_async

VIEWS = "project/ws/views.py"


def test_every_change_is_pushed(project: RunningProject) -> None:
    """Every change of the state is pushed, in order, each once."""
    task_id = project.subscribe(f"busy+2@{uuid.uuid4().hex}.example.com")
    with project.follow(task_id) as follower:
        expect("the last state", follower.until_final()["state"], "SUCCESS")
        expect_that(
            "RETRY" in follower.states,
            "RETRY among the states of a task that is tried three times",
            follower.states,
            usually="the view waits for the end only, and does not look in between",
            look_at=VIEWS,
        )


def test_watching_stops_when_the_client_leaves(project: RunningProject) -> None:
    """When 50 clients have come and gone, nothing is queried for them."""

    async def come_and_go(number: int) -> None:
        async with await project.open_socket(str(uuid.uuid4())) as socket:
            await asyncio.wait_for(socket.recv(), 10)
            if number % 2:
                socket.transport.abort()  # gone without a word, like a closed laptop

    async def crowd() -> None:
        await asyncio.gather(*(come_and_go(number) for number in range(50)))

    run_async(crowd)
    project.expect_lookups_to_stop(
        "clients that left",
        within=4,
        usually="a view that only sends never notices that its client left: receive, too",
        look_at=VIEWS,
    )


def test_lookups_grow_with_clients(project: RunningProject) -> None:
    """What is still wrong: queries grow with clients and time, on every web process."""
    webs = [project.web, project.another_web()]

    async def lookups_for(clients: int) -> int:
        task_id = str(uuid.uuid4())
        sockets = [await project.open_socket(task_id, webs[n % 2]) for n in range(clients)]
        await asyncio.sleep(0.5)
        lookups = await asyncio.to_thread(project.lookups_in_a_second)
        for socket in sockets:
            await socket.close()
        return lookups

    few = run_async(lambda: lookups_for(2))
    many = run_async(lambda: lookups_for(20))
    expect_that(
        many <= 200,
        "at most 10 queries a second for each of 20 clients",
        f"{many} queries a second",
        usually="the view queries the state again and again, without a wait in between",
        look_at=VIEWS,
    )
    if many <= 4 * max(few, 1):
        ahead(f"{few} queries a second for 2 clients, {many} for 20; chapter 4 needs as few")


def test_raw_asgi_speaks_first(folder: Path) -> None:
    """raw_asgi.py: a page and a WebSocket with no framework; the server sends unasked."""
    port = free_port()
    command = f"uvicorn raw_asgi:app --port {port}"
    process = Process("raw_asgi", command, folder, project_environment())
    try:
        url = f"http://{HOST}:{port}/"
        wait_for(lambda: answers(url) or process.exit_code is not None, 10)
        last_words = "\n".join(process.lines[-3:]) or "it said nothing"
        expect_that(answers(url), f"`{command}` runs", last_words, look_at="raw_asgi.py")
        expect("the status of GET /", httpx.get(url).status_code, 200)
        with connect(f"ws://{HOST}:{port}/") as socket:
            frames = list(socket)
        spoken = [f"The server speaks: {n}" for n in (1, 2, 3)]
        expect("the frames", frames, spoken, usually="app() ends early", look_at="raw_asgi.py")
        expect("the close code", socket.close_code, 1000)
    finally:
        process.stop()


def test_raw_wsgi_can_only_answer(folder: Path) -> None:
    """raw_wsgi.py: the same page, and no way to accept a WebSocket."""
    code = "import raw_wsgi, sys; from wsgiref.simple_server import make_server; "
    code += "make_server('127.0.0.1', int(sys.argv[1]), raw_wsgi.app).serve_forever()"
    port = free_port()
    server = subprocess.Popen([sys.executable, "-c", code, str(port)], cwd=folder)
    try:
        url = f"http://{HOST}:{port}/"
        wait_for(lambda: answers(url) or server.poll() is not None, 10)
        expect_that(answers(url), "`python raw_wsgi.py` runs", f"exit code {server.poll()}")
        expect("the status of GET /", httpx.get(url).status_code, 200)
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
        expect("the status of a handshake", httpx.get(url, headers=upgrade).status_code, 501)
    finally:
        server.kill()
        server.wait()
