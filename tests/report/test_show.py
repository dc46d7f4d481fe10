"""One run on a page of 80 columns."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from vestige.model.code import Code, Repository
from vestige.model.environment import Environment, Interpreter, Package
from vestige.model.files import FileUse
from vestige.model.machine import Machine
from vestige.model.run import Collected, FileReference, Observation, Process, Run, Stream, summarise
from vestige.model.values import replace
from vestige.ops.show import Shown
from vestige.report.show import lines, page
from vestige.report.style import PLAIN, Style, cells

NOW = 1_795_262_400.0  # 2026-11-21 12:00 UTC
RUN = Run(
    id="0193aaaa-0000-7000-8000-00007f3a2c91",
    name="train",
    command=("python", "train.py", "--lr", "0.1"),
    started="2026-11-18T12:00:00.000000Z",
    duration=12.4,
    user="ada",
    host="node17",
    exit_code=0,
    code=Code(commit="9c4b2a1ffffffff", branch="main", dirty=True, snapshot="git:ffff"),
    script=FileReference(path="train.py"),
    inputs=(
        FileUse(path="train.py", digest="blake3:" + "a" * 64, size=300, role="code"),
        FileUse(path="data/train.csv", digest="blake3:" + "b" * 64, size=5120, kept=True),
        FileUse(path="/home/ada/.cache/fonts", digest="blake3:" + "c" * 64, size=1, role="cache"),
    ),
    outputs=(FileUse(path="models/clf.joblib", digest="blake3:" + "d" * 64, size=90210, access="write", evidence=("declared",)),),
    streams={"stdout": Stream(digest="blake3:" + "e" * 64, size=812)},
    processes=(Process(pid=4711, argv=("python", "train.py")),),
    observation=Observation(method="notify", events=5120, gaps=("io_uring was used",)),
    variables={"OMP_NUM_THREADS": "4", "PATH": "/usr/bin", "LONG": "x" * 200},
    problems=("machine: no GPU driver",),
)
SHOWN = Shown(
    run=RUN,
    summary=summarise(RUN),
    environment=Environment(
        interpreters=(Interpreter(language="python", version="3.11.7", executable="/usr/bin/python", kind="virtualenv"),),
        packages=(Package(name="numpy", version="1.26"),),
    ),
    machine=Machine(
        host="node17", system="Linux", kernel="6.1", architecture="x86_64", distribution="Debian 12", cpus=16, cpu="Xeon"
    ),
)


def test_the_page() -> None:
    assert list(page(SHOWN, Style(width=80), NOW)) == [
        "7f3a2c91  train  finished · partial",
        "  $ python train.py --lr 0.1",
        "",
        "  started     2026-11-18 12:00:00 UTC, 3 days ago, took 12.4 s",
        "  by          ada on node17",
        "  code        9c4b2a1+ on main, every source file kept",
        "  script      train.py",
        "  environment python 3.11.7 (virtualenv), 1 package",
        "  machine     Debian 12, kernel 6.1, 16 × Xeon",
        "  variables   LONG=xxxxxxxxxxxxxxxxxxxxxxxxxxxxx…, OMP_NUM_THREADS=4, 1 more",
        "              (--all)",
        "  streams     stdout 812 B (vestige show 7f3a2c91 --log)",
        "  observed by notify, 5,120 events",
        "",
        "inputs (2)",
        "  data/train.csv  5 KiB  bbbbbbbbbbbb  kept",
        "  train.py        300 B  aaaaaaaaaaaa  code",
        "  … 1 hidden (cache): --all shows them",
        "",
        "outputs (1)",
        "  models/clf.joblib  88.1 KiB  dddddddddddd  declared",
        "",
        "may have escaped",
        "  io_uring was used",
        "",
        "problems",
        "  machine: no GPU driver",
    ]


def test_all_shows_what_is_hidden_and_why() -> None:
    text = "\n".join(page(SHOWN, Style(width=200), NOW, everything=True))
    assert "/home/ada/.cache/fonts" in text
    assert "cache: what programs keep to be faster" in text
    assert "PATH=/usr/bin" in text
    assert "x" * 200 in text
    assert "4711" in text


def test_how_it_ended_is_said() -> None:
    run = Run(id=RUN.id, status="failed", exit_code=3, started=RUN.started)
    assert next(page(Shown(run=run, summary=summarise(run)), PLAIN, NOW)) == "7f3a2c91  failed (exit 3)"
    run = Run(id=RUN.id, status="interrupted", signal=2, started=RUN.started)
    assert next(page(Shown(run=run, summary=summarise(run)), PLAIN, NOW)) == "7f3a2c91  interrupted (signal 2)"


def test_a_record_that_says_nothing_can_be_shown() -> None:
    run = Run(id=RUN.id)
    assert list(page(Shown(run=run, summary=summarise(run)), PLAIN, NOW))
    assert dict(line.split("\t")[:2] for line in lines(Shown(run=run, summary=summarise(run))))["id"] == RUN.id


def test_programs_get_every_file_hidden_ones_too() -> None:
    found = [line.split("\t") for line in lines(SHOWN)]
    assert [fields for fields in found if fields[0] == "input"] == [
        ["input", "train.py", "blake3:" + "a" * 64, "300", "code", "read"],
        ["input", "data/train.csv", "blake3:" + "b" * 64, "5120", "data", "read"],
        ["input", "/home/ada/.cache/fonts", "blake3:" + "c" * 64, "1", "cache", "read"],
    ]
    assert ["gap", "io_uring was used"] in found
    assert ["problem", "machine: no GPU driver"] in found


def test_many_files_are_cut_short() -> None:
    uses = tuple(FileUse(path=f"f{number}", digest=None) for number in range(100))
    run = Run(id=RUN.id, inputs=uses)
    text = list(page(Shown(run=run, summary=summarise(run)), Style(width=80), NOW))
    assert "  … 60 more: --all shows them" in text
    assert len(list(page(Shown(run=run, summary=summarise(run)), Style(width=80), NOW, everything=True))) > 100


@given(st.text(min_size=1), st.text(min_size=1))
def test_no_name_breaks_a_line_or_moves_the_cursor(name: str, path: str) -> None:
    run = Run(id=RUN.id, name=name, command=(name,), inputs=(FileUse(path=path, digest=None),), note=name, problems=(path,))
    shown = Shown(run=run, summary=summarise(run))
    for line in (*page(shown, Style(width=80), NOW), *lines(shown)):
        assert re.search(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]", line) is None


def test_nothing_is_wider_than_the_terminal_but_a_single_word() -> None:
    for line in page(SHOWN, Style(width=60), NOW):
        assert cells(line) <= 60


def test_what_is_private_of_the_code_and_what_was_withheld_is_said_in_a_line_each() -> None:
    code = Code(commit="9c4b2a1ffffffff", dirty=True, snapshot="git:ffff", private=("fetch.py",), withheld=(".env", *"abcd"))
    shown = replace(SHOWN, run=replace(RUN, code=code))
    text = "\n".join(page(shown, Style(width=300), NOW))
    withheld = "not exactly restorable without .env, a, b, 2 more, withheld"
    assert f"  code        9c4b2a1+, every other source file kept, {withheld}\n" in text
    assert "\n  private     fetch.py: holds a secret, so kept for you alone, never shared\n" in text
    assert {"private\tfetch.py", "withheld\t.env"} <= set(lines(shown))


def test_whom_a_run_reached_is_shown_by_endpoint_and_name() -> None:
    network = (
        {"endpoint": "tcp:192.0.2.7:443", "bytes": None, "name": "data.example"},
        {"endpoint": "unix:/srv/x", "bytes": None},
    )
    reached = replace(SHOWN, run=replace(RUN, network=network))
    assert "  network     tcp:192.0.2.7:443 (data.example), unix:/srv/x" in list(page(reached, Style(width=80), NOW))
    assert {"observed\tpartial", "connection\ttcp:192.0.2.7:443\tdata.example", "connection\tunix:/srv/x\t-"} <= set(
        lines(reached)
    )


def test_what_was_collected_is_shown_with_the_repositories_that_have_a_name() -> None:
    run = replace(
        RUN,
        collected=(
            Collected(path="poetry.lock", digest="blake3:" + "a" * 64, other="sha256:" + "b" * 64, way="copy"),
            Collected(path="out\t.csv", digest="blake3:" + "c" * 64, item="tables"),
        ),
        code=Code(
            commit="9c4b2a1ffffffff",
            repositories=(
                Repository(path="vendor/x", commit=None),
                Repository(path="/src/library", commit="9c4b2a1" + "f" * 33, name="library", dirty=True),
            ),
        ),
    )
    shown = replace(SHOWN, run=run)
    assert [line for line in lines(shown) if line.startswith(("collected", "repository"))] == [
        "collected\tpoetry.lock\tsha256:" + "b" * 64 + "\tcopy\t-",
        "collected\tout\\t.csv\tblake3:" + "c" * 64 + "\tdigest\ttables",
        "repository\tlibrary\t/src/library\t9c4b2a1" + "f" * 33 + "\tdirty",
    ]
    text = list(page(shown, PLAIN, NOW))
    at = text.index("collected (2)")
    assert text[at + 1].split() == ["poetry.lock", "sha256", "copied"]
    assert text[at + 2].split() == ["out\\t.csv", "blake3"]
    assert text[at + 4 : at + 6] == ["repositories (1)", "  library @ 9c4b2a1+  /src/library"]


def test_a_run_without_gaps_was_observed_as_a_whole() -> None:
    whole = replace(SHOWN, run=replace(RUN, observation=Observation(method="notify", events=1)))
    assert "observed\twhole" in list(lines(whole))
    assert next(page(whole, Style(width=80), NOW)) == "7f3a2c91  train  finished"


def test_values_are_shown_with_how_they_went() -> None:
    points = [{"value": n / 10, "time": "t"} for n in range(8)]
    array = {"type": "numpy.ndarray", "shape": [2, 3], "dtype": "f4", "digest": "blake3:aa"}
    found = replace(RUN, values={"loss": points, "w\n": [{"value": array, "time": "t"}], "bad": None})
    shown = Shown(run=found, summary=summarise(found))
    text = list(page(shown, PLAIN, NOW))
    at = text.index("values (3)")
    assert [line.split() for line in text[at + 1 : at + 4]] == [
        ["loss", "0.7", "8", "times", "▁▂▃▄▅▆▇█"],
        ["w\\n", "numpy.ndarray", "2×3", "f4"],
        ["bad", "null"],
    ]
    assert "value\tloss\t0.7\t8" in list(lines(shown))


def test_a_call_is_shown_with_its_arguments_and_its_end() -> None:
    function = {"module": "m", "name": "fit", "file": "m.py", "line": 3, "arguments": {"n": 3, "s": "x\x1b"}, "result": 0.5}
    found = replace(RUN, kind="function", function=function)
    text = "\n".join(page(Shown(run=found, summary=summarise(found)), PLAIN, NOW))
    assert "function    m.fit, m.py:3" in text
    assert "arguments   n=3, s='x\\x1b'" in text
    assert "returned    0.5" in text
    found = replace(found, function=function | {"exception": {"type": "ValueError", "message": "no"}})
    assert "raised      ValueError: no" in "\n".join(page(Shown(run=found, summary=summarise(found)), PLAIN, NOW))


def test_what_hooks_have_found_is_shown_in_a_line_each() -> None:
    found = {"modules": ["gcc/13.2"], "room\n": {"free": "x" * 200}}
    shown = replace(SHOWN, run=replace(RUN, context=found))
    text = list(page(shown, PLAIN, NOW))
    assert any(line.split(None, 1) == ["modules", '["gcc/13.2"]'] for line in text)
    (room,) = [line for line in text if "room\\n" in line]
    assert room.endswith("x…")
    assert "x" * 200 in "".join(line.strip() for line in page(shown, PLAIN, NOW, everything=True))
    assert 'context\tmodules\t["gcc/13.2"]' in list(lines(shown))
