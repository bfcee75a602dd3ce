"""Errors. What a user can fix is a `GnomonError`: one clear message, no traceback. Everything else is a bug."""

from dataclasses import dataclass


class GnomonError(Exception):
    """Something a user can fix. The text says what is wrong, where, what was found and what to do."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a file."""

    file: str
    line: int
    """1-based; 0: the whole file."""
    key: str
    """The key's path, such as `gates[1].accuracy.margin`."""
    found: str
    """What is wrong and what was found."""
    do: str
    """What would make it right."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        key = f"  {self.key}" if self.key else ""
        return f"{place}{key}  {self.found}; {self.do}"


class PlanError(GnomonError):
    """A plan with problems, all of them."""

    def __init__(self, problems: list[Problem], *, run: str = "") -> None:
        self.problems = tuple(problems)
        file = problems[0].file
        noun = "problem" if len(problems) == 1 else "problems"
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"{file} has {len(problems)} {noun}:\n{lines}\nFix, then run: {run or f'gnomon check {file}'}")


class NotFound(GnomonError):
    """A trial, a file or a model that is not there."""


class StateError(GnomonError):
    """The action does not fit the state: nothing was changed."""


class StateDown(StateError):
    """The state database cannot be read or written: nothing was changed, and production is served without it."""


class Unreachable(GnomonError):
    """A model did not answer."""


class IntegrityError(GnomonError):
    """A seal, a log or a verdict is not what was recorded."""

    exit_code = 30
