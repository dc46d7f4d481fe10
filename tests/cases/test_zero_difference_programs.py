"""Case 94 with programs that a machine need not have: debuggers, tracers, sanitizers, other languages, a database."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cases.both_ways import Program, both, c, sh, without_addresses
from tests.cases.everyday import TABLE

pytestmark = pytest.mark.programs

CRASH = "int f(int *at) { return *at; }\nint main(int n, char **w) { (void)w; return n > 1 ? f(0) : 3; }\n"
FREED = """
#include <stdio.h>
#include <stdlib.h>
int main(int n, char **words) {
    char *text = malloc(9);
    FILE *out = fopen("out", "w");
    fputs(words[0] + 2, out);
    fclose(out);
    puts("before");
    fflush(stdout);
    free(text);
    return text[n];
}
"""
LOST = """
#include <stdlib.h>
#include <string.h>
static void *volatile kept;
int main(void) { kept = malloc(77); kept = strdup("x"); kept = 0; return 0; }
"""


def _only_words(text: bytes) -> bytes:
    """Numbers of processes and addresses are others each time."""
    return re.sub(rb"\d+", b"0", without_addresses(text))


DEBUGGERS: Mapping[str, Program] = {
    "gdb": c(
        CRASH,
        build="-g -O0",
        start="gdb -q -nx -batch -ex run -ex bt -ex 'print at' -ex kill --args ./program x 2>&1",
        says=b"SIGSEGV",
        normal=_only_words,
    ),
    "gdb with breakpoints and a call": c(
        CRASH,
        build="-g -O0",
        start="gdb -q -nx -batch -ex 'break f' -ex 'run x' -ex finish -ex 'print (int)getpid() > 1' -ex kill program 2>&1",
        says=b"Breakpoint",
        normal=_only_words,
    ),
    "strace": sh(
        "strace -f -qq -e signal=none -e trace=openat,unlink -P in -P out -o calls sh -c 'cat in > out';"
        " sed 's/^[0-9]* *//' calls | sort",
        {"in": "x\n"},
        says=b'openat(AT_FDCWD, "in"',
        writes=("out",),
        apart=("calls",),
    ),
    "a preloaded library": sh(
        "gcc -shared -fPIC -o own.so own.c; LD_PRELOAD=$PWD/own.so id -u; env | grep -c PRELOAD",
        {"own.c": "int getuid(void) { return 4711; }\nint geteuid(void) { return 4711; }\n"},
        says=b"4711",
        code=1,
    ),
    "the address sanitizer": c(
        FREED,
        build="-g -fsanitize=address",
        start="./program 2>&1; echo $?",
        says=b"heap-use-after-free",
        normal=_only_words,
        writes=("out",),
    ),
    "the leak sanitizer": c(LOST, build="-g -fsanitize=leak", start="./program 2>&1; echo $?", says=b"Leak", normal=_only_words),
    "the thread and the undefined": c(
        "int main(int n, char **w) { (void)w; return (n << 31) + 2147483647; }\n",
        build="-g -fsanitize=undefined",
        start="./program 2>&1; echo $?",
        says=b"runtime error",
    ),
    "perf": sh("perf stat -e task-clock:u -o counted sh -c 'cat in'; echo $?", {"in": "x\n"}, apart=("counted",)),
}

OTHERS: Mapping[str, Program] = {
    "busybox": sh(
        "busybox sh -c 'busybox cat in | busybox sort -r | busybox tee out | busybox md5sum; busybox tar cf - in | busybox wc -c;"
        " busybox ls -la /proc/self/fd | busybox wc -l; exit 3'",
        {"in": TABLE},
        code=3,
        writes=("out",),
        says=b"  -\n",
    ),
    "node": sh(
        "node program.js; echo $?",
        {
            "in": TABLE,
            "program.js": """
const fs = require("fs"), child = require("child_process"), { Worker, isMainThread } = require("worker_threads");
if (isMainThread) {
  fs.watch(".", (kind, name) => name === "watched" && console.log("watched")).unref();
  fs.writeFileSync("out", fs.readFileSync("in", "utf8").toUpperCase());
  console.log(child.execSync("cat out | wc -l").toString(), process.argv.length, process.stdout.isTTY);
  child.spawn("sh", ["-c", "kill -9 $$"]).on("exit", (code, signal) => console.log(code, signal));
  new Worker(__filename).on("exit", code => console.log("worker", code));
  fs.promises.readdir(".").then(names => console.log(names.sort()));
  process.on("exit", () => { console.error("leaving"); process.exitCode = 6; });
} else fs.writeFileSync("by-a-worker", "x");
""",
        },
        says=b"null SIGKILL",
        writes=("out", "by-a-worker"),
        normal=lambda text: b"\n".join(sorted(text.split(b"\n"))),
    ),
    "sqlite": sh(
        "sqlite3 a.db '.mode csv' '.import in t' 'pragma journal_mode=wal' \"attach 'b.db' as b\""
        " 'create table b.s as select * from t' 'select count(*), sum(b) from b.s' 'begin' 'delete from t'"
        " 'rollback' 'vacuum'; sqlite3 b.db .dump | tail -2; ls",
        {"in": TABLE},
        says=b"200,2646700",
        writes=("b.db",),
        apart=("*.db",),
    ),
    "rsync": sh(
        "rsync -rci in/ out/ | sort; echo y >> in/b/c; rsync -rcin in/ out/ | sort; rsync -a --delete in/b/ out/",
        {"in/a": TABLE, "in/b/c": "x"},
        says=b">f",
        writes=("out/c",),
    ),
}


@pytest.mark.parametrize("program", {**DEBUGGERS, **OTHERS}.values(), ids=[*DEBUGGERS, *OTHERS])
def test_everything_is_the_same(tmp_path: Path, program: Program) -> None:
    for name in ("gdb", "strace", "perf", "busybox", "node", "sqlite3", "rsync"):
        assert shutil.which(name), f"{name} is needed here; make test-programs wants it installed"
    both(tmp_path, program)
