"""Hooks: declared by a package or added by a program, as the manual shows them; and none that fails does harm."""

from __future__ import annotations

import json
import os
import re
import textwrap
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.cli.calling import program
from tests.record.running import last, records, run
from tests.script.scripts import record as record_of
from tests.script.scripts import records as records_of
from tests.script.scripts import script
from vestige.errors import UsageError
from vestige.record import hooks
from vestige.script import added

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "hooks.md").read_text()


def block(of: str, kind: str = "python") -> str:
    """The code below a heading of the manual."""
    found = re.search(rf"^## {re.escape(of)}$.*?^```{kind}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert found is not None, of
    return found[1]


class Packages:
    """A folder with packages, for `PYTHONPATH`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.environ = {"PYTHONPATH": str(folder)}

    def install(self, name: str, source: str, **groups: str) -> None:
        """A distribution with one module; `probes="a = module:a"`."""
        (self.folder / f"{name}.py").write_text(source)
        info = self.folder / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        lines = [f"[vestige.{group}]\n" + textwrap.dedent(entries) for group, entries in groups.items()]
        (info / "entry_points.txt").write_text("[console_scripts]\nx = y:z\n\n" + "\n".join(lines))


@pytest.fixture
def packages(tmp_path: Path) -> Packages:
    return Packages(tmp_path / "site-packages")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    made.mkdir()
    return made


@pytest.fixture
def project(folder: Path) -> Path:
    return folder


class Server(HTTPServer):
    """A server as Slack's: it takes messages."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Messages)
        self.messages: list[tuple[str, Any]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/services/T0/B0/x"


class _Messages(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Server)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.messages.append((str(self.headers["Content-Type"]), json.loads(body)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    thread = threading.Thread(target=one.serve_forever, daemon=True)
    thread.start()
    yield one
    one.shutdown()
    one.server_close()


def test_the_hooks_of_the_manual_are_called_for_a_command(folder: Path, packages: Packages, server: Server) -> None:
    entries = dict(re.findall(r'\[project\.entry-points\."vestige\.(\w+)"\]\n(.*)', block("For all runs: entry points", "toml")))
    source = block("A probe") + block("A watcher") + block("A reporter")
    packages.install("study_hooks", source, **{group: text.replace('"', "") for group, text in entries.items()})
    environ = {**packages.environ, "LOADEDMODULES": "gcc/13.2:cuda/12.4", "STUDY_WEBHOOK": server.url}
    done = run(folder, "sh", "-c", "echo x > out.txt; exit 3", options=["--name", "fit"], environ=environ)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"", b"")
    found = last(folder)
    assert found["problems"] == []
    assert found["context"]["modules"] == ["gcc/13.2", "cuda/12.4"]
    assert sorted(found["context"]["room"]) == ["free_after", "free_before"]
    assert min(found["context"]["room"].values()) > 0
    kinds, messages = zip(*server.messages, strict=True)
    assert set(kinds) == {"application/json"}
    host = os.uname().nodename
    assert messages == ({"text": f"fit on {host} has begun"}, {"text": f"fit on {host} failed after 0 s"})


def test_they_are_called_for_a_script_and_not_for_the_calls_inside_it(project: Path, packages: Packages) -> None:
    packages.install("seen", "def seen(run):\n    return run.kind", probes="seen = seen:seen")
    source = "import vestige\nvestige.output_dir\n@vestige.monitor\ndef f(): pass\nf()\n"
    done = script(project, source, environ={**packages.environ, "VESTIGE_NAME": "one"})
    assert done.returncode == 0
    assert record_of(project, "script")["context"] == {"seen": "script"}
    assert "context" not in record_of(project, "function")
    script(project, "import vestige\n@vestige.monitor\ndef g(): pass\ng()\n", environ=packages.environ)
    assert records_of(project, "function")[-1]["context"] == {"seen": "function"}


def test_a_probe_adds_to_the_context_alone(folder: Path, packages: Packages) -> None:
    source = "def seen(run): return run.kind\ndef fails(run): raise OSError('unreachable')"
    packages.install("seen", source, probes="seen = seen:seen", reporters="fails = seen:fails")
    done = program("capture", "--json", cwd=folder, **packages.environ)
    found = json.loads(done.stdout)
    assert found["context"] == {"seen": "capture"}
    assert found["problems"][-1] == "reporter fails: OSError: unreachable"


def test_a_program_adds_hooks_as_the_manual_says(project: Path) -> None:
    source = block("For the runs of one program") + textwrap.dedent(
        """
        @vestige.add_watcher
        class Stay:
            def __init__(self, run): self.run = run
            def __enter__(self): self.notes = [self.run.kind]; return self.notes
            def __exit__(self, *_): self.notes.append("left")

        @vestige.monitor
        def f(): return 1

        with vestige.start("part"):
            f()
        try:
            vestige.output_dir
            raise SystemExit(4)
        finally:
            pass
        """
    )
    done = script(project, source, environ={"VESTIGE_NAME": "whole"})
    assert done.returncode == 4
    found = records_of(project)
    assert [one["kind"] for one in found] == ["script", "function", "script"]
    for one in found:
        assert one["problems"] == []
        assert one["context"] == {"batch_queue": {"waiting": 3}, "Stay": [one["kind"], "left"]}
    said = done.stdout.decode()
    assert [line.rpartition(" ")[2] for line in said.splitlines()].count("running>") == 3
    assert len(said.splitlines()) == 6


BAD = """
import sys, time, os
def raises(run): raise ValueError("no luck")
class Odd(Exception):
    def __str__(self): raise RuntimeError
def odd(run): raise Odd
def leaves(run): sys.exit(7)
def nonsense(run): return {1, 2}
def endless(run):
    loop = []
    loop.append(loop)
    return loop
def huge(run): return "x" * 100_000
def infinite(run): return [float("inf")]
def hangs(run): time.sleep(3600)
def no_manager(run): return 5
class Bad:
    def __init__(self, run): pass
    def __enter__(self): return {"a": 1}
    def __exit__(self, *_): raise KeyError("gone")
def deaf(run):
    raise OSError("unreachable")
secret = lambda run: "token " + os.environ["MY_API_TOKEN"]
good = lambda run: 1
"""


def test_no_hook_that_fails_harms_the_run(folder: Path, packages: Packages) -> None:
    names = ("raises", "odd", "leaves", "nonsense", "endless", "huge", "infinite", "hangs", "secret", "good", "absent")
    packages.install(
        "bad",
        BAD,
        probes="\n".join(f"{name} = bad:{name}" for name in names) + "\nno_module = nowhere:f\n",
        watchers="no_manager = bad:no_manager\nbad = bad:Bad\n",
        reporters="deaf = bad:deaf\n",
    )
    environ = {**packages.environ, "MY_API_TOKEN": "hunter2-hunter2-hunter2"}
    began = time.monotonic()
    done = run(folder, "sh", "-c", "echo out; echo err >&2; exit 5", environ=environ)
    assert (done.returncode, done.stdout, done.stderr) == (5, b"out\n", b"err\n")
    assert time.monotonic() - began < 4  # it has not waited for who hangs
    found = last(folder)
    assert set(found["context"]) == {"secret", "good"}
    assert "hunter2" not in json.dumps(found)
    problems = {problem.partition(":")[0]: problem for problem in found["problems"]}
    expected = {*(f"probe {name}" for name in names if name not in ("secret", "good")), "probe no_module"}
    assert set(problems) == expected | {"watcher no_manager", "watcher bad", "reporter deaf"}
    assert problems["probe raises"] == "probe raises: ValueError: no luck"
    assert problems["probe nonsense"] == "probe nonsense: TypeError: its value cannot be recorded: set is not JSON"
    assert problems["probe hangs"] == "probe hangs: it took more than 5 s, and was not waited for"
    assert "64 KiB" in problems["probe huge"]
    assert "KeyError" in problems["watcher bad"]


def test_a_hook_that_ends_the_recorder_leaves_the_record_to_the_next_command(folder: Path, packages: Packages) -> None:
    packages.install("deadly", "import os\ndef deadly(run): os._exit(1)", probes="deadly = deadly:deadly")
    done = run(folder, "sh", "-c", "sleep 0.5; echo x > out.txt; exit 6", environ=packages.environ)
    assert done.returncode == 6
    time.sleep(0.5)
    done = run(folder, "true")
    from vestige import api

    api.open(str(folder)).runs()
    found = records(folder)
    assert [one["exit_code"] for one in found] == [6, 0]
    assert {use["path"] for use in found[0]["outputs"]} == {"out.txt"}


def test_hooks_in_a_program_that_fail_do_not_harm_it(project: Path) -> None:
    source = textwrap.dedent(
        """
        import vestige, time
        def hangs(run): time.sleep(3600)
        def raises(run): raise ValueError("no luck")
        vestige.add_probe(hangs)
        vestige.add_reporter(raises)
        vestige.add_probe(raises)
        @vestige.monitor
        def f(): return 7
        assert f() == 7
        """
    )
    began = time.monotonic()
    done = script(project, source)
    assert (done.returncode, done.stderr) == (0, b"")
    assert time.monotonic() - began < 3 * hooks.PATIENCE
    problems = record_of(project, "function")["problems"]
    assert [problem.partition(":")[0] for problem in problems] == ["probe hangs", "probe raises", "reporter raises"]


def test_what_is_no_function_is_no_hook() -> None:
    with pytest.raises(UsageError, match="a probe is a function, not int"):
        added.add_probe(5)  # type: ignore[type-var]


def test_that_there_are_none_is_remembered_until_something_is_installed(folder: Path, packages: Packages) -> None:
    old = time.time() - 100
    os.utime(packages.folder, (old, old))
    environ = {**packages.environ, "PYTHONVERBOSE": "", "PYTHONDONTWRITEBYTECODE": "1"}
    run(folder, "true", environ=environ)
    assert "context" not in last(folder)
    remembered = list(Path(os.environ["XDG_CACHE_HOME"]).rglob("no-hooks"))
    assert len(remembered) == 1
    assert str(packages.folder) in remembered[0].read_text()
    packages.install("late", "def late(run): return 'now'", probes="late = late:late")
    run(folder, "true", environ=environ)
    assert last(folder)["context"] == {"late": "now"}
