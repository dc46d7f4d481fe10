"""Cases 74, 75 and 79: names in a folder, files that were only looked at, and what came over a network."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.cases.stage import gaps, project, python, recorded, used
from tests.record.running import VESTIGE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")

__all__ = ["project"]  # the fixture


def states(project: Path) -> dict[str, tuple[str, str]]:
    """State and reason of every file, as `vestige status` prints them."""
    done = subprocess.run([*VESTIGE, "status"], cwd=project, capture_output=True, text=True, check=True)
    rows = (line.split("\t") for line in done.stdout.splitlines())
    return {path: (state, why) for state, path, why in rows}


GLOB = "import glob; open('out', 'w').write(' '.join(sorted(glob.glob('data/*.csv'))))"


@pytest.fixture
def folder(project: Path) -> Path:
    """The project, with two files in `data`."""
    (project / "data").mkdir()
    for name in ("a.csv", "b.csv"):
        (project / "data" / name).write_text(name)
    return project


@pytest.mark.not_under("ptrace", "preload")
def test_case_74_a_file_added_to_a_folder_that_was_listed_makes_a_result_possibly_stale(folder: Path) -> None:
    record = python(folder, GLOB)
    assert used(record) == (set(), {"out"})
    assert states(folder)["out"] == ("fresh", "-")
    (folder / "data" / "c.csv").write_text("new")
    assert states(folder)["out"] == ("possibly stale", "data/ was listed without c.csv")
    (folder / "data" / "c.csv").unlink()
    assert states(folder)["out"] == ("fresh", "-")


@pytest.mark.not_under("ptrace")
@pytest.mark.parametrize(
    "command",
    [
        ["sh", "-c", "for one in data/*.csv; do cat $one; done > out"],
        ["sh", "-c", "find data -name '*.csv' > out"],
        ["cp", "-r", "data", "out"],
        ["sh", "-c", "cd data; ls > ../out"],
        ["perl", "-e", 'opendir(D, "data"); open(O, ">", "out"); print O sort readdir D'],
    ],
)
def test_case_74_whoever_lists_it(folder: Path, command: list[str]) -> None:
    recorded(folder, *command)
    (folder / "data" / "c.csv").write_text("new")
    assert set(states(folder).values()) == {("possibly stale", "data/ was listed without c.csv")}


def test_case_74_an_import_system_lists_folders_for_its_own_ends(project: Path) -> None:
    (project / "tool").mkdir()
    (project / "tool" / "__init__.py").write_text("")
    (project / "tool" / "part.py").write_text("value = '1'\n")
    (project / "step.py").write_text("import json, tool.part; open('out', 'w').write(tool.part.value)")
    (project.parent / "path" / "other").mkdir(parents=True)
    (project.parent / "path" / "other" / "__init__.py").touch()  # searched, and nothing comes out of it
    record = recorded(project, sys.executable, "step.py", environ={"PYTHONPATH": str(project.parent / "path")})
    assert record["listings"] is None
    for name in ("new.txt", "tool/new.txt", "tool/new.py"):
        (project / name).write_text("new")
    assert states(project)["out"] == ("fresh", "-")


def test_case_74_a_script_that_lists_its_own_folder_depends_on_it(project: Path) -> None:
    source = (
        "import json, glob, os; here = os.path.dirname(os.path.abspath(__file__)); open('out', 'w').write(str(os.listdir(here)))"
    )
    (project / "step.py").write_text(source)
    recorded(project, sys.executable, "step.py")
    (project / "new.txt").write_text("new")
    assert states(project)["out"] == ("possibly stale", "./ was listed without new.txt")


@pytest.mark.not_under("ptrace", "preload")
def test_case_74_what_a_run_itself_puts_into_a_folder_changes_nothing(folder: Path) -> None:
    python(
        folder, "import os; open('data/out', 'w').write(str(os.listdir('data'))); open('data/gone', 'w'); os.unlink('data/gone')"
    )
    assert states(folder)["data/out"] == ("fresh", "-")
    (folder / "data" / "out").unlink()
    assert states(folder)["data/out"][0] == "missing"


def test_case_74_a_folder_that_a_run_empties_is_told_as_it_was(folder: Path) -> None:
    record = recorded(folder, "sh", "-c", "ls data > out; rm data/a.csv")
    digest = record["listings"].removeprefix("blake3:")
    listings = json.loads((folder / ".vestige/objects/blake3" / digest[:2] / digest[2:]).read_text())
    assert listings == [{"path": "data", "names": ["a.csv", "b.csv"]}]


@pytest.mark.not_under("ptrace", "preload")
def test_case_74_what_follows_is_possibly_stale_too(folder: Path) -> None:
    python(folder, GLOB)
    recorded(folder, "cp", "out", "copy")
    (folder / "data" / "c.csv").write_text("new")
    assert states(folder)["copy"] == ("possibly stale", "data/ was listed without c.csv")


def test_case_74_a_build_looks_for_sources_and_not_for_notes(project: Path) -> None:
    (project / "a.txt").write_text("a")
    (project / "Makefile").write_text("out: $(wildcard *.txt)\n\tcat $^ > $@\n")
    recorded(project, "make")
    (project / "README.md").write_text("notes")
    assert states(project)["out"] == ("fresh", "-")


def test_case_74_a_file_that_was_looked_for_and_comes_later_makes_a_result_possibly_stale(project: Path) -> None:
    python(project, "try: open('conf.yaml')\nexcept OSError: open('out', 'w').write('without')")
    assert states(project)["out"] == ("fresh", "-")
    (project / "conf.yaml").write_text("now")
    assert states(project)["out"] == ("possibly stale", "conf.yaml is there now")


def test_case_74_a_file_that_was_looked_for_and_made_is_no_cause(project: Path) -> None:
    source = "try: open('cache.bin')\nexcept OSError: open('cache.bin', 'w').write('made')\nopen('out', 'w').write('x')"
    python(project, source)
    assert {path: state for path, (state, _) in states(project).items()} == {"cache.bin": "fresh", "out": "fresh"}


def test_case_75_a_file_that_was_only_looked_at_is_no_input(project: Path) -> None:
    record = python(project, "import os; open('out', 'w').write(str(os.stat('in').st_size)); os.path.exists('nowhere')")
    assert used(record) == (set(), {"out"})
    assert record["absent"] is None


def test_case_79_what_came_over_a_network_is_named_with_host_and_port(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"data")

        thread = threading.Thread(target=answer)
        thread.start()
        program = f"import socket; open('out', 'wb').write(socket.create_connection(('127.0.0.1', {port})).recv(9))"
        record = python(project, program)
        thread.join()
    assert record["network"] == [{"endpoint": f"tcp:127.0.0.1:{port}", "bytes": None}]
    assert gaps(record) == [f"network: whatever 127.0.0.1:{port} answered is not reproducible from files"]
    shown = subprocess.run([*VESTIGE, "trace", "out"], cwd=project, capture_output=True, text=True, check=True).stdout
    assert " [partial] -> out" in shown


def test_case_79_the_host_is_named_as_the_command_line_has_it(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = f"import socket; socket.create_connection(('127.0.0.1', {port}))"
        record = python(project, program, f"http://data.example:{port}/train.csv")
    assert record["network"] == [{"endpoint": f"tcp:127.0.0.1:{port}", "bytes": None, "name": "data.example"}]


def test_case_79_a_server_of_the_runs_own_is_no_gap(project: Path) -> None:
    source = """
import os, socket
for address in (("127.0.0.1", 0), "own.sock"):
    server = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    server.bind(address)
    server.listen()
    if os.fork() == 0:
        server.accept()[0].sendall(b"data")
        os._exit(0)
    client = socket.socket(server.family)
    client.connect(server.getsockname())
    open("out", "wb").write(client.recv(9))
    os.wait()
"""
    record = python(project, source)
    assert (record["network"], gaps(record)) == ([], [])


def test_case_79_a_database_behind_a_socket_is_named(project: Path) -> None:
    path = project.parent / ".s.PGSQL.5432"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        record = python(project, f"import socket; socket.socket(socket.AF_UNIX).connect({str(path)!r})")
    assert record["network"] == [{"endpoint": f"unix:{path}", "bytes": None}]
    assert gaps(record) == ["postgres: what the database answered is not reproducible from files"]


def test_case_79_a_program_that_hands_its_work_to_a_container_is_named(project: Path) -> None:
    program = project.parent / "docker"
    program.write_text("#!/bin/sh\n:\n")
    program.chmod(0o755)
    record = recorded(project, str(program), "run", "alpine", "sort")
    assert gaps(record) == ["docker: the container's files were not seen"]
    assert gaps(recorded(project, str(program), "ps")) == []
