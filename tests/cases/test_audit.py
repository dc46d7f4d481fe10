"""Under `audit`: what Python programs tell of themselves, and what a comparison of folders adds; case by case."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from tests.cases.programs import c, python
from tests.cases.rungs import cells
from tests.cases.stage import TEXT, digest, gaps, project, recorded, used
from tests.cases.test_01_opening import LINKED
from tests.record.running import last, run, use

__all__ = ["project"]  # the fixture

pytestmark = pytest.mark.under("audit")

#: What is said where the content that was read is gone, or a program is none of Python.
NAMED = re.compile("changed before it could be hashed|could not be observed")


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


#: The case, what is run, and what the record names as inputs and as outputs.
CASES: list[tuple[int, list[str], set[str], set[str]]] = [
    (1, python("open('in').read()"), {"in"}, set()),
    (2, sh("echo new > out"), set(), {"out"}),
    (3, python("open('in', 'w').write('new')"), set(), {"in"}),
    (3, sh("echo new > in"), set(), {"in"}),
    (4, python("os.close(os.open('in', os.O_RDWR)); os.open('in', os.O_RDWR | os.O_TRUNC)"), {"in"}, {"in"}),
    (5, python("os.read(os.open('in', os.O_RDWR), 10)"), {"in"}, set()),
    (6, python("os.write(os.open('in', os.O_RDWR), b'x')"), {"in"}, {"in"}),
    (7, python("os.write(os.open('in', os.O_WRONLY), b'x')"), {"in"}, {"in"}),
    (7, sh("dd if=other of=in conv=notrunc status=none"), set(), {"in"}),
    (8, python("open('in', 'a').write('more')"), {"in"}, {"in"}),
    (9, sh("echo more >> log"), set(), {"log"}),
    (10, python("try: open('nothing')\nexcept OSError: pass"), set(), set()),
    (11, python("try: os.open('in', os.O_WRONLY | os.O_CREAT | os.O_EXCL)\nexcept OSError: pass"), set(), set()),
    (12, python("os.write(os.open('lock', os.O_WRONLY | os.O_CREAT | os.O_EXCL), b'x')"), set(), {"lock"}),
    (13, c(LINKED), set(), {"out"}),
    (14, python("f = os.open('in', os.O_PATH); os.fstat(f)"), set(), set()),
    (14, python("f = os.open('in', os.O_PATH); open(f'/proc/self/fd/{f}').read()"), {"in"}, set()),
    (15, python("os.dup2(os.open('in', os.O_RDONLY), 0); open('/dev/stdin').read(); open('/dev/fd/0').read()"), {"in"}, set()),
    (16, python("f = os.open('folder', os.O_RDONLY); os.open('out', os.O_WRONLY | os.O_CREAT, dir_fd=f)"), set(), {"folder/out"}),
    (16, python("f = os.open('folder', os.O_RDONLY); os.read(os.open('inside', os.O_RDONLY, dir_fd=f), 9)"), set(), set()),
    (17, python("os.chdir('folder'); open('inside').read(); open('out', 'w')"), {"folder/inside"}, {"folder/out"}),
    (18, python("open('latest').read()"), {"latest", "in"}, set()),
    (19, python("open('linked/../in').read(); open('linked/out', 'w')"), {"in"}, {"folder/out"}),
    (20, python("open('in').read(); os.link('in', 'b'); open('b', 'r+').write('x')"), {"in"}, {"in", "b"}),
    (21, python("os.link('in', 'hard'); os.symlink('in', 'soft')"), {"in"}, {"hard", "soft"}),
    (21, sh("ln in hard; ln -s in soft"), set(), {"hard"}),
    (22, python("open('in').read(); os.unlink('in'); open('out', 'w').write('new')"), {"in"}, {"out"}),
    (25, python("open(b'\\xff', 'w').write('x')"), set(), {"%FF"}),
    (26, python("open('caf\\u00e9', 'w'); open('cafe\\u0301', 'w')"), set(), {"caf\u00e9", "cafe\u0301"}),
    (28, python("open('tmp', 'w').write('new'); os.replace('tmp', 'out')"), set(), {"out"}),
    (28, sh("echo new > tmp; mv tmp out"), set(), {"out"}),
    (30, python("os.mkdir('tmp'); open('tmp/a', 'w').write('a'); os.rename('tmp', 'results')"), set(), {"results/a"}),
    (31, python("open('in').read(); open('new', 'w').write('x'); os.rename('new', 'in')"), {"in"}, {"in"}),
    (32, sh("mv in moved"), set(), {"moved"}),
    (33, python("old = open('in').read(); open('in', 'w').write('new' + old)"), {"in"}, {"in"}),
    (34, python("open('out', 'w').write('x'); open('out').read()"), set(), {"out"}),
    (35, python("os.fork() or os._exit(open('out', 'w').write('x')); os.wait(); open('out').read()"), set(), {"out"}),
    (36, python("open('tmp', 'w').write('x'); open('tmp').read(); os.unlink('tmp')"), set(), set()),
    (37, python("open('in').read(); os.unlink('in')"), {"in"}, set()),
    (38, sh("truncate -s 5 in"), set(), {"in"}),
    (39, sh("touch -d 2001-01-01 in"), set(), {"in"}),
    (39, sh("chmod 600 in"), set(), set()),
    (40, python(f"open('in', 'w').write({TEXT!r})"), set(), {"in"}),
    (41, python("[os.fork() or os._exit(open('log', 'a').write('x')) for _ in 'ab']; os.wait(); os.wait()"), set(), {"log"}),
]  # fmt: skip


@pytest.mark.parametrize(("case", "words", "read", "written"), CASES, ids=[f"{one[0]:02}" for one in CASES])
def test_what_is_seen(project: Path, case: int, words: list[str], read: set[str], written: set[str]) -> None:
    (project / "folder").mkdir()
    (project / "folder" / "inside").write_text("inside")
    (project / "other").write_text("other")
    (project / "latest").symlink_to("in")
    (project / "linked").symlink_to("folder")
    record = recorded(project, *words)
    assert used(record) == (read, written)
    for name in (project / one for one in written if os.path.exists(project / one)):
        assert (
            use(record, "outputs", str(name.relative_to(project))).get("digest") == digest(name.read_bytes()) or name.is_symlink()
        )
    assert [gap for gap in gaps(record) if not NAMED.search(gap)] == []


def test_a_path_that_is_longer_than_any_call_takes_is_a_gap(project: Path) -> None:
    script = "for _ in range(25): os.mkdir('n' * 200); os.chdir('n' * 200)\nopen('out', 'w').write('deep')"
    assert run(project, sys.executable, "-c", f"import os\n{script}").returncode == 0
    assert "used a path of more than 4,096 bytes" in str(gaps(last(project)))


def test_every_case_that_the_page_says_is_seen_stands_above() -> None:
    told = {case for case in range(1, 42) if any(row[3].startswith(("yes", "Python")) for row in cells(case))}
    shown = {case for case, *_ in CASES}
    assert told - shown == {27}, "of what nobody may read, there is nothing to compare"
