"""Command lines as literal tables, and what was declared joined with what was observed."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.observe.journals import NEW, SETTING, at, conclude, digest, r, shown, v, w
from vestige.observe import declared
from vestige.observe.conclusion import Conclusion
from vestige.observe.declared import Declared, Flags, declare, flags, merge, recognise
from vestige.observe.interface import Stat

# command → inputs, outputs
FLAGS = {
    "python main.py -i in.csv -o out.csv": ("in.csv", "out.csv"),
    "python main.py --in a --out b": ("a", "b"),
    "python main.py --input a --output b": ("a", "b"),
    "prog -i a b c -o d": ("a b c", "d"),
    "prog -i a -i b": ("a b", ""),
    "prog -i a,b --output=c,d": ("a,b a b", "c,d c d"),
    "prog --input=a b": ("a", ""),
    "prog -o d x -v y": ("", "d x"),
    "prog -i a -- b": ("a", ""),
    "prog -i": ("", ""),
    "prog -i -o": ("", ""),
    "prog a b": ("", ""),
    "prog --inputs a": ("", ""),
    "sort -o out in": ("", "out in"),
    "sort -i in": ("", ""),
    "grep -i word file": ("", ""),
    "sed -i s/a/b/ f": ("", ""),
    "ls -i d": ("", ""),
    "curl -i x -o page": ("", "page"),
    "gcc -o prog main.c": ("", "prog main.c"),
    "python -i script.py x": ("", ""),
    "python -i script.py -i x": ("x", ""),
    "bash -o pipefail run.sh -o out": ("", "out"),
    "env A=1 nice -n 5 prog -i x": ("x", ""),
    "time -o log prog -o out": ("", "out"),
    "stdbuf -o L prog -o out": ("", "out"),
    "wget -i list": ("list", ""),
    "python -c 'import x' -i a": ("a", ""),
    "python -m mod -i a -o b": ("a", "b"),
}

# command → program, script, module
SCRIPTS = {
    "python train.py": ("python", "train.py", None),
    "python3.11 -u -X dev train.py a.py": ("python3.11", "train.py", None),
    "python -W ignore train.py": ("python", "train.py", None),
    "python train": ("python", "train", None),
    "python -m pkg.mod x.py": ("python", None, "pkg.mod"),
    "python -um pkg": ("python", None, "pkg"),
    "python -c 'print(1)' x.py": ("python", None, None),
    "python - x.py": ("python", None, None),
    "python": ("python", None, None),
    "/usr/bin/python3 ./a/train.py": ("python3", "./a/train.py", None),
    "pypy3 x.py": ("pypy3", "x.py", None),
    "Rscript --vanilla fit.R in.csv": ("Rscript", "fit.R", None),
    "Rscript -e 'x()'": ("Rscript", None, None),
    "R CMD BATCH fit.R": ("R", "fit.R", None),
    "R -f fit.R": ("R", "fit.R", None),
    "R --file=fit.R": ("R", "fit.R", None),
    "julia -t 4 sim.jl": ("julia", "sim.jl", None),
    "bash run": ("bash", "run", None),
    "bash -c 'x; y' z": ("bash", None, None),
    "sh -ec x": ("sh", None, None),
    "node -r esm app.js": ("node", "app.js", None),
    "perl -pe 's/a/b/' f.pl": ("perl", None, None),
    "perl -w x.pl": ("perl", "x.pl", None),
    "ruby x.rb": ("ruby", "x.rb", None),
    "awk -f p.awk data": ("awk", "p.awk", None),
    "awk '{print}' data": ("awk", None, None),
    "java -cp x.jar Main": ("java", None, None),
    "java -jar app.jar x": ("java", "app.jar", None),
    "./run.sh a": ("run.sh", "./run.sh", None),
    "./prog train.py": ("prog", "train.py", None),
    "torchrun --nproc-per-node 4 train.py --lr 1": ("torchrun", "train.py", None),
    "prog -i x.py y.py -v z.py": ("prog", "z.py", None),
    "prog data.csv": ("prog", None, None),
    "make figures": ("make", None, None),
    "cat notes.py": ("cat", None, None),
    "cp a.py b.py": ("cp", None, None),
    "env PYTHONHASHSEED=0 python x.py": ("python", "x.py", None),
    "env -u A -i B=1 python x.py": ("python", "x.py", None),
    "nice -n 10 nohup time -f %e python x.py": ("python", "x.py", None),
    "timeout -k 5 60 python x.py": ("python", "x.py", None),
    "uv run --with numpy python x.py": ("python", "x.py", None),
    "uv run x.py": ("x.py", "x.py", None),
    "uv pip install x.py": ("uv", "x.py", None),
    "poetry run python x.py": ("python", "x.py", None),
    "conda run -n e python x.py": ("python", "x.py", None),
    "mpirun -n 4 python x.py": ("python", "x.py", None),
    "srun -n 4 python x.py": ("python", "x.py", None),
    "apptainer exec --bind /a img.sif python x.py": ("python", "x.py", None),
    "env": ("env", None, None),
    "nice": ("nice", None, None),
    "timeout 5": ("timeout", None, None),
}


@pytest.mark.parametrize(("command", "expected"), FLAGS.items(), ids=FLAGS)
def test_inputs_and_outputs_of_a_command_line(command: str, expected: tuple[str, str]) -> None:
    found = recognise(shlex.split(command))
    assert (" ".join(found.inputs), " ".join(found.outputs)) == expected


@pytest.mark.parametrize(("command", "expected"), SCRIPTS.items(), ids=SCRIPTS)
def test_the_script_of_a_command_line(command: str, expected: tuple[str, str | None, str | None]) -> None:
    found = recognise(shlex.split(command))
    assert (found.program, found.script, found.module) == expected
    assert declared.script(shlex.split(command)) == expected[1]


def test_no_command_says_nothing() -> None:
    assert recognise([]) == declared.Command()


def test_flags_of_the_configuration_come_on_top() -> None:
    known = flags(["--source"], ["--dest"])
    found = recognise(shlex.split("prog --source a -i b --dest=c"), known)
    assert (found.inputs, found.outputs) == (("a", "b"), ("c",))
    assert flags() == Flags()


@given(
    st.lists(st.text(max_size=6) | st.sampled_from(["-i", "-o", "--out=x", "env", "python", "-m", "-c", "uv", "run", "timeout"]))
)
def test_any_words_can_be_read(words: list[str]) -> None:
    found = recognise(words)
    assert all(word in " ".join(words) for word in (*found.inputs, *found.outputs))


def test_declared_paths_are_canonical_and_what_was_said_before_the_command_comes_first() -> None:
    found = declare(
        recognise(["p", "-i", "../a", "/x/b", "-o", "c"]), "/p/d", os.path.normpath, inputs=["z", "/x/b"], outputs=["c"]
    )
    assert found == Declared(("/p/d/z", "/x/b", "/p/a"), ("/p/d/c",))


# -- joined with what was observed -----------------------------------------------------------------------------------------

START = 2.0  # seconds; in nanoseconds, older signatures lie before


def old(inode: int) -> Stat:
    return Stat(10, 10**9, 10**9, inode, 1)


def young(inode: int) -> Stat:
    return Stat(10, 3 * 10**9, 3 * 10**9, inode, 1)


def joined(
    conclusion: Conclusion, inputs: tuple[str, ...] = (), outputs: tuple[str, ...] = (), there: Mapping[str, Stat] | None = None
) -> Conclusion:
    files = {at(name): signature for name, signature in (there or {}).items()}

    def look(path: str) -> Mapping[str, Stat]:
        return {name: found for name, found in files.items() if name == path or name.startswith(path + "/")}

    what = Declared(tuple(map(at, inputs)), tuple(map(at, outputs)))
    return merge(conclusion, what, look, lambda path, _: os.path.basename(path), SETTING, started=START)


def evidence(conclusion: Conclusion) -> list[str]:
    return [f"{use.path.removeprefix('/p/')} {'+'.join(use.evidence)}" for use in (*conclusion.inputs, *conclusion.outputs)]


def test_what_was_observed_and_declared_bears_both() -> None:
    observed = conclude([r("in", v(1)), r("other", v(3)), w("out")], {"in": v(1), "other": v(3), "out": v(2, 1)})
    assert evidence(joined(observed, ("in",), ("out",), {"in": old(1), "out": young(2)})) == [
        "in observed+declared",
        "other observed",
        "out observed+declared",
    ]


def test_what_was_declared_only_must_be_true() -> None:
    there = {"in": old(1), "late": young(2), "out": young(3), "untouched": old(4)}
    found = joined(Conclusion(), ("in", "late", "no", "word"), ("out", "untouched", "missing"), there)
    assert evidence(found) == ["in declared", "out declared"]
    assert shown(found) == ["in read in in", "out write out out"]


def test_a_directory_stands_for_the_files_below_it() -> None:
    observed = conclude([r("data/a", v(1)), w("res/x")], {"data/a": v(1), "res/x": v(2, 1)})
    there = {"data/a": old(1), "data/b": old(5), "res/x": young(2), "res/y": young(6), "res/z": old(7), "data2/c": old(8)}
    assert evidence(joined(observed, ("data",), ("res",), there)) == [
        "data/a observed+declared",
        "data/b declared",
        "res/x observed+declared",
        "res/y declared",
    ]


def test_what_the_run_wrote_is_not_its_declared_input() -> None:
    observed = conclude([w("f")], {"f": v(1, 1)})
    assert evidence(joined(observed, ("f",), (), {"f": old(1)})) == ["f observed"]


def test_what_was_seen_to_stay_as_it_was_is_no_declared_output() -> None:
    observed = conclude([w("f", v(1), NEW)], {"f": v(1)})
    assert evidence(joined(observed, (), ("f",), {"f": young(1)})) == []


def test_what_was_declared_is_data_wherever_it_lies() -> None:
    words, part, script = "/usr/share/dict/words", "/home/ada/.cache/x/part", at("model.py")
    observed = conclude([r(words, v(1)), r(part, v(2)), r(script, v(3))], {words: v(1), part: v(2), script: v(3)})
    assert [use.path for use in observed.software] == [words]
    found = joined(observed, (words, part, script))
    assert {(use.path, use.role) for use in found.inputs} == {(words, "data"), (part, "data"), (script, "code")}
    assert found.software == ()


def test_vestiges_own_files_cannot_be_declared() -> None:
    assert evidence(joined(Conclusion(), (".vestige", ".git"), (), {".vestige/project": old(1), ".git/HEAD": old(2)})) == []


def test_digests_are_asked_for_what_was_declared_only() -> None:
    asked: list[str] = []

    def ask(path: str, signature: Stat) -> str | None:
        asked.append(path)
        return digest(path, signature)

    observed = conclude([r("in", v(1))], {"in": v(1)})
    look = {at("in"): v(1), at("b"): old(2)}
    merge(observed, Declared((at("in"), at("b"))), lambda path: {path: look[path]}, ask, SETTING, started=START)
    assert asked == [at("b")]
