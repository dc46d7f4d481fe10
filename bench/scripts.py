"""Recording from inside: the start of a script against footsteps, a function's call and a command against Capsula."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bench.measure import Command, Row, alternate

PYTHON = sys.executable
BIN = Path(PYTHON).parent
TIMES = int(os.environ.get("BENCH_TIMES", "30"))
CALLS = 200

SCRIPTS = {
    "bare.py": "open('in.csv').read()\n",
    "ours.py": "import vestige\nvestige.initialize('exp')\nopen(vestige.output_dir + 'w', 'w').write(open('in.csv').read())\n",
    "theirs.py": "import footsteps\nfootsteps.initialize('exp')\n"
    "open(footsteps.output_dir + 'w', 'w').write(open('in.csv').read())\n",
    "plain_calls.py": "import sys\ndef f(n): return n\nfor n in range(int(sys.argv[1])): f(n)\n",
    "our_calls.py": "import sys, vestige\n@vestige.monitor\ndef f(n): return n\nfor n in range(int(sys.argv[1])): f(n)\n",
    "their_calls.py": "import sys, capsula\n@capsula.run()\ndef f(n): return n\nfor n in range(int(sys.argv[1])): f(n)\n",
}

CAPSULA = """
[pre-run]
contexts = [
    { type = "CwdContext" },
    { type = "PlatformContext" },
    { type = "GitRepositoryContext", name = "project", path = ".", path_relative_to_project_root = true, allow_dirty = true },
]
reporters = [{ type = "JsonDumpReporter" }]
[in-run]
watchers = [{ type = "UncaughtExceptionWatcher" }, { type = "TimeWatcher" }]
reporters = [{ type = "JsonDumpReporter" }]
"""


def rows(folder: Path) -> list[Row]:
    """The start of a script, a call, and a command; everything recorded by default on our side."""
    project = folder / "project"
    project.mkdir(parents=True)
    for name, text in SCRIPTS.items():
        (project / name).write_text(text)
    (project / "in.csv").write_text("1,2\n")
    (project / "capsula.toml").write_text(CAPSULA)
    (project / "pyproject.toml").touch()
    (project / ".gitignore").write_text("results/\nvault/\n")
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=project, check=True)
    return [*_starts(project), *_calls(project), *_commands(project)]


def _starts(project: Path) -> list[Row]:
    costs = alternate({name: Command([PYTHON, f"{name}.py"], str(project)) for name in ("bare", "ours", "theirs")}, TIMES)
    found = []
    for what in ("wall", "cpu"):
        bare, ours, theirs = (getattr(costs[name], what) * 1000 for name in ("bare", "ours", "theirs"))
        figure, against = f"+{ours - bare:.0f} ms", f"footsteps +{theirs - bare:.0f} ms"
        found.append(Row(f"vestige.output_dir: {what}", figure, against, "less than footsteps", ours <= theirs))
    return found


def _calls(project: Path) -> list[Row]:
    """What a call adds until it returns, from whole programs with few calls and with many: what comes once falls out."""
    few, many = {"plain": 1, "our": 1, "their": 1}, {"plain": CALLS, "our": CALLS, "their": 6}
    commands = {
        f"{who} {number}": Command([PYTHON, f"{who}_calls.py", str(number)], str(project))
        for who in few
        for number in (few[who], many[who])
    }
    costs = alternate(commands, max(3, TIMES // 5), warm=1)

    def each(who: str) -> float:
        return (costs[f"{who} {many[who]}"].wall - costs[f"{who} {few[who]}"].wall) / (many[who] - few[who]) * 1000

    ours, theirs = each("our"), each("their")
    return [
        Row("a call of a monitored function", f"{ours:.2f} ms", f"Capsula {theirs:.1f} ms", "under 2 ms", ours < 2),
        Row("the same against Capsula", f"{ours / theirs:.3f} times", f"Capsula {theirs:.1f} ms", "less", ours <= theirs),
    ]


def _commands(project: Path) -> list[Row]:
    commands = {
        "bare": Command(["true"], str(project)),
        "ours": Command([str(BIN / "vestige"), "run", "true"], str(project)),
        "theirs": Command([str(BIN / "capsula"), "run", "true"], str(project)),
    }
    costs = alternate(commands, max(3, TIMES // 5), warm=1)
    bare, ours, theirs = (costs[name].wall * 1000 for name in ("bare", "ours", "theirs"))
    against = f"Capsula +{theirs - bare:.0f} ms"
    return [Row("vestige run against capsula run: wall", f"+{ours - bare:.0f} ms", against, "less than Capsula", ours <= theirs)]
