"""Expectations whose failures say what was expected, what was seen, and what that usually means."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from course.testkit.evidence import Complaint


class NotAsExpected(AssertionError):
    """What a project did was not what the chapter asks for."""

    complaints: "Sequence[Complaint]" = ()  # what the project itself says about it

    def __init__(self, expected: str, seen: str, usually: str = "", look_at: str = "") -> None:
        self.expected, self.seen, self.usually, self.look_at = expected, seen, usually, look_at
        super().__init__(str(self))

    def __str__(self) -> str:
        lines = [f"expected: {self.expected}", f"seen:     {self.seen}"]
        if self.usually:
            lines.append(f"usually:  {self.usually}")
        if self.look_at:
            lines.append(f"look at:  {self.look_at}")
        return "\n" + "\n".join(lines)


def expect(what: str, seen: Any, expected: Any, *, usually: str = "", look_at: str = "") -> None:
    """Fail unless `seen == expected`; `what` names the thing that is compared."""
    __tracebackhide__ = True
    if seen != expected:
        raise NotAsExpected(f"{what}: {expected!r}", repr(seen), usually, look_at)


def expect_that(
    condition: bool, expected: str, seen: Any, *, usually: str = "", look_at: str = ""
) -> None:
    """Fail unless the condition holds."""
    __tracebackhide__ = True
    if not condition:
        raise NotAsExpected(
            expected, seen if isinstance(seen, str) else repr(seen), usually, look_at
        )


AHEAD = "you are ahead: "


def ahead(of_what: str) -> NoReturn:
    """The project does better than the chapter asks for: the idea holds, and that is said.

    For pytest this is a skipped test: `.ci/run` refuses it of the chapters themselves.
    Example: ahead("chapter 4 queries Redis as rarely")
    """
    import pytest  # where only commands run, without tests, it is not installed

    pytest.skip(AHEAD + of_what)


def eventually(
    look: Callable[[], Any],
    condition: Callable[[Any], bool],
    expected: str,
    *,
    within: float,
    usually: str = "",
    look_at: str = "",
    show: Callable[[Any], str] = repr,
) -> Any:
    """Look until the condition holds for what is seen, and return that; fail after `within` s."""
    __tracebackhide__ = True
    deadline = time.monotonic() + within
    while True:
        seen = look()
        if condition(seen):
            return seen
        if time.monotonic() > deadline:
            raise NotAsExpected(f"within {within:g} s, {expected}", show(seen), usually, look_at)
        time.sleep(0.02)
