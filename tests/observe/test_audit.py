"""The way of observing that needs no kernel, shown with real interpreters."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from vestige.observe import audit
from vestige.observe.audit import Survey, differences, survey
from vestige.observe.classify import Follower
from vestige.observe.conclusion import Conclusion
from vestige.observe.interface import Event, Stat, parse
from vestige.observe.roles import Setting

SOURCES = Path(audit.__file__).parent


def stat_of(path: str) -> Stat | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return Stat(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)


class Run:
    """A folder in which Python code is run under the hook."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "p"
        self.folder.mkdir()
        self.journal = folder / "events.jsonl"
        self.setting = Setting(str(self.folder), temporary=())
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VESTIGE"))}
        self.plain = {**plain, "PYTHONDONTWRITEBYTECODE": "1"}
        self.environ = {**self.plain, **audit.environment(self.plain, str(folder), str(self.journal))}

    def __call__(self, code: str, *options: str, hooked: bool = True, **more: str) -> subprocess.CompletedProcess[bytes]:
        environ = {**(self.environ if hooked else self.plain), **more}
        command = [sys.executable, *options, "-c", textwrap.dedent(code)]
        return subprocess.run(command, cwd=self.folder, env=environ, capture_output=True, check=False)

    def ok(self, code: str) -> None:
        done = self(code)
        assert (done.returncode, done.stderr) == (0, b"")

    def events(self) -> list[Event]:
        data = self.journal.read_bytes()
        found = list(parse(data.splitlines(keepends=True)))
        assert len(found) == data.count(b"\n")
        return found

    def conclude(self, more: list[Event] | None = None) -> Conclusion:
        follower = Follower(self.setting, lambda path: os.readlink(path) if os.path.islink(path) else None)
        for event in [*self.events(), *(more or [])]:
            follower.feed(event)
        return follower.conclude(stat_of, lambda path, signature: None)

    def uses(self) -> list[str]:
        found = self.conclude()
        base = str(self.folder) + "/"
        return [f"in {use.access} {use.path.removeprefix(base)}" for use in found.inputs if use.path.startswith(base)] + [
            f"out {use.access} {use.path.removeprefix(base)}" for use in found.outputs if use.path.startswith(base)
        ]

    def put(self, name: str, text: str = "before\n") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (1, 1))
        return path


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


CASES = {
    "read": ("open('a').read()", ["in read a"]),
    "read as bytes": ("open(b'a', 'rb').read()", ["in read a"]),
    "read by os.open": ("import os; os.read(os.open('a', os.O_RDONLY), 9)", ["in read a"]),
    "read by pathlib": ("import pathlib; pathlib.Path('a').read_text()", ["in read a"]),
    "read a hundred times": ("[open('a').read() for _ in range(100)]", ["in read a"]),
    "read by descriptor": ("import os; open(os.open('a', os.O_RDONLY)).read()", ["in read a"]),
    "written": ("open('b', 'w').write('x')", ["out write b"]),
    "overwritten": ("open('a', 'w').write('x')", ["out write a"]),
    "created only": ("open('b', 'x').write('x')", ["out write b"]),
    "appended": ("open('a', 'a').write('x')", ["in append a", "out append a"]),
    "changed in place": ("f = open('a', 'r+'); f.write('x')", ["in update a", "out update a"]),
    "opened for both and left alone": ("f = open('a', 'r+')", ["in read a"]),
    "refused": ("import os\ntry: open('no/b', 'w')\nexcept OSError: pass", []),
    "absent": ("try: open('no')\nexcept OSError: pass", []),
    "written then read": ("open('b', 'w').write('x'); open('b').read()", ["out write b"]),
    "made and removed": ("import os; open('b', 'w').close(); os.remove('b')", []),
    "read and removed": ("import os; open('a').read(); os.unlink('a')", ["in read a"]),
    "replaced": ("import os; open('t', 'w').write('x'); os.replace('t', 'a')", ["out write a"]),
    "renamed": ("import os; open('t', 'w').write('x'); os.rename('t', 'b')", ["out write b"]),
    "moved": ("import shutil; shutil.move('a', 'b')", ["in read a", "out write b"]),
    "copied": ("import shutil; shutil.copy('a', 'b')", ["in read a", "out write b"]),
    "linked": ("import os; os.link('a', 'b')", ["in link a", "out link b"]),
    "linked symbolically": ("import os; os.symlink('a', 'b')", ["out link b"]),
    "cut short": ("import os; os.truncate('a', 2)", ["in append a", "out update a"]),
    "a temporary file": ("import tempfile; tempfile.NamedTemporaryFile(dir='.').write(b'x')", []),
    "a database": (
        "import sqlite3; c = sqlite3.connect('d.db'); c.execute('create table t (x)'); c.commit(); c.close()", ["out write d.db"],
    ),
    "a database in memory": ("import sqlite3; sqlite3.connect(':memory:').execute('create table t (x)')", []),
    "a database that is read only": (
        "import sqlite3\ntry: sqlite3.connect('file:a?mode=ro', uri=True).execute('select 1')\nexcept sqlite3.Error: pass",
        ["in read a"],
    ),
    "a folder renamed": (
        "import os; os.mkdir('d'); open('d/x', 'w').write('x'); os.rename('d', 'e'); open('e/y', 'w').write('y')",
        ["out write e/x", "out write e/y"],
    ),
    "a folder removed": ("import os, shutil; os.makedirs('d/e'); open('d/e/x', 'w').close(); shutil.rmtree('d')", []),
    "by a folder's descriptor": (
        "import os; f = os.open('.', os.O_RDONLY); open('t', 'w').write('x'); os.rename('t', 'b', src_dir_fd=f, dst_dir_fd=f)",
        ["out write b"],
    ),
    "after a change of folder": ("import os; os.mkdir('d'); os.chdir('d'); open('../a').read()", ["in read a"]),
    "a name that is not UTF-8": ("open(b'\\xff%', 'w').write('x')", ["out write \udcff%"]),
    "a name with a percent sign": ("open('%41', 'w').write('x')", ["out write %41"]),
    "another Python": (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'open(\"b\", \"w\").write(open(\"a\").read())'])",
        ["in read a", "out write b"],
    ),
    "threads": (
        "import threading\ndef f(n): open(f't{n}', 'w').write(open('a').read())\n"
        "ts = [threading.Thread(target=f, args=(n,)) for n in range(9)]\n[t.start() for t in ts]\n[t.join() for t in ts]",
        ["in read a", *(f"out write t{n}" for n in range(9))],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), CASES.values(), ids=CASES)
def test_what_a_python_program_uses_is_seen_from_inside(run: Run, code: str, expected: list[str]) -> None:
    run.put("a")
    run.ok(code)
    assert sorted(run.uses()) == sorted(expected)


def test_forked_processes_tell_of_themselves(run: Run) -> None:
    run.ok(
        """
        import os
        for n in range(8):
            if os.fork() == 0:
                for m in range(50):
                    open(f"f{n}-{m}", "w").write("x")
                os._exit(0)
        for n in range(8):
            os.wait()
        """
    )
    found = run.conclude()
    assert len([use for use in found.outputs if use.role == "data"]) == 400
    assert len({use.by for use in found.outputs}) == 8
    parents = {process.parent for process in found.processes[1:]}
    assert parents == {0}


def test_spawned_workers_tell_of_themselves(run: Run) -> None:
    run.put("work.py", "def work(n):\n    open(f'w{n}', 'w').write(open('a').read())\n")
    run.put("a")
    run.put(
        "main.py",
        "import multiprocessing as mp\nfrom work import work\nif __name__ == '__main__':\n"
        "    with mp.get_context('spawn').Pool(2) as pool: pool.map(work, range(4))\n",
    )
    done = subprocess.run([sys.executable, "main.py"], cwd=run.folder, env=run.environ, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    uses = run.uses()
    assert {"in read a", "in read work.py", "in read main.py", *(f"out write w{n}" for n in range(4))} <= set(uses)


def test_a_program_that_closes_every_descriptor_is_seen_and_its_own_files_stay_clean(run: Run) -> None:
    run.ok(
        """
        import os
        os.closerange(3, 4096)
        number = 1100 if os.sysconf("SC_OPEN_MAX") > 1200 else 60
        files = [os.open(f"f{n}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC) for n in range(number)]
        for file in files:
            os.write(file, b"x")
        """
    )
    written = sorted(run.folder.glob("f*"))
    assert {path.read_bytes() for path in written} == {b"x"}
    assert len([use for use in run.uses() if use.startswith("out")]) == len(written)


def test_a_journal_that_vanishes_harms_nobody(run: Run) -> None:
    code = f"""
        import os
        os.unlink({str(run.journal)!r})
        os.closerange(3, 4096)
        open("a", "w").write("x")
        print(open("a").read())
        """
    done = run(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"x\n", b"")


@pytest.mark.parametrize("events", ["", "/nowhere/events", "/dev/full", "/proc/self/mem", "\udcff"])
def test_a_journal_that_cannot_be_written_harms_nobody(run: Run, events: str) -> None:
    done = run("print(open(__import__('sys').executable, 'rb').read(1))", VESTIGE_EVENTS=events)
    assert (done.returncode, done.stderr) == (0, b"")


PROGRAMS = {
    "output and status": "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)",
    "an error": "open('no such file')",
    "an error in a path": "open('a\\0b')",
    "a wrong type": "open(3.5)",
    "the search path": "import sys; print(sys.path, sys.flags, sys.argv)",
    "no sitecustomize": "import sys; print([name for name in sys.modules if 'custom' in name and 'site' not in name])",
    "recursion": "def f(): f()\ntry: f()\nexcept RecursionError: print('deep')",
    "closed streams": "import sys; sys.stdout.close(); sys.stderr.close()",
    "a hook of its own": "import sys; sys.addaudithook(lambda e, a: e == 'open' and a[0] == 'x' and print('x')); open('a', 'w')",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
}


@pytest.mark.parametrize("code", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_behaves_as_it_does_without(run: Run, code: str) -> None:
    bare, hooked = run(code, hooked=False), run(code)
    assert (hooked.returncode, hooked.stdout, hooked.stderr) == (bare.returncode, bare.stdout, bare.stderr)


def test_a_sitecustomize_of_the_users_own_is_imported_after_ours(run: Run) -> None:
    own = run.folder.parent / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import sys; sys.stdout.write('mine ' + __name__)")
    plain = {**run.plain, "PYTHONPATH": str(own)}
    run.environ = {**plain, **audit.environment(plain, str(run.folder.parent), str(run.journal))}
    done = run("import sitecustomize, sys; print(sitecustomize.__file__, sys.path[1])")
    assert done.stdout.decode() == f"mine sitecustomize{own}/sitecustomize.py {own}\n"
    assert str(own / "sitecustomize.py") in {event.path for event in run.events() if event.op == "r"}


@pytest.mark.parametrize("text", ["import no_such_module", "raise ValueError('mine')", "def"])
def test_an_error_in_a_sitecustomize_of_the_users_own_shows_as_it_would(run: Run, text: str) -> None:
    own = run.folder.parent / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text(text)
    run.plain = {**run.plain, "PYTHONPATH": str(own)}
    run.environ = {**run.plain, **audit.environment(run.plain, str(run.folder.parent), str(run.journal))}
    bare, hooked = run("print(1)", hooked=False), run("print(1)")
    assert bare.stderr
    assert (hooked.returncode, hooked.stdout, hooked.stderr) == (bare.returncode, bare.stdout, bare.stderr)


def test_programs_that_are_no_python_are_named_as_a_gap_and_known_as_processes(run: Run) -> None:
    run.put("a")
    run.ok("import subprocess, os; subprocess.run(['sort', 'a', '-o', 'b']); os.system('cp a c'); subprocess.run(['sort', 'a'])")
    found = run.conclude()
    assert [process.argv[:2] for process in found.processes][1:] == [("sort", "a"), ("sh", "-c"), ("sort", "a")]
    assert {process.parent for process in found.processes[1:]} == {0}
    assert len(found.gaps) == 2
    assert "sort was started and could not be observed" in found.gaps[0]


def test_a_program_that_takes_the_place_of_python_is_told(run: Run) -> None:
    done = run("import os; os.execvp('true', ['true'])")
    assert done.returncode == 0
    found = run.conclude()
    assert len(found.processes) == 1
    assert found.processes[0].argv == ("true",)
    assert "true was started" in found.gaps[0]


def test_a_python_that_cannot_be_told_to_import_anything_is_a_gap(run: Run) -> None:
    run.ok("import subprocess, sys; subprocess.run([sys.executable, '-I', '-c', 'open(\"b\", \"w\")'])")
    assert len(run.conclude().gaps) == 1


def test_connections_and_folders_are_told(run: Run) -> None:
    run.put("d/x")
    run.ok(
        """
        import os, socket
        os.listdir("d")
        with socket.socket(socket.AF_UNIX) as s:
            try: s.connect("/nowhere.sock")
            except OSError: pass
        with socket.socket() as s:
            try: s.connect(("127.0.0.1", 1))
            except OSError: pass
        """
    )
    found = run.conclude()
    assert str(run.folder / "d") in {one.what for one in found.listings}
    assert [one.what for one in found.network] == ["tcp:127.0.0.1:1", "unix:/nowhere.sock"]


def test_the_hook_loads_next_to_nothing(run: Run) -> None:
    code = "import sys; print(*sorted(sys.modules))"
    bare, hooked = (set(run(code, hooked=hooked).stdout.decode().split()) for hooked in (False, True))
    assert hooked - bare <= {"_vestige_audit", "sitecustomize", "_json", "fcntl", "__future__"}


def test_the_parts_that_travel_can_be_read_by_old_interpreters() -> None:
    ast.parse((SOURCES / "audit_hook.py").read_text(), feature_version=(3, 8))
    ast.parse((SOURCES / "audit_site.py").read_text(), feature_version=(3, 4))
    assert not any(line.strip().startswith(("from vestige", "import vestige")) for line in (SOURCES / "audit_hook.py").open())


def test_variables_are_changed_for_this_only(tmp_path: Path) -> None:
    changed = audit.environment({"PYTHONPATH": "/x", "HOME": "/h"}, str(tmp_path), str(tmp_path / "events"))
    assert changed == {"PYTHONPATH": f"{tmp_path}/audit:/x", "VESTIGE_EVENTS": str(tmp_path / "events")}
    assert audit.environment({}, str(tmp_path), str(tmp_path / "events"))["PYTHONPATH"] == f"{tmp_path}/audit"


def test_where_nothing_can_be_written_nothing_is_changed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert audit.environment({}, str(tmp_path / "file"), str(tmp_path / "events")) == {}
    assert audit.environment({}, str(tmp_path / "a:b"), str(tmp_path / "events")) == {}


# -- folders compared before and after -------------------------------------------------------------------------------------


def test_what_a_program_that_is_no_python_wrote_is_found_by_comparing(run: Run) -> None:
    for name in ("a", "changed", "gone", "same"):
        run.put(name)
    before = survey([str(run.folder)], run.setting)
    run.journal.touch()
    script = "echo new > made; echo more >> changed; rm gone; mkdir d; cp a d/copy"
    subprocess.run(["sh", "-c", script], cwd=run.folder, check=True)
    found = run.conclude(differences(before, survey([str(run.folder)], run.setting), 10**15))
    names = [(use.path.removeprefix(f"{run.folder}/"), use.existed) for use in found.outputs]
    assert names == [("changed", True), ("d/copy", False), ("made", False)]
    assert found.inputs == ()


def test_a_comparison_says_nothing_new_of_what_was_observed(run: Run) -> None:
    for name in ("a", "b", "c"):
        run.put(name)
    before = survey([str(run.folder)], run.setting)
    run.ok(
        """
        import os
        open("a").read()
        open("t", "w").write("x"); os.replace("t", "a")
        open("b", "a").write("x")
        os.rename("c", "d")
        open("new", "w").write("x")
        """
    )
    alone = run.conclude()
    both = run.conclude(differences(before, survey([str(run.folder)], run.setting), 10**15))
    assert (both.inputs, both.outputs) == (alone.inputs, alone.outputs)
    assert len(alone.outputs) == 4


def test_a_survey_passes_over_libraries_caches_and_what_is_not_the_runs(tmp_path: Path) -> None:
    for name in ("a", "d/b", ".git/x", ".vestige/x", ".venv/lib/x", "__pycache__/x.pyc", "node_modules/x/y"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    found = survey([str(tmp_path)], Setting(str(tmp_path), str(tmp_path / ".vestige")))
    assert sorted(os.path.relpath(path, tmp_path) for path in found.files) == ["a", "d/b"]
    assert found.complete


def test_a_survey_of_a_file_is_that_file_and_of_nothing_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert list(survey([str(tmp_path / "a")], Setting(str(tmp_path))).files) == [str(tmp_path / "a")]
    assert survey([str(tmp_path / "no")], Setting(str(tmp_path))) == Survey({})


def test_a_survey_that_had_to_stop_says_so_and_claims_no_more_than_it_knows(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"d{number}").mkdir()
        (tmp_path / f"d{number}" / "f").touch()
    setting = Setting(str(tmp_path))
    part, whole = survey([str(tmp_path)], setting, limit=10), survey([str(tmp_path)], setting)
    assert not part.complete
    assert 10 <= len(part.files) < 30
    assert [event.op for event in differences(part, whole, 1)] == ["g"]
    assert [event.op for event in differences(whole, part, 1)] == ["g"]
    assert differences(whole, whole, 1) == []
