"""`vestige run`: on the path of every recorded command, so it imports next to nothing."""

from __future__ import annotations

import os

from vestige.cli.arguments import Arguments, Option, Verb
from vestige.errors import ConfigError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vestige.config import Config
    from vestige.record.options import Options

VERB = Verb(
    "run",
    "record a command",
    """\
Runs CMD as if Vestige were not there, and records how it came about: the code as it stood, uncommitted changes included;
the packages and the machine; every file that the command and the processes below it read and wrote, whatever language
they are written in. Nothing has to be declared.

The exit code, signals, standard streams and the terminal are the command's own. When it has ended, and standard error is
a terminal, one line says what was recorded. What fails while recording becomes a line in the record; it never stops the
command, unless --strict says so, and then before anything runs.

Options for Vestige stand before CMD; whatever follows CMD belongs to it. Write -- before a command that begins with a dash.""",
    operands="CMD [ARGUMENT…]",
    least=1,
    most=None,
    greedy=True,
    options=(
        Option("name", "call the run so; vestige show NAME finds it", metavar="NAME"),
        Option("tag", "a tag, to find runs that belong together; repeatable", metavar="TAG", many=True),
        Option("note", "a note for whoever looks at the record later", metavar="TEXT"),
        Option("input", "a file that the command reads, should it escape observation; repeatable", metavar="PATH", many=True),
        Option("output", "a file that the command writes; repeatable", metavar="PATH", many=True),
        Option("item", "also take the files of this configured item; repeatable", short="i", metavar="NAME", many=True),
        Option("keep", "keep the content of every input and output, whatever its size"),
        Option(
            "observe",
            "how file accesses are seen: by the kernel (notify, ptrace), by a library (preload), from inside Python (audit), "
            "or not at all; what cannot be had gives way to the next",
            metavar="HOW",
            default="auto, the best that can be had here",
            choices=("auto", "notify", "ptrace", "preload", "audit", "none"),
        ),
        Option("strict", "refuse to run with uncommitted changes, or where nothing can be recorded"),
        Option("parent", "the run to which this one belongs, where it is not the one around it", metavar="RUN"),
        Option("dry-run", "say what would be recorded; run nothing, write nothing"),
        Option("verbose", "say what was recorded even if standard error is no terminal", short="v"),
        Option("quiet", "say nothing", short="q"),
    ),
    examples=(
        ("vestige run python train.py --lr 0.1", "record one command"),
        ("vestige run make figures", "record everything that make starts"),
        ("vestige run --name baseline -v sh -c 'sort < in.csv > out.csv'", "give it a name, and see what was recorded"),
    ),
    exits=(
        ("N", "the command's own exit code; 128 + n where signal n ended it"),
        ("1", "refused by --strict; nothing was run"),
        ("64", "wrong usage; nothing was run"),
        ("125", "Vestige itself failed, and --strict was given; nothing was run"),
        ("126", "the command cannot be executed"),
        ("127", "the command was not found"),
    ),
)


def main(arguments: Arguments) -> int:
    from vestige.ops.run import run

    options = _options(arguments)
    if arguments.switch("dry-run"):
        return _rehearse(arguments, options)
    outcome = run(arguments.words, options)
    if outcome.interrupted:
        from vestige.launch import serve

        serve.end_interrupted()
    return outcome.exit_code


def _options(arguments: Arguments) -> Options:
    from vestige.config import Config, load
    from vestige.record.options import Options
    from vestige.store.project import here, locate

    place = locate(here(), arguments.value("project"))
    strict = arguments.switch("strict")
    problems: tuple[str, ...] = ()
    try:
        config = load(place.root)
    except ConfigError as error:
        if strict:
            raise
        config, problems = Config(), (f"the configuration was passed over: {error}",)
    _check_items(arguments.values("item"), config)
    parent = arguments.value("parent")
    return Options(
        place,
        config,
        name=arguments.value("name"),
        tags=arguments.values("tag"),
        note=arguments.value("note"),
        strict=strict,
        observe=arguments.value("observe") or config.observe,
        inputs=arguments.values("input"),
        outputs=arguments.values("output"),
        items=arguments.values("item"),
        keep=arguments.switch("keep"),
        parent=parent if parent is None or len(parent) == 36 else _resolved(parent, place.root),
        echo="always" if arguments.switch("verbose") else "never" if arguments.switch("quiet") else "terminal",
        problems=problems,
    )


def _check_items(names: tuple[str, ...], config: Config) -> None:
    for name in names:
        if config.item(name) is None:
            raise UsageError(
                f"no item '{name}'; did you mean --input {name}?", hint="items are sets of files, named in vestige.toml"
            )


def _resolved(parent: str, root: str) -> str:
    from vestige.ops.find import run_id
    from vestige.ops.project import open_project

    return run_id(open_project(root), parent)


def _rehearse(arguments: Arguments, options: Options) -> int:
    import shlex

    place = options.place
    print(f"would run:    {shlex.join(arguments.words)}")
    print(f"project:      {place.root}")
    print(f"store:        {place.store}" + ("" if os.path.isdir(place.store) else " (would be made)"))
    print(f"observed by:  {options.observe}")
    for name, words in (("inputs", options.inputs), ("outputs", options.outputs), ("tags", options.tags)):
        if words:
            print(f"{name + ':':<14}{shlex.join(words)}")
    for command in options.config.pre_capture:
        print(f"before:       {command}")
    for one in options.config.collect:
        print(f"collected:    {one.pattern} ({one.way})")
    for problem in options.problems:
        print(f"problem:      {problem}")
    return 0
