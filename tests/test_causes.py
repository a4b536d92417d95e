"""What a failure means: each rule names its own example, and evidence is read as it is printed."""

import pytest

from course.content.causes import Rule, general_rules, rules_of_ideas
from course.content.chapters import all_chapters
from course.content.exercises import Work, exercises_of, ideas_to_check


@pytest.mark.parametrize("rule", general_rules(), ids=lambda rule: (rule.said or rule.seen)[:40])
def test_rule_is_the_first_that_fits_its_example(rule: Rule) -> None:
    """What the example says is named by this rule, and by none before it; no group is left over."""
    assert rule.example
    # Others ask for something in the code, too, or for its absence.
    before = [r for r in general_rules() if r is rule or not (r.code or r.async_code or r.lacks)]
    first = next(r for r in before if r.match(rule.example, rule.example) is not None)
    assert first is rule, f"{first} comes first"
    groups = rule.match(rule.example, rule.example) or {}
    assert all(rule.text(groups, is_async) for is_async in (True, False))
    assert all(groups.values()), groups


def test_rules_belong_to_ideas() -> None:
    """No rule is left over from an idea that has gone."""
    works: list[Work] = list(all_chapters())
    works += [exercise for chapter in all_chapters() for exercise in exercises_of(chapter)]
    keys = {idea.key for work in works for idea in ideas_to_check(work)}
    assert rules_of_ideas().keys() <= keys
