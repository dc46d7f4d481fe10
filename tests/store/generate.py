"""A store with a long history, made in seconds: four steps, over and over, each a record in the real layout.

    prepare   raw tables, a configuration, sources       → tables and statistics
    train     those                                      → a model, a checkpoint, a history
    evaluate  the model and the test table               → metrics and predictions
    plot      those                                      → figures/roc-N.png, and figures/latest.png over the last one

`python -m tests.store.generate FOLDER [RUNS]` makes one to look at.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from json import dumps

from vestige.model import wire
from vestige.model.code import Code
from vestige.model.files import FileUse, Moment
from vestige.model.run import FileReference, Observation, Process, ProjectReference, Run, Stdin, Stream
from vestige.store.records import Records

STEPS = ("prepare", "train", "evaluate", "plot")
DAYS = 300
_START = 1_767_225_600  # 2026-01-01
_TOKEN = re.compile(r'"?@(\w+)@"?')

#: For each step its inputs and outputs: path, whose content it is. `{p}` is the number of the round of four.
_FLOW: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "prepare": (
        {
            "scripts/prepare.py": "code",
            "src/tables.py": "code",
            "params.yaml": "params",
            "data/raw/{r}.csv": "raw",
            "data/raw/{r}.extra.csv": "raw extra",
            "data/labels.csv": "labels",
        },
        {name: name for name in ("rounds/{p}/train.csv", "rounds/{p}/test.csv", "rounds/{p}/stats.json", "logs/prepare.log")},
    ),
    "train": (
        {
            "scripts/train.py": "code",
            "src/model.py": "code",
            "src/tables.py": "code",
            "params.yaml": "params",
            "rounds/{p}/train.csv": "rounds/{p}/train.csv",
            "rounds/{p}/stats.json": "rounds/{p}/stats.json",
        },
        {name: name for name in ("rounds/{p}/model.joblib", "rounds/{p}/history.csv", "checkpoints/last.ckpt", "logs/train.log")},
    ),
    "evaluate": (
        {
            "scripts/evaluate.py": "code",
            "src/model.py": "code",
            "params.yaml": "params",
            "rounds/{p}/model.joblib": "rounds/{p}/model.joblib",
            "rounds/{p}/test.csv": "rounds/{p}/test.csv",
            "data/labels.csv": "labels",
        },
        {name: name for name in ("rounds/{p}/metrics.json", "rounds/{p}/predictions.csv", "results/latest.json")},
    ),
    "plot": (
        {
            "scripts/plot.py": "code",
            "style.mplstyle": "style",
            "rounds/{p}/predictions.csv": "rounds/{p}/predictions.csv",
            "rounds/{p}/metrics.json": "rounds/{p}/metrics.json",
            "rounds/{p}/history.csv": "rounds/{p}/history.csv",
        },
        dict.fromkeys(("figures/roc-{p}.png", "figures/latest.png"), "figures/{p}.png")
        | {name: name for name in ("figures/loss-{p}.png", "rounds/{p}/report.html", "logs/plot.log")},
    ),
}
_CODE_PATHS = ("scripts/", "src/")


def digest_of(content: str) -> str:
    """The digest that generated records give to a content."""
    return "blake3:" + sha256(content.encode()).hexdigest()


def run_id(number: int, runs: int) -> str:
    """The id of a generated run."""
    milliseconds = f"{_seconds(number, runs) * 1000:012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}-7000-8000-{number:04x}{sha256(b'%d' % number).hexdigest()[:8]}"


def figure(number: int) -> tuple[str, str]:
    """Path and digest of the figure at the end of a round."""
    return f"figures/roc-{number}.png", digest_of(f"figures/{number}.png")


def generate(store_dir: str, runs: int = 100_000, *, workers: int = 2) -> None:
    """Write the records of `runs` runs, ten uses each, over 300 days up to today's layout."""
    folders = {os.path.dirname(_path(number, runs)) for number in range(runs)}
    for folder in folders:
        os.makedirs(os.path.join(store_dir, folder), exist_ok=True)
    children = [_forked(partial(_write, store_dir, range(part, runs, workers), runs)) for part in range(1, workers)]
    _write(store_dir, range(0, runs, workers), runs)
    for child in children:
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
            raise RuntimeError("a part was not written")
    _age(store_dir, folders)


def generate_one(store_dir: str, number: int, runs: int) -> str:
    """One more record, the ordinary way; its path."""
    return Records(store_dir).write(wire.load_run(_record(_templates(), number, runs)))


def _write(store_dir: str, numbers: range, runs: int) -> None:
    templates = _templates()
    for number in numbers:
        fd = os.open(os.path.join(store_dir, _path(number, runs)), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.write(fd, _record(templates, number, runs))
        os.close(fd)


def _forked(act: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        act()
        status = 0
    finally:
        os._exit(status)


def _age(store_dir: str, folders: set[str]) -> None:
    """As if the last record had been written days ago."""
    when = time.time() - 200_000
    months = {os.path.dirname(folder) for folder in folders}
    for folder in (*folders, *months, "runs"):
        os.utime(os.path.join(store_dir, folder), (when, when))


def _seconds(number: int, runs: int) -> int:
    return _START + number * DAYS * 86400 // runs


def _path(number: int, runs: int) -> str:
    t = time.gmtime(_seconds(number, runs))
    name = f"{t[3]:02}{t[4]:02}{t[5]:02}-{run_id(number, runs)[-8:]}.json"
    return f"runs/{t[0]:04}-{t[1]:02}/{t[2]:02}/{name}"


def _record(templates: dict[str, list[str]], number: int, runs: int) -> bytes:
    step, p = STEPS[number % 4], number // 4
    seconds = _seconds(number, runs)
    values = {
        "p": str(p),
        "r": str(p % 200),
        "id": run_id(number, runs),
        "seq": str(number * 60_000_000 % 10**13),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)),
        "commit": sha256(b"commit %d" % (p // 100)).hexdigest()[:40],
        "snapshot": sha256(b"snapshot %d" % (p // 10)).hexdigest()[:40],
        "environment": digest_of(f"environment {p // 5000}"),
        "lr": str(p % 50),
    }
    contents: dict[str, Callable[[str], str]] = {
        "code": lambda path: f"{path} {p // 50}",
        "params": lambda _: f"params {p % 50}",
        "raw": lambda _: f"raw {p % 200}",
        "raw extra": lambda _: f"raw extra {p % 200}",
        "labels": lambda _: "labels",
        "style": lambda _: "style",
    }
    pieces = []
    for position, piece in enumerate(templates[step]):
        if position % 2 == 0:
            pieces.append(piece)
        elif piece.startswith("d"):
            path, content = _uses(step)[int(piece[1:])]
            make = contents.get(content)
            text = make(path) if make else content.format(p=p) + (f" of {p}" if "{p}" not in content else "")
            pieces.append(f'"{digest_of(text)}"')
        else:
            pieces.append(values[piece])
    return "".join(pieces).encode()


def _uses(step: str) -> list[tuple[str, str]]:
    inputs, outputs = _FLOW[step]
    return [*inputs.items(), *outputs.items()]


def _templates() -> dict[str, list[str]]:
    """For each step its record, cut at what differs from run to run."""
    return {step: list(_cut(wire.dump_run(_run(step)).decode())) for step in STEPS}


def _cut(text: str) -> Iterator[str]:
    """Text and tokens by turns. A token that is a digest or a number stands with its quotes, the others inside theirs."""
    at = 0
    for found in _TOKEN.finditer(text):
        name = found[1]
        whole = name == "seq" or (name.startswith("d") and name[1:].isdigit())
        start, end = (found.start(), found.end()) if whole else (found.start(1) - 1, found.end(1) + 1)
        yield text[at:start]
        yield name
        at = end
    yield text[at:]


def _run(step: str) -> Run:
    inputs, outputs = _FLOW[step]
    script = f"scripts/{step}.py"
    moments = [Moment("@seq@", f"@time@.{n:06}Z") for n in range(20)]  # type: ignore[arg-type]
    uses = [
        FileUse(
            path=path.replace("{", "@").replace("}", "@"),
            digest=f"@d{n}@",
            size=5120 + n,
            role="code" if path.startswith(_CODE_PATHS) else "config" if path == "params.yaml" else "data",
            access="read" if n < len(inputs) else "write",
            first=moments[n],
            last=moments[n],
            by=(0,),
            kept=True,
        )
        for n, path in enumerate([*inputs, *outputs])
    ]
    return Run(
        id="@id@",
        name=step,
        user="ada",
        host="node17",
        boot="5f0c1c43-6f4b-4ab6-8a3c-2f1f3f0f8f11",
        started="@time@.000000Z",
        ended="@time@.900000Z",
        duration=0.9,
        sequence="@seq@",  # type: ignore[arg-type]
        project=ProjectReference(id="6f1d0c3b2a494e5d8f7a6b5c4d3e2f10", root="/home/ada/p"),
        command=("python", script, "--round", "@p@", "--lr", "0.@lr@"),
        executable=FileReference(path="/usr/bin/python3.11", digest=digest_of("python")),
        script=FileReference(path=script, digest=digest_of(script), git_blob="a" * 40),
        umask="0022",
        exit_code=0,
        code=Code(
            commit="@commit@",
            branch="main",
            remotes={"origin": "git@example.org:ada/p.git"},
            dirty=True,
            snapshot="git:@snapshot@",
            base="b" * 40,
        ),
        environment="@environment@",
        machine=digest_of("machine"),
        variables={"OMP_NUM_THREADS": "4", "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"},
        other_variables={"EDITOR": "hmac:" + "0" * 32},
        stdin=Stdin(kind="null"),
        inputs=tuple(uses[: len(inputs)]),
        outputs=tuple(uses[len(inputs) :]),
        streams={"stdout": Stream(digest=digest_of("stdout"), size=812), "stderr": Stream(digest=None, size=0)},
        processes=(Process(pid=4711, parent=4710, argv=("python", script), exit_code=0),),
        observation=Observation(method="notify", events=512),
        resources={"cpu_seconds": 0.8, "max_rss": 41_200_000, "recording_seconds": 0.09},
    )


if __name__ == "__main__":
    begun = time.perf_counter()
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    generate(sys.argv[1], count)
    print(dumps({"runs": count, "seconds": round(time.perf_counter() - begun, 1)}))
