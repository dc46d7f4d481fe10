"""Notebooks in a real kernel: cells that are runs, questions by magics, values that show themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import vestige
from tests.script.scripts import records, settled, used

pytestmark = [pytest.mark.programs, pytest.mark.timeout(300)]

FIT = """\
%%vestige fit --ignore password
rows = [float(word) for word in open("in.csv").read().split(",")]
assert password is not None
open("out.csv", "w").write("the sum is " + str(scale * sum(rows)) + ", long enough")
for n in range(3):
    vestige.log(loss=1 / (n + 1))

@vestige.monitor
def inner(x):
    return x + 1

inner(3)
sum(rows)"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    (root / "vestige.toml").touch()
    (root / "in.csv").write_text("1,2,3")
    monkeypatch.chdir(root)
    return root


def executed(project: Path, *cells: str) -> list[Any]:
    """The cells of a notebook, executed in a kernel to its end."""
    import nbformat
    from nbclient import NotebookClient

    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(nb, timeout=120, allow_errors=True, resources={"metadata": {"path": str(project)}}).execute()
    settled(project)
    return list(nb.cells)


def shown(cell: Any, kind: str = "text/plain") -> str:
    """What a cell shows, in one form."""
    return "".join(str(one.get("data", {}).get(kind, "")) for one in cell.outputs)


def said(cell: Any) -> str:
    """What a cell printed, and its exception in one line."""
    return "".join(one.get("text", "") or f"{one.get('ename')}: {one.get('evalue')}" for one in cell.outputs)


def test_a_cell_is_a_run_with_its_source_files_values_and_children(project: Path) -> None:
    setting = "%load_ext vestige\nimport vestige\npassword, scale, unused = 'hunter2hunter2', 2, 1"
    cells = executed(project, setting, FIT, "sum(rows)")
    assert [shown(cell) for cell in cells] == ["", "6.0", "6.0"]
    (found,) = records(project, "notebook")
    assert (found["name"], found["status"], found["exit_code"], found["parent"]) == ("fit", "finished", 0, None)
    assert used(found) == ({"in.csv"}, {"out.csv"})
    assert [point["value"] for point in found["values"]["loss"]] == [1, 0.5, 1 / 3]
    function = found["function"]
    assert function["source"] == FIT.partition("\n")[2]
    assert function["arguments"] == {"password": {"type": "str", "ignored": True}, "scale": 2}
    assert (function["result"], function["exception"]) == (6.0, None)
    assert "hunter2" not in json.dumps(found)
    assert [gap for gap in found["observation"]["gaps"] if "was started" in gap] == []
    (call,) = records(project, "function")
    assert (call["parent"], call["function"]["name"]) == (found["id"], "inner")
    done = subprocess.run([sys.executable, "-m", "vestige", "trace", "out.csv"], capture_output=True, text=True, check=True)
    assert done.stdout == "in.csv -> fit @ - [partial] -> out.csv\n"


def test_an_exception_is_that_of_the_notebook(project: Path) -> None:
    cells = executed(project, "%load_ext vestige", "%%vestige\n1 / 0", "%%vestige broken\nx = = 1", "'still here'")
    assert said(cells[1]).startswith("ZeroDivisionError")
    assert said(cells[2]).startswith("SyntaxError")
    assert shown(cells[3]) == "'still here'"
    (found,) = records(project, "notebook")  # what cannot be compiled is not executed
    assert (found["name"], found["status"], found["function"]["name"]) == (None, "failed", "cell 2")
    assert found["function"]["exception"]["type"] == "ZeroDivisionError"


def test_what_the_notebook_can_do_it_still_can(project: Path) -> None:
    cells = executed(
        project,
        "%load_ext vestige\n%load_ext vestige\nimport asyncio",
        "%%vestige awaits\nopen('a', 'w').write('x')\nawait asyncio.sleep(0.01)\nopen('b', 'w').write('y')",
        "%%vestige shell\n%%bash\necho from bash",
        "%%capture held\n%%vestige inside\nprint('captured')",
        "%%vestige magics\n!echo from a shell\n%pwd",
        "held.stdout",
    )
    assert said(cells[2]) == "from bash\n"
    assert "from a shell" in said(cells[4])
    assert shown(cells[4]) == repr(str(project))
    assert shown(cells[5]) == r"'captured\n'"
    found = records(project, "notebook")
    assert [(one["name"], one["status"]) for one in found] == [
        *(("awaits", "finished"), ("shell", "finished"), ("inside", "finished"), ("magics", "finished"))
    ]
    assert used(found[0])[1] == {"a", "b"}


def test_a_cell_that_is_executed_again_is_a_second_run(project: Path) -> None:
    again = "%%vestige twice\nopen('out', 'a').write('a line of text\\n')"
    executed(project, "%load_ext vestige", again, again)
    assert [one["name"] for one in records(project, "notebook")] == ["twice", "twice"]


def test_questions_are_answered_in_html_and_in_text(project: Path) -> None:
    cells = executed(
        project,
        "%load_ext vestige\nimport vestige, time\nscale, password = 2, ''",
        "%vestige",
        FIT.replace(" --ignore password", ""),
        "while not list(vestige.open().log(status='finished', kind='notebook')): time.sleep(0.1)\n%trace out.csv",
        "%vestige",
        "vestige.open().show('fit')",
        "vestige.open().runs()",
        "%trace nothing.csv",
        "%trace",
        "%%vestige --nonsense\n1",
        "%unload_ext vestige",
        "%%vestige gone\n1",
    )
    assert "nothing is recorded in" in shown(cells[1])
    assert "└─ fit @ -" in shown(cells[3])
    assert "in.csv" in shown(cells[3], "text/html")
    assert "%%vestige fit" in shown(cells[4])
    assert "<td" in shown(cells[4], "text/html")
    assert shown(cells[5]).startswith("<run ")
    assert "rows = [float(word)" in shown(cells[5], "text/html")
    assert shown(cells[6]).startswith("<runs of ")
    assert said(cells[7]).startswith("UsageError: nothing.csv is not there, and no run is known that made it; vestige log")
    assert said(cells[8]).startswith("UsageError: %trace takes a path")
    assert said(cells[9]).startswith("UsageError: %%vestige has no option --nonsense")
    assert "not found" in said(cells[11])


@contextmanager
def kernel(project: Path) -> Iterator[tuple[Any, Any]]:
    """A kernel and a client of it."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(cwd=str(project))
    try:
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_a_kernel_that_is_killed_leaves_its_run_interrupted(project: Path) -> None:
    with kernel(project) as (manager, client):
        client.execute_interactive("%load_ext vestige", timeout=60)
        client.execute("%%vestige long\nimport time\nopen('out.csv', 'w').write('as far as it went')\ntime.sleep(100)")
        while not (project / "out.csv").exists():
            time.sleep(0.05)
        manager.provisioner.process.kill()
        settled(project)
    (found,) = records(project, "notebook")
    assert (found["name"], found["status"]) == ("long", "interrupted")
    assert "time.sleep(100)" in found["function"]["source"]
    assert used(found)[1] == {"out.csv"}


def test_a_cell_that_is_interrupted_is_recorded_so(project: Path) -> None:
    with kernel(project) as (manager, client):
        client.execute_interactive("%load_ext vestige\nimport time", timeout=60)
        client.execute("%%vestige long\nopen('begun', 'w').close()\ntime.sleep(100)")
        while not (project / "begun").exists():
            time.sleep(0.05)
        manager.interrupt_kernel()
        client.execute_interactive("1", timeout=60)
        client.shutdown()
        settled(project)
    (found,) = records(project, "notebook")
    assert (found["status"], found["function"]["exception"]["type"]) == ("interrupted", "KeyboardInterrupt")


def test_the_name_of_a_run_is_asked_for_by_the_notebook(project: Path) -> None:
    with kernel(project) as (_, client):
        asked: list[str] = []

        def answer(message: Any) -> None:
            asked.append(message["content"]["prompt"])
            client.input(["../out", "fold-1"][len(asked) - 1])

        code = "import vestige\nopen(vestige.output_dir + 'w.csv', 'w').write('1')"
        reply = client.execute_interactive(code, allow_stdin=True, stdin_hook=answer, output_hook=lambda _: None, timeout=60)
        assert reply["content"]["status"] == "ok"
        client.shutdown()
        settled(project)
    assert asked == ["Input name of experiment: "] * 2
    assert (project / "results" / "fold-1" / "w.csv").read_text() == "1"


def test_figures_are_saved_from_a_notebook(project: Path) -> None:
    cells = executed(
        project, "%matplotlib inline\nimport vestige, matplotlib.pyplot as plt", "plt.plot([1, 2])\nvestige.plot('loss')"
    )
    path = shown(cells[1]).partition("'")[2].partition("'")[0]
    assert path.endswith("/000_loss.png")
    assert (project / path).read_bytes().startswith(b"\x89PNG")


def test_a_notebook_that_is_executed_as_a_whole_is_one_run_with_its_cells_inside(project: Path) -> None:
    import nbformat

    code = [
        "%load_ext vestige\nimport vestige\nscale, password = 2, ''",
        FIT,
        "open('last.csv', 'w').write(open('out.csv').read())",
    ]
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in code])
    nbformat.write(nb, project / "study.ipynb")
    convert = [
        sys.executable,
        "-m",
        "jupyter",
        "nbconvert",
        "--to",
        "notebook",
        "--execute",
        "study.ipynb",
        "--output",
        "done.ipynb",
    ]
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "-m", "vestige", "run", *convert],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path},
    )
    assert done.returncode == 0, done.stderr
    settled(project)
    (whole,) = records(project, "command")
    reads, writes = used(whole)
    assert {"in.csv", "study.ipynb"} <= reads | used(whole, "code")[0]
    assert {"out.csv", "last.csv", "done.ipynb"} <= writes
    (cell,) = records(project, "notebook")
    assert (cell["parent"], cell["name"], cell["status"]) == (whole["id"], "fit", "finished")
    assert used(cell) == ({"in.csv"}, {"out.csv"})
    found = vestige.open().trace("out.csv").lineage.steps
    assert [step.run.label for step in found] == ["fit"]
