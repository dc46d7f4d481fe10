"""`vestige reproduce`."""

from __future__ import annotations

import sys
import time

from vestige.cli.arguments import Arguments, Option, Verb
from vestige.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from vestige.cli.screen import Screen
    from vestige.report.style import Style
    from vestige.reproduce.plan import Plan
    from vestige.reproduce.session import State

VERB = Verb(
    "reproduce",
    "make it again in a clean place, and compare",
    """\
Makes files, or all data that runs wrote, again: every step upstream is executed in a workspace of its own, outside the
project, with the code and the inputs that it was recorded with, and what it makes is compared with what it made then.
A FILE is judged alone, and what else the steps write is told; a RUN is judged by all data it wrote.

No step can change anything outside its workspace: not the original, whatever path a script has for it. Steps are executed
in the present environment, as every verdict says. An input comes from the step that made it, else from the disk if it is
unchanged there, else from the store. Raw inputs are never made again.

Each step is recorded as a run of kind reproduction. The workspace of a step that failed is left to be looked at.""",
    operands="FILE|RUN…",
    least=1,
    most=None,
    options=(
        Option("dry-run", "show what would be executed, and with which files; execute nothing", short="n"),
        Option("jobs", "execute so many steps at once", short="j", metavar="N", default="1"),
        Option("env", "in which environment", metavar="WHICH", default="current", choices=("current", "recorded")),
        Option(
            "mode",
            "feed each step what the steps before it make now, or the inputs that it was recorded with",
            metavar="MODE",
            default="chained",
            choices=("chained", "independent"),
        ),
        Option("exact", "only identical bytes count as the same"),
        Option("timeout", "end a step that takes longer", metavar="SECONDS"),
        Option("secret", "what was taken out of a command, by the name of its variable", metavar="NAME=VALUE", many=True),
        Option("keep-workspace", "leave every workspace, to be looked at"),
        Option("json", "print the plan or the outcome as JSON"),
    ),
    examples=(
        ("vestige reproduce figures/roc.png", "is it still the same?"),
        ("vestige reproduce --dry-run figures/roc.png", "what would that take?"),
        ("vestige reproduce last -j 4 --json", "all data of the last run"),
    ),
    exits=(
        ("0", "identical"),
        ("1", "different, missing, or not comparable"),
        ("2", "it could not be made again"),
        ("64", "wrong usage"),
    ),
    comparing="always",
)


def main(arguments: Arguments) -> int:
    from vestige.cli import opening
    from vestige.cli.screen import screen
    from vestige.ops.reproduce import Options
    from vestige.report import reproduce as report

    out = screen(arguments)
    project = opening.project_holding(arguments, arguments.words[0])
    options = Options(
        environment=arguments.value("env") or "current",
        mode="independent" if arguments.value("mode") == "independent" else "chained",
        jobs=arguments.number("jobs") or 1,
        exact=arguments.switch("exact"),
        seconds=_seconds(arguments),
        keep_workspace=arguments.switch("keep-workspace"),
        secrets=_secrets(arguments),
    )
    planned = project.plan(*arguments.words, options=options)
    if arguments.switch("dry-run"):
        _show_plan(planned, arguments, out)
        return 0 if planned.possible else 2
    with _Line(planned, out.style) as watching:
        made = project.carry_out(planned, options=options, watching=watching)
    if arguments.switch("json"):
        out.json(report.document(made))
    else:
        out.lines(report.verdicts(made, out.style) if out.terminal else report.verdict_lines(made))
    return made.exit_code


def _show_plan(planned: Plan, arguments: Arguments, out: Screen) -> None:
    from vestige.report import reproduce as report

    if arguments.switch("json"):
        out.json(report.plan_document(planned))
    else:
        out.lines(report.plan(planned, out.style) if out.terminal else report.plan_lines(planned))


def _secrets(arguments: Arguments) -> dict[str, str]:
    found = {}
    for text in arguments.values("secret"):
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise UsageError("--secret takes NAME=VALUE")
        found[name] = value
    return found


def _seconds(arguments: Arguments) -> float | None:
    text = arguments.value("timeout")
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f"--timeout takes seconds, not '{text}'")
    return seconds


class _Line:
    """One line on standard error, if that is a terminal, once things take more than a second."""

    def __init__(self, planned: Plan, style: Style) -> None:
        self._planned = planned
        self._style = style
        self._begun = time.monotonic()
        self._long = sum(step.run.duration or 0 for step in planned.steps) > 1
        self._drawn = False

    def __enter__(self) -> Self:
        return self

    def __call__(self, number: int, state: State) -> None:
        if state != "running" or sys.stderr is None or not sys.stderr.isatty():
            return
        from vestige.report import reproduce as report

        if self._long or time.monotonic() - self._begun > 1:
            self._drawn = True
            sys.stderr.write(f"\r{report.progress(self._planned, number, state, self._style)}\x1b[K")
            sys.stderr.flush()

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
