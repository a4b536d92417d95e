"""Chapter 1, exercise 1: the page asks less and less often."""

import time
from itertools import pairwise

from playwright.sync_api import Page, Request
from playwright.sync_api import expect as expect_page

from course.testkit import RunningProject, expect_that

FOLLOW = "project/subscriptions/static/follow.js"
FASTER = 10  # as many times as fast as usual the page's timers run here
SPEED_UP = f"""
for (const name of ["setTimeout", "setInterval"]) {{
  const real = window[name];
  window[name] = (work, ms, ...more) => real(work, ms / {FASTER}, ...more);
}}
"""


class Questions:
    """What the page has asked and been answered, and how long it waited in between."""

    def __init__(self, page: Page, project: RunningProject) -> None:
        self.page = page
        self.answered: list[Request] = []
        page.add_init_script(SPEED_UP)
        page.on("requestfinished", self.note)
        page.goto(project.url)

    def note(self, request: Request) -> None:
        if "/task_status/" in request.url:
            self.answered.append(request)

    def subscribe(self, email: str) -> None:
        self.answered.clear()
        self.page.get_by_label("e-mail").fill(email)
        self.page.get_by_role("button").click()

    def until(self, number: int, within: float) -> list[float]:
        """Wait for that many answers. Returns the waits between them, in the page's seconds."""
        deadline = time.monotonic() + within
        while len(self.answered) < number and time.monotonic() < deadline:
            self.page.wait_for_timeout(20)
        times = [request.timing for request in self.answered]
        ends = [timing["startTime"] + timing["responseEnd"] for timing in times]
        starts = [timing["startTime"] for timing in times]
        waits = zip(ends, starts[1:], strict=False)
        return [round((start - end) * FASTER / 1000, 1) for end, start in waits]


def test_waits_grow(project: RunningProject, page: Page) -> None:
    """The page waits longer after each answer, but never more than ten seconds."""
    questions = Questions(page, project)
    questions.subscribe("slow+6@example.com")
    waits = questions.until(9, within=5.9)
    seen = f"waits of {', '.join(map(str, waits[:9]))} s"
    expect_that(
        len(waits) >= 5 and all(after > before * 1.2 for before, after in pairwise(waits[:5])),
        "waits that grow, of about 1, 1.5, 2.2, 3.4 and 5 s",
        seen,
        usually="the wait is the same in each round, or is not kept from one round to the next",
        look_at=FOLLOW,
    )
    expect_that(
        waits[0] < 2 and waits[3] < 5,
        "waits that begin with one second, and get half as long again each time",
        seen,
        usually="the first wait is too long, or the wait is doubled each time",
        look_at=FOLLOW,
    )
    expect_that(
        len(waits) >= 8 and max(waits) < 11.5,
        "waits of at most 10 s, eight of them in a minute",
        seen,
        usually="nothing bounds the wait: Math.min does",
        look_at=FOLLOW,
    )


def test_each_task_begins_anew(project: RunningProject, page: Page) -> None:
    """For the next address the page begins with one second again, and the end silences it."""
    questions = Questions(page, project)
    questions.subscribe("slow+1@example.com")
    questions.until(4, within=2)
    questions.subscribe("slow+0.6@example.com")
    waits = questions.until(3, within=2)
    expect_that(
        bool(waits) and waits[0] < 2.2,
        "a first wait of one second for the second address",
        f"waits of {', '.join(map(str, waits))} s",
        usually="the wait lives outside follow(), so the next task goes on with the last one's",
        look_at=FOLLOW,
    )
    expect_page(page.get_by_role("status")).to_contain_text("SUCCESS")
    number = len(questions.answered)
    questions.until(number + 1, within=1.2)
    expect_that(
        len(questions.answered) == number,
        "no question in the 12 s after the final state",
        f"{len(questions.answered) - number} of them",
        usually="the page does not stop at SUCCESS, FAILURE or REVOKED",
        look_at=FOLLOW,
    )
