"""The chapters, as data read from their folders. Nothing here imports a chapter."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CHAPTERS = ROOT / "chapters"


class UnknownChapter(ValueError):
    """No chapter has that number or name. The message lists those there are."""


@dataclass(frozen=True)
class Chapter:
    number: str  # "05"
    name: str  # "celery-signals"
    folder: Path
    summary: str  # the first line of text in its README
    lanes = 4  # in which it is checked

    def __str__(self) -> str:
        return f"{self.number}-{self.name}"

    @property
    def title(self) -> str:
        return f"chapter {self}"

    @property
    def arguments(self) -> str:
        """What names it behind `./course check`."""
        return self.number

    @property
    def place(self) -> tuple[str, ...]:
        """Where a student's progress in it is noted."""
        return "chapters", self.number


def all_chapters() -> list[Chapter]:
    readmes = sorted(CHAPTERS.glob("[0-9][0-9]-*/README.md"))
    return [read_chapter(readme.parent) for readme in readmes]


def read_chapter(folder: Path) -> Chapter:
    number, _, name = folder.name.partition("-")
    lines = (folder / "README.md").read_text().splitlines()
    summary = next(line for line in lines if line and not line.startswith("#"))
    return Chapter(number, name, folder, summary)


def find_chapter(wanted: str) -> Chapter:
    """Find a chapter by number or name: "05", "5", "celery-signals", "05-celery-signals".

    Raises UnknownChapter, whose message lists the chapters.
    """
    chapters = all_chapters()
    for chapter in chapters:
        if wanted in (chapter.number, chapter.number.lstrip("0"), chapter.name, str(chapter)):
            return chapter
    names = ", ".join(str(chapter) for chapter in chapters)
    raise UnknownChapter(f"There is no chapter {wanted!r}. The chapters are {names}.")
