"""Chapter 6: what those see who run the app: health, metrics, logs, settings."""

import json
import signal
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
from prometheus_client.parser import text_string_to_metric_families

from course.processes import redis_server
from course.testkit import RunningProject, Web, eventually, expect, expect_that

HEALTH = "project/health.py"
METRICS = "project/metrics.py"
VIEWS = "project/subscriptions/views.py"
LOGS = "project/logs.py"
ALL_COUNT_AS_ONE = (
    "all clients count as one: behind a proxy, a client's address is in X-Forwarded-For, "
    "which uvicorn reads with --proxy-headers"
)


def read_metrics(project: RunningProject, web: Web | None = None) -> dict[str, float]:
    """All samples, as a Prometheus client parses them: name{label=value} -> number."""
    answer = project.http.get(f"{(web or project.web).url}/metrics")
    expect("the status of /metrics", answer.status_code, 200, look_at=METRICS)
    return {
        sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_process_lives_and_is_ready(project: RunningProject) -> None:
    """/healthz and /readyz answer 200 while all is well."""
    for path in ("/healthz", "/readyz"):
        expect(f"the status of {path}", project.http.get(project.url + path).status_code, 200)


def test_not_ready_names_what_is_away(own_project: Callable[..., RunningProject]) -> None:
    """A web process starts without Redis; /readyz says what is away, and 200 when it comes."""
    project = own_project("web")
    project.redis.kill()
    web = project.start_web()
    expect("the status of /healthz", project.http.get(f"{web.url}/healthz").status_code, 200)
    answer = project.http.get(f"{web.url}/readyz")
    expect(
        "the status of /readyz without Redis",
        answer.status_code,
        503,
        usually="the view asks neither Redis nor the broker, or ignores that none answers",
        look_at=HEALTH,
    )
    away = set(answer.json()["away"])
    expect("what is away", away, {"result backend", "broker", "message queue"}, look_at=HEALTH)
    project.redis.start()
    eventually(
        lambda: project.http.get(f"{web.url}/readyz").status_code,
        lambda status: status == 200,
        "/readyz answers 200 when Redis is back",
        within=5,
        look_at=HEALTH,
    )


def test_slow_broker_holds_up_no_request(project: RunningProject) -> None:
    """While a POST waits for a broker that does not answer, other requests are answered."""
    answers = 0
    with redis_server() as broker, ThreadPoolExecutor(1) as pool, httpx.Client() as client:
        web = project.start_web(None, CELERY_BROKER_URL=broker.url)
        project.subscribe("ada@example.com", web)  # so that it is connected
        broker.signal(signal.SIGSTOP)
        try:
            posting = pool.submit(project.post, "ada@example.com", web)
            begun = time.monotonic()
            while not posting.done():
                it_waits = time.monotonic() > begun + 0.3  # by then, for the broker
                client.get(f"{web.url}/healthz", timeout=10)
                answers += it_waits
        finally:
            broker.signal(signal.SIGCONT)
        project.end(web.process)
    expect_that(
        answers >= 4,
        "GET /healthz is answered again and again while a POST waits a second for the broker",
        f"{answers} answers",
        usually="apply_async() blocks, and with it the event loop: await asyncio.to_thread(...)",
        look_at=VIEWS,
    )


def test_metrics_are_counted(project: RunningProject) -> None:
    """Prometheus's own parser reads /metrics; a task that is followed is counted everywhere."""
    web = project.web_with(WS_FALLBACK_POLL_SECONDS="60")
    before = read_metrics(project, web)
    # It begins before the subscription, as no message says STARTED, and ends long after it.
    task_id = project.subscribe("slow+2.5@example.com", web)
    eventually(
        lambda: project.status(task_id, web)["state"],
        lambda state: state == "STARTED",
        "the task starts",
        within=10,
    )
    with project.follow(task_id, web) as follower:
        follower.next()
        sockets = read_metrics(project, web)["newsletter_open_sockets"]
        expect("open sockets", sockets, before["newsletter_open_sockets"] + 1, look_at=METRICS)
        expect("the last state", follower.until_final()["state"], "SUCCESS")
    after = eventually(
        lambda: read_metrics(project, web),
        lambda seen: seen["newsletter_open_sockets"] == before["newsletter_open_sockets"],
        "newsletter_open_sockets is what it was before the socket was opened and closed",
        within=5,
        show=lambda seen: f"{seen['newsletter_open_sockets']:g}",
        usually="the gauge is increased for each client, and not decreased when it leaves",
        look_at=METRICS,
    )

    def grown(name: str) -> float:
        return float(after[name] - before.get(name, 0))

    frames = grown("newsletter_messages_sent_total")
    expect_that(
        frames >= 2,
        "newsletter_messages_sent_total grown by two or more",
        f"by {frames:g}",
        usually="the counter is not increased where a frame is sent",
        look_at="project/ws/follower.py",
    )
    expect(
        "newsletter_notification_latency_seconds_count grown by",
        grown("newsletter_notification_latency_seconds_count"),
        1,
        usually="the latency is not observed where a message comes in",
        look_at="project/ws/hub.py",
    )
    seconds = grown("newsletter_notification_latency_seconds_sum")
    expect_that(0 <= seconds < 2, "a latency below two seconds", seconds, look_at=METRICS)
    tasks = grown("newsletter_tasks_total SUCCESS")
    expect_that(tasks >= 1, 'newsletter_tasks_total{state="SUCCESS"} grown', f"by {tasks:g}")
    project.until_final(project.subscribe("refused@example.com"), web)
    eventually(
        lambda: read_metrics(project, web).get("newsletter_tasks_total FAILURE", 0),
        lambda number: number > before.get("newsletter_tasks_total FAILURE", 0),
        'newsletter_tasks_total{state="FAILURE"} grows when a task fails',
        within=3,
        usually="no handler publishes a failure: task_postrun_handler leaves it to task_failure",
        look_at="project/celery_utils.py",
    )
    expect("newsletter_fallback_finds_total grown by", grown("newsletter_fallback_finds_total"), 0)


def test_lost_messages_are_counted(own_project: Callable[..., RunningProject]) -> None:
    """The end that a fallback poll found counts as a lost message; STARTED does not."""
    project = own_project("newsletter")
    web = project.web_with(WS_FALLBACK_POLL_SECONDS="0.5")
    task_id = project.subscribe("slow+2@example.com", web)
    with redis_server() as elsewhere, project.follow(task_id, web) as follower:
        expect("the first state", follower.next()["state"], "PENDING")
        project.launch_worker(WS_MESSAGE_QUEUE=elsewhere.url)  # this worker publishes in vain
        last = follower.until_final(
            within=20, usually="the hub relies on messages alone: it needs fallback polls"
        )
        expect("the last state", last["state"], "SUCCESS", look_at="project/ws/hub.py")
    expect("the states of the frames", follower.states, ["PENDING", "STARTED", "SUCCESS"])
    expect(
        "newsletter_fallback_finds_total, after a task whose message was lost",
        read_metrics(project, web)["newsletter_fallback_finds_total"],
        1,
        usually="it counts STARTED, which no message says; or it counts nothing",
        look_at="project/ws/hub.py",
    )


def test_reconnection_is_counted(own_project: Callable[..., RunningProject]) -> None:
    """A subscription connection that is cut is made again at once, and counted."""
    project = own_project("web")
    with project.follow(project.pending_task()) as follower:
        follower.next()
        (channel,) = project.channels()
        project.redis.client.client_kill_filter(_type="pubsub")
        eventually(
            lambda: read_metrics(project)["newsletter_redis_reconnects_total"],
            lambda number: number == 1,
            "the reconnection is counted",
            within=5,
            usually="the hub does not connect again, or does not count it",
            look_at=METRICS,
        )
        eventually(project.channels, lambda found: found == {channel}, "subscribed", within=5)


def test_logs_are_json_with_the_task(project: RunningProject) -> None:
    """With LOG_FORMAT=json each line of web and worker is JSON; the task's lines have its id."""
    worker = project.launch_worker("--queues json --hostname json@%h", LOG_FORMAT="json")
    web = project.web_with(LOG_FORMAT="json", CELERY_QUEUE="json")
    eventually(
        lambda: "\n".join(worker.lines),
        lambda text: "ready." in text,
        "the worker is ready",
        within=15,
    )
    task_id = project.subscribe(f"slow+0@{uuid.uuid4().hex}.example.com", web)
    project.until_final(task_id, web)

    def lines() -> list[dict[str, str]]:
        return [json.loads(line) for line in worker.lines if line.startswith("{")]

    found = eventually(
        lambda: [line["message"] for line in lines() if line.get("task_id") == task_id],
        lambda messages: any("succeeded" in message for message in messages),
        "lines of the worker's log, in JSON, whose task_id is the task's",
        within=5,
        usually="the formatter does not write the record's task_id",
        look_at=LOGS,
    )
    expect_that(any("received" in message for message in found), "its receipt, too", found)
    not_json = [line for line in web.process.lines if not line.startswith("{")]
    expect("lines of the web process that are no JSON", not_json, [], look_at=LOGS)
    project.end(worker)


def test_tasks_a_minute_are_limited(project: RunningProject) -> None:
    """A client that starts too many tasks in a minute is answered with 429 and Retry-After."""
    # An address that the proxy names, so that other tests' tasks do not count.
    web = project.web_with(TASKS_PER_MINUTE="3", CELERY_QUEUE="idle")
    headers = {"X-Forwarded-For": f"198.51.100.{uuid.uuid4().int % 250}"}
    body = {"email": "ada@example.com"}

    def post(headers: dict[str, str]) -> httpx.Response:
        return project.http.post(f"{web.url}/subscriptions", json=body, headers=headers)

    answers = [post(headers) for _ in range(8)]  # in two minutes at most
    statuses = [answer.status_code for answer in answers]
    expect_that(
        429 in statuses[3:] and 429 not in statuses[:3],
        "202 three times, then 429, with TASKS_PER_MINUTE=3",
        statuses,
        usually="the tasks of a client are not counted"
        if 429 not in statuses
        else ALL_COUNT_AS_ONE,
        look_at="project/limits.py" if 429 not in statuses else "Procfile",
    )
    refused = answers[statuses.index(429)]
    expect_that("retry-after" in refused.headers, "Retry-After", dict(refused.headers))
    status = post({"X-Forwarded-For": "198.51.100.251"}).status_code
    expect(
        "the status for another client", status, 202, usually=ALL_COUNT_AS_ONE, look_at="Procfile"
    )


def test_address_comes_from_the_proxy_alone(project: RunningProject) -> None:
    """X-Forwarded-For counts only from a proxy that FORWARDED_ALLOW_IPS names."""
    web = project.web_with(
        TASKS_PER_MINUTE="3", CELERY_QUEUE="idle", FORWARDED_ALLOW_IPS="198.51.100.1"
    )
    body = {"email": "ada@example.com"}
    statuses = [
        project.http.post(
            f"{web.url}/subscriptions",
            json=body,
            headers={"X-Forwarded-For": f"198.51.100.{number}"},
        ).status_code
        for number in range(8)
    ]
    expect_that(
        429 in statuses,
        "429 for the eighth task of one client, whatever its X-Forwarded-For says",
        statuses,
        usually="anybody's X-Forwarded-For is believed: only FORWARDED_ALLOW_IPS names the proxy",
        look_at="Procfile",
    )
