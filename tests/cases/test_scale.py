"""Programs that open very many files and start very many processes. `make test-scale`.

What watcher and recorder take of the memory grows with the files, the names and the processes that they saw, not with how
often they were seen. The figures beside the bounds were measured on two cores that had other work, too.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self

import pytest

from tests.cases.stage import c_program, digest, project
from tests.record.running import VESTIGE, records

pytestmark = [pytest.mark.scale, pytest.mark.timeout(900)]

__all__ = ["project"]  # the fixture

MIB = 1024  # KiB

OPENS = """
int main(int argc, char **argv) {
    char name[64];
    int names = atoi(argv[2]), times = atoi(argv[3]), make = !strcmp(argv[1], "make"), absent = !strcmp(argv[1], "absent");
    for (int time = 0; time < times; time++)
        for (int number = 0; number < names; number++) {
            snprintf(name, sizeof name, "many/%d", number / 1000);
            if (make && number % 1000 == 0)
                mkdir(name, 0777);
            snprintf(name, sizeof name, absent ? "many/no-%d" : "many/%d/%d", absent ? number : number / 1000, number);
            int file = open(name, make ? O_CREAT | O_WRONLY : O_RDONLY, 0666);
            if ((file < 0) != absent)
                return 1;
            if (make)
                write(file, name, strlen(name));
            close(file);
        }
    return 0;
}
"""

TREE = """
#include <spawn.h>
extern char **environ;
int main(int argc, char **argv) {
    char number[24], *leaf[] = {argv[0], "leaf", number, NULL};
    if (argc == 3 && !strcmp(argv[1], "leaf"))
        return open("in", O_RDONLY) < 0;
    int spawners = atoi(argv[1]), each = atoi(argv[2]), status, bad = 0;
    for (int spawner = 0; spawner < spawners; spawner++)
        if (!fork()) {
            for (int at = 0; at < each; at++) {
                pid_t child;
                snprintf(number, sizeof number, "%d", spawner * each + at);
                if (at % 2) {
                    if (!(child = vfork())) {
                        execv(argv[0], leaf);
                        _exit(9);
                    }
                } else if (posix_spawn(&child, argv[0], NULL, NULL, leaf, environ))
                    _exit(8);
                waitpid(child, &status, 0);
                if (status)
                    _exit(7);
            }
            _exit(0);
        }
    while (wait(&status) > 0)
        bad |= status;
    return bad != 0;
}
"""


class Peaks:
    """The most memory that the processes of the running recording have had, in KiB."""

    def __init__(self, store: Path) -> None:
        self.most: dict[str, int] = {}
        self._store = store
        self._over = Event()
        self._thread = Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.05):
            with contextlib.suppress(OSError, ValueError, KeyError):
                (started,) = self._store.glob("active/*/started.json")
                for name, (pid, _) in json.loads(started.read_text())["processes_of_vestige"].items():
                    with contextlib.suppress(OSError):
                        fields = Path(f"/proc/{pid}/status").read_text().split()
                        self.most[name] = int(fields[fields.index("VmHWM:") + 1])


def recorded(project: Path, *words: str) -> tuple[dict[str, Any], dict[str, int]]:
    """The record of a command that takes its time and ends well, and the memory that recording it took."""
    with Peaks(project / ".vestige") as peaks:
        done = subprocess.run([*VESTIGE, "run", "--", *words], cwd=project, capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (0, b""), done.stderr
    record = records(project, wait=600)[-1]
    assert (record["status"], record["problems"]) == ("finished", [])
    assert record["observation"]["method"] == "notify"
    assert (record["observation"]["gaps"], record["observation"]["unreadable"], record["observation"]["lost"]) == ([], 0, 0)
    print(peaks.most, record["resources"], record["duration"])  # shown by pytest -s
    return record, peaks.most


def whole(project: Path, record: dict[str, Any], which: str) -> list[Any]:
    """A list of a record that is so long that it lies in an object."""
    algorithm, _, name = record[f"{which}_object"].partition(":")
    found: list[Any] = json.loads((project / ".vestige/objects" / algorithm / name[:2] / name[2:]).read_bytes())
    return found


@pytest.fixture
def opens(project: Path) -> Iterator[str]:
    (project / "vestige.toml").write_text("keep = 0\n")
    (project / "many").mkdir()
    yield c_program(project, OPENS, "-O2", "-static")
    subprocess.run(["rm", "-rf", str(project / "many")], check=True)


def test_a_million_opens_of_two_hundred_thousand_files_are_all_in_the_record(project: Path, opens: str) -> None:
    subprocess.run([opens, "make", "200000", "1"], cwd=project, check=True)
    record, most = recorded(project, opens, "read", "200000", "5")
    inputs = {use["path"]: use for use in whole(project, record, "inputs")}
    assert {f"many/{number // 1000}/{number}" for number in range(200_000)} <= inputs.keys()
    assert inputs["many/123/123456"]["digest"] == digest("many/123/123456")
    assert record["observation"]["events"] < 250_000
    assert most["watcher"] < 100 * MIB
    assert most["recorder"] < 100 * MIB + 200_000 * 4  # KiB; 2.3 a file


def test_a_million_names_that_are_looked_for_in_vain_take_little_memory(project: Path, opens: str) -> None:
    record, most = recorded(project, opens, "absent", "1000000", "1")
    assert record["observation"]["events"] >= 1_000_000
    assert record["absent"] is not None
    assert most["watcher"] < 150 * MIB
    assert most["recorder"] < 200 * MIB


def test_a_tree_of_a_hundred_thousand_processes_is_whole(project: Path) -> None:
    """Numbers of processes are given out three times over where there are 32,768."""
    tree = c_program(project, TREE, "-O2", "-static")
    record, most = recorded(project, tree, "4", "25000")
    processes = whole(project, record, "processes")
    leaves = [process["argv"][2] for process in processes if process["argv"][1:2] == ["leaf"]]
    assert sorted(map(int, leaves)) == list(range(100_000))
    pids = {process["pid"] for process in processes}
    assert all(process["parent"] in pids for process in processes[1:])
    (used,) = [use for use in record["inputs"] if use["path"] == "in"]
    assert len(used["by"]) == len(set(used["by"])) == 100_000
    assert {processes[at]["argv"][1] for at in used["by"]} == {"leaf"}
    assert most["watcher"] < 100 * MIB
    assert most["recorder"] < 300 * MIB
