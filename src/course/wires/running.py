"""The wires of `./course run`: a tap, and the page or the lines that show what it sees."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from course.wires.page import Page
from course.wires.tap import Tap
from course.wires.text import TextOutput

TEXT = "text"


@contextmanager
def shown_wires(
    way: str, redis_url: str, newsletter_url: str, show: Callable[[str], None]
) -> Iterator[tuple[Tap, str]]:
    """A tap, and what to say of it. `show` prints a line if the way is TEXT."""
    with Tap(redis_url, newsletter_url) as tap:
        if way == TEXT:
            with TextOutput(tap, show):
                yield tap, "What passes between the processes is shown as `wires`."
        else:
            page = Page(tap)
            yield tap, f"The wires are at {page.url}"
