"""Plans from literal histories."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.samples import digest, moment, read, run, run_id, wrote
from vestige.model.files import Digest, FileUse
from vestige.model.lineage import Version, upstream_of
from vestige.model.run import Redaction, Run, Stdin, Stream
from vestige.reproduce.plan import AtHand, Judged, Mode, Plan, Question, State, Step, judged_outputs, obstacles, plan
from vestige.store.memory import MemoryIndex

TREE = "git:" + "ab" * 20


class Shelf:
    """What is at hand, as a test says."""

    def __init__(
        self,
        disk: Mapping[str, str] | None = None,
        kept: Iterable[str] = (),
        code: Iterable[str] = (),
        secrets: Iterable[str] = (),
    ) -> None:
        self.disk = {path: digest(content) for path, content in (disk or {}).items()}
        self.kept = {digest(content) for content in kept}
        self.code = frozenset(code)
        self.secrets = frozenset(secrets)
        self.asked: list[str] = []

    @property
    def at_hand(self) -> AtHand:
        return AtHand(
            on_disk=self.on_disk,
            kept=self.kept.__contains__,
            snapshot=lambda tree: self.code if tree == TREE else None,
            secret=lambda redaction: redaction.variable in self.secrets,
        )

    def on_disk(self, use: FileUse) -> tuple[State, str | None]:
        self.asked.append(use.path)
        found = self.disk.get(use.path)
        if found is None:
            return "missing", None
        return ("there", f"/home/ada/p/{use.path}") if found == use.digest else ("changed", None)


def planned(
    runs: Iterable[Run], asked: str, shelf: Shelf, *, mode: Mode = "chained", instead: Mapping[str, str] | None = None
) -> Plan:
    """The plan for the file at a path, as the last run that wrote it did."""
    known = {one.id: one for one in runs}
    index = MemoryIndex(known.values())
    maker = next(one for one in reversed(known.values()) if any(use.path == asked for use in one.outputs))
    uses = [use for use in index.uses_by(maker.id, written=True) if use.path == asked]
    versions = [Version(use.path, use.digest, use.size, use) for use in uses]
    for inner, outer in (instead or {}).items():
        wanted = {use.path for use in known[inner].outputs}
        rows = [use for use in index.uses_by(outer, written=True) if use.path in wanted]
        versions += [Version(use.path, use.digest, use.size, use) for use in rows]
    question = Question(
        lineage=upstream_of(index, versions),
        runs=known,
        judged=(Judged(maker.id, asked),),
        instead=instead or {},
        mode=mode,
    )
    return plan(question, shelf.at_hand)


def sources(step: Step) -> dict[str, str]:
    return {one.use.path: one.source for one in step.supplies}


def pipeline() -> list[Run]:
    """raw.csv → clean.csv → model → figure, with one more input on the way, and code."""
    raw, clean, model = "raw content, long", "clean content, long", "model content, long"
    return [
        run(1, second=10, inputs=(read("raw.csv", raw, 11),), outputs=(wrote("clean.csv", clean, 14),)),
        run(2, second=20, inputs=(read("clean.csv", clean, 21),), outputs=(wrote("model", model, 24),)),
        run(
            3,
            second=30,
            inputs=(
                read("model", model, 31),
                read("labels.csv", "labels, long enough", 32),
                read("plot.py", "code of the plot", 30, role="code"),
            ),
            outputs=(wrote("figure", "figure content, long", 34), wrote("log", "log content, quite long", 34)),
        ),
    ]


OUT = (wrote("out", "content of out, long", 42),)
FULL = Shelf({"raw.csv": "raw content, long", "labels.csv": "labels, long enough"}, code=["plot.py"])


def test_a_chain_is_fed_by_its_own_steps() -> None:
    found = planned(pipeline(), "figure", FULL)
    assert [step.run.id for step in found.steps] == [run_id(1), run_id(2), run_id(3)]
    assert [sources(step) for step in found.steps] == [
        {"raw.csv": "disk"},
        {"clean.csv": "step"},
        {"model": "step", "labels.csv": "disk", "plot.py": "snapshot"},
    ]
    assert [step.after for step in found.steps] == [frozenset(), {run_id(1)}, {run_id(2)}]
    assert found.possible
    assert found.raw == ("raw.csv", "labels.csv")


def test_only_what_was_asked_for_is_judged_and_the_rest_is_expected() -> None:
    last = planned(pipeline(), "figure", FULL).steps[-1]
    assert last.judged == {"figure"}
    assert [use.path for use in last.expected] == ["figure", "log"]
    assert last.asked


def test_what_steps_make_is_not_looked_for_elsewhere() -> None:
    shelf = Shelf({"raw.csv": "raw content, long", "labels.csv": "labels, long enough"}, code=["plot.py"])
    planned(pipeline(), "figure", shelf)
    assert sorted(shelf.asked) == ["labels.csv", "raw.csv"]


def test_independent_steps_are_fed_what_was_recorded_and_all_are_executed() -> None:
    shelf = Shelf(
        {"raw.csv": "raw content, long", "clean.csv": "clean content, long", "labels.csv": "labels, long enough"},
        kept=["model content, long"],
        code=["plot.py"],
    )
    found = planned(pipeline(), "figure", shelf, mode="independent")
    assert [sources(step) for step in found.steps] == [
        {"raw.csv": "disk"},
        {"clean.csv": "disk"},
        {"model": "kept", "labels.csv": "disk", "plot.py": "snapshot"},
    ]
    assert all(not step.after for step in found.steps)


def test_an_independent_step_takes_what_is_gone_from_the_step_before() -> None:
    found = planned(pipeline(), "figure", FULL, mode="independent")
    assert [sources(step).get("clean.csv") for step in found.steps] == [None, "step", None]
    assert found.steps[1].after == {run_id(1)}


def test_a_kept_object_stands_in_for_a_file_that_has_changed() -> None:
    shelf = Shelf({"raw.csv": "other", "labels.csv": "labels, long enough"}, kept=["raw content, long"], code=["plot.py"])
    assert sources(planned(pipeline(), "figure", shelf).steps[0]) == {"raw.csv": "kept"}


def test_a_raw_input_that_is_gone_says_who_had_it() -> None:
    found = planned(pipeline(), "figure", Shelf({"labels.csv": "labels, long enough"}, code=["plot.py"]))
    assert not found.possible
    (last,) = found.steps
    assert last.run.id == run_id(3)
    (why,) = last.obstacles
    assert why.startswith("model is gone, and was not kept, and cannot be made: raw.csv is gone, and was not kept; ")
    assert "ada on node17 (2026-11-21) had it as blake3:" in why


def test_a_changed_raw_input_is_told_from_one_that_is_gone() -> None:
    found = planned(pipeline()[:1], "clean.csv", Shelf({"raw.csv": "other"}))
    assert found.steps[0].obstacles[0].startswith("raw.csv has changed since it was read, and was not kept")


def test_what_is_upstream_of_a_step_that_cannot_be_executed_is_left_out_where_its_output_is_at_hand() -> None:
    runs = pipeline()
    runs[1] = replace(runs[1], code=None)
    shelf = Shelf({"raw.csv": "raw content, long", "labels.csv": "labels, long enough"}, ["model content, long"], ["plot.py"])
    found = planned(runs, "figure", shelf)
    assert [step.run.id for step in found.steps] == [run_id(3)]
    assert sources(found.steps[0])["model"] == "kept"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"kind": "adopted"}, "it was adopted"),
        ({"kind": "capture", "command": ()}, "it is a capture of the context"),
        ({"kind": "notebook", "command": ("python", "-m", "ipykernel_launcher")}, "it is a cell of a notebook"),
        ({"kind": "function", "command": ()}, "it is a call of a function"),
        ({"command": ()}, "its command is not known"),
        ({"status": "running", "exit_code": None}, "it has not ended yet"),
        ({"status": "lost", "exit_code": None}, "it was lost"),
        ({"status": "interrupted", "exit_code": 130}, "it was interrupted"),
        ({"code": None}, "its code was not kept"),
        ({"code": "gone"}, "is no longer in the store"),
    ],
)
def test_a_run_says_why_it_cannot_be_executed(change: dict[str, Any], expected: str) -> None:
    one = run(1, outputs=(wrote("out", "content of out, long"),))
    if change.get("code") == "gone":
        assert one.code is not None
        change = {"code": replace(one.code, snapshot="git:" + "cd" * 20)}
    found = obstacles(replace(one, **change), FULL.at_hand)
    assert any(expected in reason for reason in found), found


@pytest.mark.parametrize("exit_code", [0, 1, 3, 42])
def test_a_run_that_failed_can_be_executed(exit_code: int) -> None:
    assert obstacles(run(1, status="failed" if exit_code else "finished", exit_code=exit_code), FULL.at_hand) == ()


def test_a_redacted_word_needs_its_secret() -> None:
    one = run(1, redactions=(Redaction(at="command[1]", kind="wandb", variable="WANDB_API_KEY"),))
    (why,) = obstacles(one, Shelf().at_hand)
    assert why == "its command[1] is a secret (wandb) that was taken out: give it with --secret WANDB_API_KEY=…"
    assert obstacles(one, Shelf(secrets=["WANDB_API_KEY"]).at_hand) == ()


@pytest.mark.parametrize(
    ("stdin", "streams", "doubt"),
    [
        (None, {}, None),
        (Stdin(kind="null"), {}, None),
        (Stdin(kind="file", path="raw.csv", digest=digest("raw content, long")), {}, None),
        (Stdin(kind="terminal"), {}, "what was typed at its terminal was not kept"),
        (Stdin(kind="pipe"), {}, "its standard input was a pipe, which was not kept"),
        (Stdin(kind="pipe"), {"stdin": Stream(digest=None, size=0)}, None),
        (Stdin(kind="pipe"), {"stdin": Stream(digest=digest("raw content, long"), size=17)}, None),
        (Stdin(kind="pipe"), {"stdin": Stream(digest=digest("not kept"), size=17)}, "its standard input was a pipe"),
    ],
)
def test_a_step_is_doubted_where_its_standard_input_was_not_kept(
    stdin: Stdin | None, streams: dict[str, Stream], doubt: str | None
) -> None:
    one = run(1, stdin=stdin, streams=streams, outputs=(wrote("out", "content of out, long"),))
    shelf = Shelf({"raw.csv": "raw content, long"}, kept=["raw content, long"])
    (step,) = planned([one], "out", shelf).steps
    assert step.possible
    assert ((step.doubts or (None,))[0] or "").startswith(doubt or "")
    assert bool(step.doubts) == (doubt is not None)


def test_a_redirected_standard_input_is_an_input() -> None:
    one = run(1, stdin=Stdin(kind="file", path="raw.csv", digest=digest("raw")), outputs=(wrote("out", "content of out, long"),))
    assert sources(planned([one], "out", Shelf({"raw.csv": "raw"})).steps[0]) == {"raw.csv": "disk"}


def test_what_a_run_changes_in_place_must_lie_there_as_it_was() -> None:
    update = wrote("table", "table, second version", access="update", before=digest("table, first version"))
    (step,) = planned([run(1, outputs=(update,))], "table", Shelf(kept=["table, first version"])).steps
    (supply,) = step.supplies
    assert (supply.source, supply.use.digest) == ("kept", digest("table, first version"))


def test_a_log_that_was_added_to_may_begin_empty() -> None:
    append = wrote("log", "log with two lines, long", access="append", before=digest("log with one line"))
    (step,) = planned([run(1, outputs=(append,))], "log", Shelf()).steps
    assert step.possible
    assert [(one.source, one.needed) for one in step.supplies] == [("nothing", False)]


def test_what_a_run_replaces_need_not_lie_there() -> None:
    (step,) = planned([run(1, outputs=(wrote("out", "new content, long", before=digest("old")),))], "out", Shelf()).steps
    assert step.possible
    assert step.supplies == ()


def test_a_symbolic_link_is_made_anew() -> None:
    one = run(
        1,
        inputs=(read("now.csv", None, link="raw.csv", access="link"), read("raw.csv", "raw")),
        outputs=(wrote("out", "content of out, long"),),
    )
    assert sources(planned([one], "out", Shelf({"raw.csv": "raw"})).steps[0]) == {"now.csv": "link", "raw.csv": "disk"}


def test_an_input_that_was_never_hashed_cannot_be_had() -> None:
    one = run(1, inputs=(read("huge.bin", None),), outputs=(wrote("out", "content of out, long"),))
    assert planned([one], "out", Shelf({"huge.bin": "x"})).steps[0].obstacles == ("huge.bin was not hashed when it was read",)


def test_the_run_around_stands_in_for_one_that_cannot_be_executed_alone() -> None:
    inner = run(2, second=12, parent=run_id(1), code=None, outputs=(wrote("part", "content of the part", 13),))
    outer = run(
        1,
        second=10,
        inputs=(read("raw.csv", "raw", 11),),
        outputs=(wrote("part", "content of the part", 13), wrote("whole", "content of the whole", 15)),
    )
    last = run(3, second=20, inputs=(read("part", "content of the part", 21),), outputs=OUT)
    found = planned([outer, inner, last], "out", Shelf({"raw.csv": "raw"}), instead={run_id(2): run_id(1)})
    assert [step.run.id for step in found.steps] == [run_id(1), run_id(3)]
    assert sources(found.steps[1]) == {"part": "step"}


def test_an_input_that_may_come_from_two_runs_is_not_guessed() -> None:
    content = "the same long content"
    makers = [
        run(n, second=10 * n, command=("python", f"{n}.py"), outputs=(wrote(f"a{n}", content, 10 * n + 1),)) for n in (1, 2)
    ]
    reader = run(3, second=40, inputs=(read("copy", content, 41),), outputs=OUT)
    (step,) = planned([*makers, reader], "out", Shelf()).steps
    (why,) = step.obstacles
    assert why.startswith("copy is gone, and was not kept; it may come from ")
    (step,) = planned([*makers, reader], "out", Shelf({"copy": content})).steps
    assert step.possible


def test_a_run_is_judged_by_its_data_or_else_by_whatever_it_wrote() -> None:
    code = wrote("made.py", "generated code, long", role="code")
    both = run(1, outputs=(wrote("data", "some data, long enough"), code, wrote("gone", "x" * 20, deleted=True)))
    assert [use.path for use in judged_outputs(both)] == ["data"]
    assert [use.path for use in judged_outputs(run(2, outputs=(code,)))] == ["made.py"]


def _chain(length: int) -> list[Run]:
    return [
        run(
            n,
            second=n,
            inputs=(read(f"f{n - 1}", f"content number {n - 1}, long", n),),
            outputs=(wrote(f"f{n}", f"content number {n}, long", n),),
            sequence=moment(n).seq,
        )
        for n in range(1, length + 1)
    ]


def test_a_history_of_ten_thousand_steps_is_planned_in_two_seconds() -> None:
    runs = _chain(10_000)
    known = {one.id: one for one in runs}
    index = MemoryIndex(runs)
    (use,) = index.uses_by(run_id(10_000), written=True)
    lineage = upstream_of(index, [Version(use.path, use.digest, use.size, use)])
    began = time.process_time()
    found = plan(
        Question(lineage=lineage, runs=known, judged=(Judged(run_id(10_000), "f10000"),)),
        Shelf({"f0": "content number 0, long"}).at_hand,
    )
    assert time.process_time() - began < 2
    assert [step.run.id for step in found.steps] == [run_id(n) for n in range(1, 10_001)]
    assert found.possible


@st.composite
def _histories(draw: st.DrawFn) -> tuple[list[Run], set[str], set[Digest]]:
    """Runs that read what runs before them wrote, or raw files; what lies on the disk; and which of them cannot be executed."""
    runs = []
    for n in range(1, draw(st.integers(1, 8)) + 1):
        read_from = draw(st.sets(st.integers(0, n - 1), max_size=3))
        inputs = [read(f"f{m}", f"content number {m}, long", n * 10) for m in sorted(read_from)]
        one = run(n, second=n * 10, inputs=tuple(inputs), outputs=(wrote(f"f{n}", f"content number {n}, long", n * 10 + 5),))
        runs.append(replace(one, code=None) if draw(st.integers(0, 4)) == 0 else one)
    there = draw(st.sets(st.integers(0, len(runs))))
    return runs, {f"f{n}" for n in there}, {one.id for one in runs if one.code is None}


@given(_histories(), st.sampled_from(["chained", "independent"]))
def test_a_plan_never_needs_what_it_does_not_make_before(history: tuple[list[Run], set[str], set[str]], mode: Mode) -> None:
    runs, there, broken = history
    shelf = Shelf({path: f"content number {path[1:]}, long" for path in there})
    found = planned(runs, f"f{len(runs)}", shelf, mode=mode)
    made: set[str] = set()
    for step in found.steps:
        if not step.possible:
            continue
        assert step.run.id not in broken
        assert step.after <= made
        for supply in step.supplies:
            assert supply.source in ("step", "disk")
            assert supply.source != "step" or supply.run in made
            assert supply.source != "disk" or supply.use.path in there
        made.add(step.run.id)
    assert found.steps[-1].asked
    assert found.possible == (runs[-1].id in made)
