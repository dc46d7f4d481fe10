"""What real programs do, as the kernel tells it, and what that comes to."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.observe.watching import watch
from vestige.observe.classify import Follower
from vestige.observe.conclusion import Conclusion
from vestige.observe.interface import Stat
from vestige.observe.roles import Setting

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")

# script → inputs and outputs of the project; `a` and `b` are there before, with contents of their own, and `d/c`
SCRIPTS = {
    "cat a > out": ["in read a", "out write out"],
    "cat < a > out": ["in read a", "out write out"],
    "cat a >> b": ["in append b", "in read a", "out append b"],
    "cp a out": ["in read a", "out write out"],
    "cp -p a b": ["in read a", "out write b"],
    "cp -r d e": ["in read d/c", "out write e/c"],
    "mv a out": ["in read a deleted", "out write out"],
    "mv a b": ["in read a deleted", "out write b"],
    "mv d e; cat e/c": ["in read e/c"],
    "cat d/c; mv d e": ["in read d/c deleted", "out write e/c"],
    "rm a": [],
    "cat a; rm a": ["in read a deleted"],
    "sort -o out a": ["in read a", "out write out"],
    "sort -r -o a a": ["in read a", "out update a"],
    "sort -o b a": ["in append b", "in read a", "out update b"],
    "sort a | uniq > out": ["in read a", "out write out"],
    "sed -i s/a/b/ a": ["in read a", "out update a"],
    "sed -i.old s/a/b/ a": ["in read a", "out update a", "out write a.old"],
    "perl -pi -e s/a/b/ a": ["in read a", "out update a"],
    "grep -i word a; grep -i b a || true": ["in read a"],
    "touch a": [],
    "touch out": ["out write out"],
    "chmod 600 a": [],
    "ln a out": ["in link a", "out link out"],
    "ln -s a out": ["out link out"],
    "ln -s a l; cat l": ["in read a", "out link l"],
    "ln -s a l; ln -sf b l; cat l > out": ["in read b", "out link l", "out write out"],
    "ln -s d l; cp a l/x": ["in read a", "out link l", "out write d/x"],
    "gzip -k a": ["in read a", "out write a.gz"],
    "gzip a": ["in read a deleted", "out write a.gz"],
    "tar cf t.tar a d": ["in read a", "in read d/c", "out write t.tar"],
    "tar cf - a | (mkdir e; cd e; tar xf -)": ["in read a", "out write e/a"],
    "dd if=a of=b conv=notrunc bs=1 count=3 2>/dev/null": ["in append b", "in read a", "out update b"],
    "dd if=a of=out 2>/dev/null": ["in read a", "out write out"],
    "truncate -s 2 a": ["in append a", "out update a"],
    "tee out < a > /dev/null": ["in read a", "out write out"],
    "tee -a b < a > /dev/null": ["in append b", "in read a", "out append b"],
    "diff a b > out || true": ["in read a", "in read b", "out write out"],
    "cat <<X > out\nhello\nX": ["out write out"],
    "echo x > t; cat t > out; rm t": ["out write out"],
    "echo x > a; cat a": ["out write a"],
    "cat a > t; mv t a": ["in read a", "out update a"],
    "cat a a a > /dev/null; cat ./a d/../a": ["in read a"],
    "(cat a > out &) ; wait; sleep 0.1": ["in read a", "out write out"],
    "split -l 1 a part.": ["in read a", "out write part.aa", "out write part.ab"],
    "mkdir x; cp a x/a; mv x y": ["in read a", "out write y/a"],
    "mkfifo p; cat a > p & cat p > out; wait; rm p": ["in read a", "out write out"],
    "cat no || true": [],
    "echo x > no/where || true": [],
    "exec 3< a; cat <&3 > out": ["in read a", "out write out"],
    "printf 'all: out\\nout: a\\n\\tcp a out\\n' > Makefile; make -s": ["in read a", "out write Makefile", "out write out"],
}


def follow(script: list[str], folder: Path) -> Conclusion:
    known: dict[tuple[int, int, int, int], str] = {}

    def preimage(path: str, found: os.stat_result) -> tuple[str | None, bool]:
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        return digest, False

    def final(path: str) -> Stat | None:
        try:
            found = os.lstat(path)
        except OSError:
            return None
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISLNK(found.st_mode):
            return None
        return Stat(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)

    def digest(path: str, signature: Stat) -> str | None:
        key = (signature.inode, signature.device, signature.size, signature.mtime_ns)
        if key not in known and final(path) == signature:
            known[key] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        return known.get(key)

    seen = watch(script, folder, preimage=preimage)
    assert seen.status == 0
    follower = Follower(Setting(str(folder), temporary=()), lambda path: os.readlink(path) if os.path.islink(path) else None)
    for event in seen.events:
        follower.feed(event)
    return follower.conclude(final, digest)


def uses(found: Conclusion, folder: Path) -> list[str]:
    base = f"{folder}/"
    lines = [
        f"{kind} {use.access} {use.path.removeprefix(base)}{' deleted' if use.deleted else ''}"
        for kind, listed in (("in", found.inputs), ("out", found.outputs))
        for use in listed
        if use.path.startswith(base) and use.role in ("data", "code", "config")
    ]
    return sorted(lines)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path.resolve() / "p"
    (made / "d").mkdir(parents=True)
    for number, name in enumerate(("a", "b", "d/c")):
        (made / name).write_text(f"{name}\nsecond line {number}\n")
        os.utime(made / name, (10**9, 10**9))
    return made


@pytest.mark.parametrize(("script", "expected"), SCRIPTS.items(), ids=SCRIPTS)
def test_what_a_shell_and_its_programs_use(script: str, expected: list[str], folder: Path) -> None:
    found = follow(["sh", "-c", script], folder)
    assert uses(found, folder) == sorted(expected)


def test_a_file_moved_to_another_file_system_is_read_and_written(folder: Path) -> None:
    other = Path("/dev/shm") / f"vestige-test-{os.getpid()}"
    try:
        found = follow(["mv", "a", str(other)], folder)
    finally:
        other.unlink(missing_ok=True)
    assert uses(found, folder) == ["in read a deleted"]
    assert [use.path for use in found.outputs] == [str(other)]


def test_digests_before_and_after_are_those_of_the_contents(folder: Path) -> None:
    before = hashlib.sha256((folder / "a").read_bytes()).hexdigest()
    found = follow(["sed", "-i", "s/second/third/", "a"], folder)
    (read,) = [use for use in found.inputs if use.path == str(folder / "a")]
    (written,) = found.outputs
    assert (read.digest, written.before) == (before, before)
    assert written.digest == hashlib.sha256((folder / "a").read_bytes()).hexdigest()


def test_a_program_that_is_built_and_executed_is_no_input(folder: Path) -> None:
    (folder / "p.c").write_text("int main(void) { return 0; }")
    found = follow(["sh", "-c", "gcc -o p p.c && ./p"], folder)
    assert uses(found, folder) == ["in read p.c", "out write p"]
    assert {use.role for use in found.outputs if use.path == str(folder / "p")} == {"code"}


def test_python_with_its_modules(folder: Path) -> None:
    (folder / "pkg").mkdir()
    (folder / "pkg" / "__init__.py").touch()
    (folder / "pkg" / "mod.py").write_text("def f(): return open('a').read()")
    (folder / "run").write_text("import os, pkg.mod\nopen('t', 'w').write(pkg.mod.f())\nos.replace('t', 'out')\n")
    code = ["in read pkg/__init__.py", "in read pkg/mod.py", "in read run"]
    for _ in range(2):  # the second time from bytecode
        found = follow([sys.executable, "run"], folder)
        assert uses(found, folder) == sorted(["in read a", *code, "out write out"])
        assert {use.role for use in found.inputs if use.path.endswith((".py", "run"))} == {"code"}
        assert not [use for use in found.software if use.path.startswith(str(folder))]
        assert any(use.path == os.path.realpath(sys.executable) and use.access == "execute" for use in found.software)


def test_a_database_is_read_and_changed_in_place(folder: Path) -> None:
    make = "import sqlite3; c = sqlite3.connect('x.db'); c.execute('create table if not exists t (x)'); "
    make += "c.execute('insert into t values (1)'); c.commit()"
    assert uses(follow([sys.executable, "-c", make], folder), folder) == ["out write x.db"]
    assert uses(follow([sys.executable, "-c", make], folder), folder) == ["in update x.db", "out update x.db"]
    look = "import sqlite3; sqlite3.connect('x.db').execute('select * from t').fetchall()"
    assert uses(follow([sys.executable, "-c", look], folder), folder) == ["in read x.db"]


def test_three_hundred_processes_keep_their_own_uses(folder: Path) -> None:
    script = "for n in $(seq 100); do cat a > out$n; cat out$n > /dev/null; rm out$n; done; cat a > last"
    found = follow(["sh", "-c", script], folder)
    assert uses(found, folder) == ["in read a", "out write last"]
    assert len(found.processes) == 303
    (read,) = [use for use in found.inputs if use.path == str(folder / "a")]
    assert len(read.by) == 101
    assert {found.processes[at].argv for at in read.by} == {("cat", "a")}


def test_git_is_seen_to_have_read_its_history(folder: Path) -> None:
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    for command in (["init", "-q"], ["add", "a"], ["-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=folder, env=environ, check=True)
    found = follow(["sh", "-c", "git show HEAD:a > out"], folder)
    assert uses(found, folder) == ["out write out"]
    assert found.versions_read
