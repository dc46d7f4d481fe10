"""What a recording is asked to do, and what came of it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vestige.config import Config
    from vestige.store.project import Place


class Options:
    """How a command is to be recorded.

    `observe` is auto, notify, ptrace, preload, audit or none. `inputs` and `outputs` are declared before the command. `cwd`
    and `environ` are the command's (None: as they are). `confine` is called in the child, last before it executes. `stdin`,
    `stdout` and `stderr` replace the standard streams by files (paths). `echo` says where the closing line goes: "terminal"
    (only if standard error is one), "always" or "never".
    """

    __slots__ = (
        "code",
        "config",
        "confine",
        "cwd",
        "echo",
        "environ",
        "inputs",
        "items",
        "keep",
        "kind",
        "name",
        "note",
        "observe",
        "outputs",
        "parent",
        "place",
        "problems",
        "reproduction_of",
        "stderr",
        "stdin",
        "stdout",
        "strict",
        "tags",
        "umask",
    )  # fmt: skip

    def __init__(
        self,
        place: Place,
        config: Config,
        *,
        name: str | None = None,
        tags: Sequence[str] = (),
        note: str | None = None,
        strict: bool = False,
        observe: str = "auto",
        inputs: Sequence[str] = (),
        outputs: Sequence[str] = (),
        items: Sequence[str] = (),
        keep: bool = False,
        parent: str | None = None,
        kind: str = "command",
        cwd: str | None = None,
        environ: Mapping[str, str] | None = None,
        reproduction_of: str | None = None,
        confine: Callable[[], None] | None = None,
        umask: int | None = None,
        stdin: str | None = None,
        stdout: str | None = None,
        stderr: str | None = None,
        echo: str = "terminal",
        code: bool = True,
        problems: Sequence[str] = (),
    ) -> None:
        self.place = place
        self.config = config
        self.name = name
        self.tags = tuple(tags)
        self.note = note
        self.strict = strict
        self.observe = observe
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.items = tuple(items)
        self.keep = keep
        self.parent = parent
        self.kind = kind
        self.cwd = cwd
        self.environ = environ
        self.reproduction_of = reproduction_of
        self.confine = confine
        self.umask = umask
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.echo = echo
        self.code = code
        self.problems = tuple(problems)


class Outcome:
    """How a recorded command ended: its exit code as a shell says it, the run's id (None where nothing could be recorded),
    whether the record is complete already, and whether Ctrl-C ended it, which a script around us must be told."""

    __slots__ = ("complete", "exit_code", "interrupted", "run_id")

    def __init__(self, exit_code: int, run_id: str | None, *, complete: bool, interrupted: bool = False) -> None:
        self.exit_code = exit_code
        self.run_id = run_id
        self.complete = complete
        self.interrupted = interrupted
