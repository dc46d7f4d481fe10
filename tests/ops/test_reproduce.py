"""Real runs, made again: by real programs, in real workspaces, behind real walls."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ops.lab import Lab
from tests.store.permissions import read_only
from vestige.errors import CouldNotError, NotFoundError
from vestige.ops import find
from vestige.ops import reproduce as ops
from vestige.ops.reproduce import Options, Reproduction
from vestige.ops.show import everything
from vestige.reproduce import landlock
from vestige.reproduce.confine import Ways
from vestige.store import project as places

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="files are observed on Linux")

LANDLOCK = Ways(landlock=landlock.version())
VIEW = Ways(view=True)
BOTH = Ways(landlock=landlock.version(), view=True)
EVERY = pytest.mark.parametrize("ways", [LANDLOCK, VIEW, BOTH], ids=["landlock", "view", "both"])


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "p")


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Every test leaves no workspace but those of steps that failed, and nothing running."""
    yield
    top = os.path.join(places.cache_home(), "work")
    for name in os.listdir(top) if os.path.isdir(top) else ():
        assert "left" in os.listdir(os.path.join(top, name))


def again(lab: Lab, *words: str, ways: Ways | None = None, options: Options | None = None) -> Reproduction:
    project = lab.project
    options = options or Options()
    here = os.getcwd()
    os.chdir(lab.root)
    try:
        return ops.carry_out(project, ops.plan(project, words, options), options, ways=ways)
    finally:
        os.chdir(here)


def words(made: Reproduction) -> dict[str, str]:
    print(*(line for done in made.steps for line in (done.reason, *done.notes, done.ending)), sep="\n")  # seen if a test fails
    return {one.verdict.path: one.verdict.verdict for one in made.judgements if one.asked}


def others(made: Reproduction) -> dict[str, str]:
    return {one.verdict.path: one.verdict.verdict for one in made.judgements if not one.asked}


def note(made: Reproduction, path: str) -> str:
    return next(one.verdict.note or "" for one in made.judgements if one.verdict.path == path)


def pipeline(lab: Lab) -> None:
    lab.write("data/raw.csv", "c\nb\na\n")
    lab.write("clean.sh", "sort data/raw.csv > clean.csv\necho cleaned\n")
    lab.write("train.py", "import os\nos.mkdir('model')\nopen('model/m.txt','w').write(open('clean.csv').read()*2)\n")
    lab.write("plot.sh", "mkdir -p fig; tr a-z A-Z < model/m.txt > fig/roc.txt; wc -l < clean.csv > fig/n.txt\n")
    lab.sh("run sh clean.sh > clean.log")
    lab.sh(f"run {sys.executable} train.py")
    lab.sh("run sh plot.sh")


# -- histories ----------------------------------------------------------------------------------------------------------


@EVERY
def test_a_history_is_made_again_and_is_identical(lab: Lab, ways: Ways) -> None:
    pipeline(lab)
    made = again(lab, "fig/roc.txt", ways=ways)
    assert words(made) == {"fig/roc.txt": "identical"}
    assert others(made) == dict.fromkeys(["clean.csv", "clean.log", "model/m.txt", "fig/n.txt"], "identical")
    assert made.exit_code == 0
    assert [done.state for done in made.steps] == ["done"] * 3


def test_outputs_that_were_destroyed_are_made_again_from_what_was_kept(lab: Lab) -> None:
    pipeline(lab)
    for path in ("data", "model", "fig"):
        shutil.rmtree(lab.root / path)
    for path in ("clean.csv", "clean.sh", "train.py", "plot.sh", "clean.log"):
        (lab.root / path).unlink()
    made = again(lab, "fig/roc.txt")
    assert words(made) == {"fig/roc.txt": "identical"}
    assert not (lab.root / "fig").exists()


def test_a_run_is_judged_by_all_its_data(lab: Lab) -> None:
    pipeline(lab)
    assert words(again(lab, "last")) == {"fig/roc.txt": "identical", "fig/n.txt": "identical"}


def test_steps_that_do_not_need_each_other_are_executed_at_once(lab: Lab) -> None:
    for name in ("a", "b"):
        lab.sh(f"run sh -c 'sleep 0.4; echo {name}{name} > {name}.txt'")
    lab.sh("run sh -c 'cat a.txt b.txt > c.txt'")
    made = again(lab, "c.txt", options=Options(jobs=2))
    assert words(made) == {"c.txt": "identical"}
    assert others(made) == {"a.txt": "identical", "b.txt": "identical"}


def test_independent_steps_are_fed_what_was_recorded(lab: Lab) -> None:
    lab.write("roll.py", "import os\nopen('dice','w').write(os.urandom(20).hex())\n")
    lab.sh(f"run {sys.executable} roll.py")
    lab.sh("run sh -c 'tr a-f A-F < dice > upper'")
    chained = again(lab, "upper")
    assert (words(chained), others(chained), chained.exit_code) == ({"upper": "different"}, {"dice": "different"}, 1)
    independent = again(lab, "upper", options=Options(mode="independent", jobs=2))
    assert (words(independent), others(independent)) == ({"upper": "identical"}, {"dice": "different"})
    assert independent.exit_code == 0


def test_only_what_differs_is_said_to_differ_and_how(lab: Lab) -> None:
    lab.write("step.py", "import time\nopen('out.txt','w').write(f'same\\nnow {time.time()}\\n')\n")
    lab.sh(f"run {sys.executable} step.py")
    made = again(lab, "out.txt")
    assert words(made) == {"out.txt": "different"}
    assert note(made, "out.txt").startswith("line 2: now ")
    assert made.exit_code == 1


def test_what_is_not_written_again_is_missing(lab: Lab) -> None:
    lab.sh("run sh -c 'test \"$HOME\" = /h && echo out of it > out.txt; true'", environ={"HOME": "/h"})
    made = again(lab, "out.txt")
    assert words(made) == {"out.txt": "missing"}
    assert made.exit_code == 1


def test_an_old_output_among_the_code_does_not_pass_for_a_new_one(lab: Lab) -> None:
    lab.write("out.txt", "content of the output\n")
    lab.commit()
    lab.sh("run sh -c 'test \"$HOME\" = /h && echo content of the output > out.txt; true'", environ={"HOME": "/h"})
    assert words(again(lab, "out.txt")) == {"out.txt": "missing"}


# -- walls --------------------------------------------------------------------------------------------------------------


@EVERY
def test_a_script_that_writes_the_original_by_its_absolute_path_leaves_it_untouched(lab: Lab, ways: Ways) -> None:
    out = lab.root / "out.txt"
    lab.write("step.sh", f"echo made > {out}; rm -f {lab.root}/scratch\n")
    lab.sh("run sh step.sh")
    out.write_text("precious\n")
    (lab.root / "scratch").write_text("precious, too\n")
    made = again(lab, lab.last().id[-8:], ways=ways)
    assert out.read_text() == "precious\n"
    assert (lab.root / "scratch").read_text() == "precious, too\n"
    if ways.view:
        assert words(made) == {"out.txt": "identical"}
    else:
        assert words(made) == {"out.txt": "could not"}
        assert made.exit_code == 2
        (done,) = made.steps
        assert done.notes[0] == f"it tried to change {out} (and 1 more), outside its workspace, and was refused"


@EVERY
def test_an_absolute_path_in_the_command_is_led_into_the_workspace(lab: Lab, ways: Ways) -> None:
    lab.write("vestige.toml", 'variables = ["IN"]\n')
    lab.write("in.csv", "a\n")
    lab.sh(f"run sh -c 'cat {lab.root}/in.csv $IN > {lab.root}/out.txt'", environ={"IN": f"{lab.root}/in.csv"})
    (lab.root / "in.csv").write_text("b\n")
    (lab.root / "out.txt").unlink()
    assert words(again(lab, "out.txt", ways=ways)) == {"out.txt": "identical"}
    assert not (lab.root / "out.txt").exists()


@EVERY
def test_an_output_outside_the_project_is_made_in_the_workspace(lab: Lab, ways: Ways, tmp_path: Path) -> None:
    outside = tmp_path / "results"
    outside.mkdir()
    lab.sh(f"run sh -c 'echo result > {outside}/r.txt'")
    (outside / "r.txt").write_text("precious\n")
    made = again(lab, "last", ways=ways)
    assert words(made) == {f"{outside}/r.txt": "identical"}
    assert (outside / "r.txt").read_text() == "precious\n"


@EVERY
def test_a_link_in_the_code_that_leads_out_is_not_written_through(lab: Lab, ways: Ways, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (lab.root / "big").symlink_to(elsewhere)
    lab.commit()
    lab.sh("run sh -c 'echo result > big/r.txt'")
    (elsewhere / "r.txt").write_text("precious\n")
    again(lab, "last", ways=ways)
    assert (elsewhere / "r.txt").read_text() == "precious\n"


def test_where_there_are_no_walls_a_step_that_knows_the_project_is_not_executed(lab: Lab) -> None:
    lab.write("step.sh", f"echo made > {lab.root}/out.txt\n")
    lab.sh("run sh step.sh")
    (lab.root / "out.txt").write_text("precious\n")
    made = again(lab, "last", ways=Ways())
    assert words(made) == {"out.txt": "could not"}
    assert f"step.sh names {lab.root}, and this system has neither Landlock nor a namespace" in note(made, "out.txt")
    assert lab.read("out.txt") == "precious\n"


def test_where_there_are_no_walls_a_step_that_knows_no_place_is_executed(lab: Lab) -> None:
    lab.sh("run sh -c 'echo made > out.txt'")
    assert words(again(lab, "last", ways=Ways())) == {"out.txt": "identical"}


@pytest.mark.parametrize("ways", [VIEW, BOTH], ids=["view", "both"])
def test_what_a_script_writes_into_the_temporary_folder_stays_private(
    tmp_path: Path, ways: Ways, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"vestige-{os.getpid()}"
    base = Path(tempfile.mkdtemp(dir="/var/tmp"))  # a workspace inside /tmp could not cover it
    try:
        monkeypatch.setenv("XDG_CACHE_HOME", str(base))
        lab = Lab(tmp_path / "p")
        lab.sh(f"run sh -c 'echo once > /tmp/{name}; cat /tmp/{name} > out.txt; rm /tmp/{name}'")
        Path(f"/tmp/{name}").write_text("precious\n")
        assert words(again(lab, "out.txt", ways=ways)) == {"out.txt": "identical"}
        assert Path(f"/tmp/{name}").read_text() == "precious\n"
    finally:
        Path(f"/tmp/{name}").unlink(missing_ok=True)
        shutil.rmtree(base)


@EVERY
def test_locks_between_processes_work(lab: Lab, ways: Ways) -> None:
    lab.write(
        "step.py",
        "import multiprocessing as m\n"
        "def work(n): return n * n\n"
        "if __name__ == '__main__':\n"
        "    with m.Pool(2) as pool: open('out.txt','w').write(str(pool.map(work, range(5))))\n",
    )
    lab.sh(f"run {sys.executable} step.py")
    assert words(again(lab, "out.txt", ways=ways)) == {"out.txt": "identical"}


@EVERY
def test_the_home_is_private_and_shows_what_is_in_the_users(lab: Lab, ways: Ways, own_folders: Path) -> None:
    settings, cache = own_folders / "settings", own_folders / ".cache" / "tool"
    settings.write_text("mine\n")
    lab.write("step.sh", "cat ~/settings > out.txt; (echo x > ~/settings) 2> /dev/null; mkdir -p ~/.cache/tool; true\n")
    lab.sh("run sh step.sh")
    settings.write_text("mine\n")
    shutil.rmtree(cache)
    assert words(again(lab, "out.txt", ways=ways)) == {"out.txt": "identical"}
    assert settings.read_text() == "mine\n"
    assert not cache.exists()


# -- steps --------------------------------------------------------------------------------------------------------------


def test_a_step_that_failed_is_made_again_if_it_fails_the_same_way(lab: Lab) -> None:
    lab.sh("run sh -c 'echo partial > out.txt; exit 3'", status=3)
    assert words(again(lab, "out.txt")) == {"out.txt": "identical"}


def test_a_step_that_ends_otherwise_could_not_be_made_and_leaves_its_workspace(lab: Lab) -> None:
    lab.sh("run sh -c 'echo partial > out.txt; test \"$HOME\" = /h || { echo sorry >&2; exit 4; }'", environ={"HOME": "/h"})
    made = again(lab, "out.txt")
    assert words(made) == {"out.txt": "could not"}
    (done,) = made.steps
    assert done.reason == "it ended with 4 instead of 0: sorry"
    assert done.workspace is not None
    assert Path(done.workspace, "project/out.txt").read_text() == "partial\n"
    assert made.exit_code == 2


def test_what_needs_a_failed_step_is_not_executed(lab: Lab) -> None:
    lab.sh("run sh -c 'echo some long content > a.txt; test \"$HOME\" = /h'", environ={"HOME": "/h"})
    first = lab.last()
    lab.sh("run sh -c 'cat a.txt > b.txt'")
    made = again(lab, "b.txt")
    assert [done.state for done in made.steps] == ["failed", "could not"]
    assert note(made, "b.txt") == f"it needs what {first.id[-8:]} did not make"


def test_standard_streams_are_files_again(lab: Lab) -> None:
    lab.write("in.txt", "b\na\n")
    lab.sh("run sort < in.txt > out.txt 2> err.txt")
    made = again(lab, "out.txt")
    assert words(made) == {"out.txt": "identical"}


def test_output_and_errors_share_one_file_again(lab: Lab) -> None:
    lab.sh("run sh -c 'echo one; echo two >&2; echo three' > all.txt 2>&1")
    assert words(again(lab, "all.txt")) == {"all.txt": "identical"}


@EVERY
def test_a_log_outside_that_several_runs_write_to_is_no_obstacle(lab: Lab, tmp_path: Path, ways: Ways) -> None:
    line = f"{sys.executable} -m vestige run sh -c 'echo said; echo made here > out.txt'"
    lab.sh(f"(echo before; run true; {line}) > {tmp_path}/log")
    made = again(lab, "out.txt", ways=ways)
    assert words(made) == {"out.txt": "identical"}
    (tmp_path / "log").unlink()
    assert words(again(lab, "out.txt", ways=ways)) == {"out.txt": "identical"}
    assert not (tmp_path / "log").exists()


def test_a_log_is_added_to_again(lab: Lab) -> None:
    lab.write("log.txt", "zero\n")
    lab.sh("run echo one >> log.txt")
    lab.sh("run echo two >> log.txt")
    assert lab.read("log.txt") == "zero\none\ntwo\n"
    assert words(again(lab, "log.txt")) == {"log.txt": "identical"}


def test_a_file_is_changed_in_place_again(lab: Lab) -> None:
    lab.write("table.txt", "c\nb\na\n")
    lab.sh("run sort -o table.txt table.txt")
    lab.sh("run sed -i s/a/x/ table.txt")
    made = again(lab, "table.txt")
    assert words(made) == {"table.txt": "identical"}
    assert lab.read("table.txt") == "x\nb\nc\n"


@EVERY
def test_a_program_that_one_step_builds_is_executed_by_the_next(lab: Lab, ways: Ways) -> None:
    lab.write("p.c", '#include <stdio.h>\nint main(void){puts("built");return 0;}\n')
    lab.sh("run gcc -o p p.c")
    lab.sh("run ./p > out.txt")
    made = again(lab, "out.txt", ways=ways)
    assert (words(made), others(made)) == ({"out.txt": "identical"}, {"p": "identical"})


def test_runs_inside_a_run_are_made_again_by_themselves(lab: Lab) -> None:
    lab.write(
        "Makefile",
        f"out.txt: mid.txt\n\t{sys.executable} -m vestige run sh -c 'tr a-z A-Z < mid.txt > out.txt'\n"
        f"mid.txt: in.txt\n\t{sys.executable} -m vestige run sh -c 'sort in.txt > mid.txt'\n",
    )
    lab.write("in.txt", "b\na\n")
    lab.sh("run make")
    made = again(lab, "out.txt")
    assert words(made) == {"out.txt": "identical"}
    assert [done.step.run.command[0] for done in made.steps] == ["sh", "sh"]


def test_the_working_directory_the_umask_and_the_variables_are_as_recorded(lab: Lab) -> None:
    lab.write("sub/deep/x", "")
    lab.write("vestige.toml", 'variables = ["LR"]\n')
    line = "umask 077; run sh -c 'pwd -P > where.txt; umask > mask.txt; echo $LR $PWD > lr.txt'"
    lab.sh(line, cwd="sub/deep", environ={"LR": "0.1"})
    made = again(lab, "last", ways=BOTH)
    assert words(made) == dict.fromkeys((f"sub/deep/{name}.txt" for name in ("where", "mask", "lr")), "identical")


def test_a_secret_in_a_command_is_filled_in_again_or_asked_for(lab: Lab) -> None:
    token = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    lab.sh("run sh -c 'echo $1 | wc -c > out.txt' x --token=$MY_TOKEN", environ={"MY_TOKEN": token})
    assert token not in str(lab.last())
    made = again(lab, "out.txt")
    assert words(made) == {"out.txt": "could not"}
    assert "is a secret" in note(made, "out.txt")
    name = lab.last().redactions[0].variable or "command[5]"
    made = again(lab, "out.txt", options=Options(secrets={name: token}))
    assert words(made) == {"out.txt": "identical"}


def test_a_step_that_asks_git_gets_the_commit_that_it_asked_about(lab: Lab) -> None:
    lab.write(
        "step.sh", "git describe --tags > version.txt; git rev-parse HEAD >> version.txt; git status --short >> version.txt\n"
    )
    lab.commit()
    subprocess.run(["git", "-C", str(lab.root), "tag", "v1"], check=True)
    lab.sh("run sh step.sh")
    first = lab.read("version.txt")
    lab.write("later.txt", "later\n")
    lab.commit("later")
    for ways in (BOTH, LANDLOCK):
        made = again(lab, lab.last().id[-8:], ways=ways)
        assert words(made)["version.txt"] in ("identical", "different"), first
        assert "at hand" not in str(made.steps[0].notes)


def test_an_environment_inside_the_project_is_there_to_be_read(lab: Lab) -> None:
    lab.write(".gitignore", ".venv/\n")
    lab.write(".venv/pyvenv.cfg", "home = /usr\n")
    tool = lab.write(".venv/bin/tool", "#!/bin/sh\necho tool > out.txt\necho broken > .venv/broken || true\n", executable=True)
    lab.sh("run .venv/bin/tool")
    (lab.root / ".venv/broken").unlink()
    for ways in (BOTH, LANDLOCK, VIEW):
        assert words(again(lab, "out.txt", ways=ways)) == {"out.txt": "identical"}
        assert not (lab.root / ".venv/broken").exists()
    assert tool.exists()


def test_names_that_are_hard_to_write_are_made_again(lab: Lab) -> None:
    name = os.fsdecode(b"a\nb \xff'.txt")
    lab.write("step.py", "import os\nopen(os.fsencode('x') + b'/a\\nb \\xff\\'.txt','wb').write(open('x/in','rb').read())\n")
    lab.write("x/in", "some content, long enough\n")
    lab.sh(f"run {sys.executable} step.py")
    assert words(again(lab, "last")) == {f"x/{name}": "identical"}


def test_a_pipe_that_was_not_read_is_not_missed(lab: Lab) -> None:
    lab.sh("run sh -c 'echo made > out.txt'", feed=b"nobody reads this")
    assert words(again(lab, "out.txt")) == {"out.txt": "identical"}


def test_a_pipe_that_was_read_is_missed(lab: Lab) -> None:
    lab.sh("run sh -c 'sort > out.txt'", feed=b"b\na\n")
    made = again(lab, "out.txt")
    assert words(made) == {"out.txt": "could not"}
    assert note(made, "out.txt").startswith("its standard input was a pipe, which was not kept")
    assert made.exit_code == 2


@EVERY
def test_what_a_step_leaves_running_is_ended(lab: Lab, ways: Ways) -> None:
    seconds = _seconds()
    line = f'echo made > out.txt; if test "$HOME" != /h; then setsid sleep {seconds} & fi'
    lab.sh(f"run sh -c '{line}'", environ={"HOME": "/h"})
    made = again(lab, "out.txt", ways=ways)
    assert words(made) == {"out.txt": "identical"}
    assert not _sleeping(seconds)


def test_a_step_that_takes_too_long_is_ended(lab: Lab) -> None:
    seconds = _seconds()
    lab.sh(f"run sh -c 'echo made > out.txt; test \"$HOME\" = /h || sleep {seconds}'", environ={"HOME": "/h"})
    began = time.monotonic()
    made = again(lab, "out.txt", options=Options(seconds=0.5))
    assert time.monotonic() - began < 10
    assert words(made) == {"out.txt": "could not"}
    assert made.steps[0].reason == "it was ended after 0.5 s"
    assert not _sleeping(seconds)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_interruption_leaves_nothing_behind(lab: Lab, jobs: str) -> None:
    seconds = _seconds()
    lab.sh(f"run sh -c 'echo made > out.txt; test \"$HOME\" = /h || sleep {seconds}'", environ={"HOME": "/h"})
    process = subprocess.Popen(
        [sys.executable, "-m", "vestige", "reproduce", "out.txt", "-j", jobs], cwd=lab.root, stderr=subprocess.PIPE, text=True
    )
    for _ in range(1000):
        if _sleeping(seconds):
            break
        time.sleep(0.02)
    assert _sleeping(seconds)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert not _sleeping(seconds)
    assert os.listdir(os.path.join(places.cache_home(), "work")) == []


def test_what_a_crash_has_left_is_swept_by_the_next(lab: Lab) -> None:
    lab.sh("run sh -c 'echo made > out.txt'")
    top = os.path.join(places.cache_home(), "work")
    crashed = os.path.join(top, "0badcafe")
    os.makedirs(os.path.join(crashed, "1", "project"))
    Path(crashed, "lock").touch()
    again(lab, "out.txt")
    assert os.listdir(top) == []


# -- what is said -------------------------------------------------------------------------------------------------------


def test_a_reproduction_is_recorded_as_one_with_its_verdicts(lab: Lab) -> None:
    run = lab.sh("run sh -c 'echo made > out.txt'")
    made = again(lab, "out.txt")
    ending = made.steps[0].ending
    assert ending is not None
    assert ending.run is not None
    recorded = lab.project.records.read(ending.run)
    assert (recorded.kind, recorded.command, recorded.exit_code) == ("reproduction", run.command, 0)
    assert recorded.reproduction is not None
    assert recorded.reproduction.of == run.id
    assert [(use.path, use.digest) for use in recorded.outputs] == [(use.path, use.digest) for use in run.outputs]
    (said,) = lab.project.records.notes_of(ending.run)
    verdicts = said.extra["reproduction"]["verdicts"]  # type: ignore[index]
    assert [(one["path"], one["verdict"]) for one in verdicts] == [("out.txt", "identical")]


def test_the_verdicts_on_a_reproduction_are_shown_with_it(lab: Lab) -> None:
    lab.sh("run sh -c 'echo made > out.txt'")
    made = again(lab, "out.txt")
    assert made.steps[0].ending is not None
    shown = everything(lab.project, find.record(lab.project, made.steps[0].ending.run or ""))
    assert shown.run.reproduction is not None
    assert [(one.path, one.verdict) for one in shown.run.reproduction.verdicts] == [("out.txt", "identical")]


def test_a_file_is_still_the_originals_after_it_was_made_again(lab: Lab) -> None:
    run = lab.sh("run sh -c 'echo made by somebody > out.txt'")
    again(lab, "out.txt")
    assert find.maker(lab.project, str(lab.root / "out.txt")).run == run.id
    assert words(again(lab, "out.txt")) == {"out.txt": "identical"}


def test_a_raw_input_that_is_gone_says_who_had_it(lab: Lab) -> None:
    lab.write("vestige.toml", 'keep = "0"\n')
    lab.write("raw.csv", "a\n")
    lab.sh("run sh -c 'cat raw.csv > out.txt'")
    (lab.root / "raw.csv").unlink()
    made = again(lab, "out.txt")
    assert words(made) == {"out.txt": "could not"}
    assert note(made, "out.txt").startswith("raw.csv is gone, and was not kept; ")
    assert made.exit_code == 2


def test_what_was_adopted_cannot_be_made_again(lab: Lab) -> None:
    lab.write("table.csv", "a,b\n")
    lab.vestige("adopt", "table.csv")
    made = again(lab, "table.csv")
    assert note(made, "table.csv") == "it was adopted: nobody saw how its outputs were made"
    assert made.exit_code == 2


def test_a_file_that_nobody_knows_cannot_be_asked_for(lab: Lab) -> None:
    lab.sh("run true")
    with pytest.raises(NotFoundError):
        again(lab, "nothing.txt")


def test_a_run_that_wrote_nothing_cannot_be_judged(lab: Lab) -> None:
    lab.sh("run true")
    with pytest.raises(CouldNotError):
        again(lab, "last")


def test_recorded_environments_are_not_restored_yet(lab: Lab) -> None:
    lab.sh("run sh -c 'echo made > out.txt'")
    done = lab.vestige("reproduce", "out.txt", "--env", "recorded")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_where_nothing_can_be_recorded_things_are_made_again_all_the_same(lab: Lab) -> None:
    lab.sh("run sh -c 'echo made > out.txt'")
    with read_only(lab.project.store):
        assert words(again(lab, "out.txt")) == {"out.txt": "identical"}


def test_several_things_are_made_again_with_what_they_share_made_once(lab: Lab) -> None:
    lab.sh("run sh -c 'echo some long content > a.txt'")
    lab.sh("run sh -c 'sort a.txt > b.txt'")
    lab.sh("run sh -c 'wc -c < a.txt > c.txt'")
    made = again(lab, "b.txt", "c.txt")
    assert words(made) == {"b.txt": "identical", "c.txt": "identical"}
    assert len(made.steps) == 3


def test_something_can_be_made_again_inside_a_run(lab: Lab) -> None:
    lab.sh("run sh -c 'echo made > out.txt; sort out.txt > two.txt'")
    lab.sh(f"run {sys.executable} -m vestige reproduce two.txt")
    assert lab.read("two.txt") == "made\n"


def test_a_project_that_was_moved_is_made_again_where_it_is(lab: Lab, tmp_path: Path) -> None:
    lab.write("in.csv", "a\n")
    lab.sh(f"run sh -c 'cat {lab.root}/in.csv > {lab.root}/out.txt'")
    moved = tmp_path / "moved"
    lab.root.rename(moved)
    lab.root = moved
    for ways in (BOTH, LANDLOCK):
        assert words(again(lab, "out.txt", ways=ways)) == {"out.txt": "identical"}


def test_a_dry_run_executes_nothing(lab: Lab) -> None:
    pipeline(lab)
    before = len(list(lab.project.records.paths()))
    done = lab.vestige("reproduce", "--dry-run", "fig/roc.txt")
    assert done.returncode == 0
    assert done.stdout.count("\n") == 3
    assert len(list(lab.project.records.paths())) == before


def test_the_users_repository_and_files_are_left_alone(lab: Lab) -> None:
    pipeline(lab)
    lab.commit()
    before = _everything(lab.root)
    again(lab, "fig/roc.txt")
    assert _everything(lab.root) == before


def _everything(root: Path) -> dict[str, tuple[int, int, bytes]]:
    found = {}
    for folder, folders, names in os.walk(root):
        if ".vestige" in folders:
            folders.remove(".vestige")
        for name in names:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            found[path] = (status.st_mode, status.st_mtime_ns, Path(path).read_bytes())
    return found


def _seconds() -> str:
    """A time to sleep that no other test sleeps."""
    return f"86400.{os.urandom(3).hex().translate(str.maketrans('abcdef', '012345'))}"


def _sleeping(seconds: str) -> bool:
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                argv = Path("/proc", name, "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if argv[:1] == [b"sleep"] and seconds.encode() in argv:
                return True
    return False
