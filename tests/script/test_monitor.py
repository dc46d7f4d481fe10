"""`@vestige.monitor`: every call is a run, and the function stays what it was."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.script.scripts import record, records, script, settled, used

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looked at by what Linux tells of processes")


def called(project: Path, source: str, **how: Any) -> list[dict[str, Any]]:
    """The records of the calls in a script that ends well."""
    done = script(project, "import vestige\n" + source, **how)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b"", done.stderr
    return records(project, "function")


def test_a_call_is_a_run_with_arguments_result_and_files(project: Path) -> None:
    source = """
@vestige.monitor
def mean(path, scale=2.0, *, label=None, **more):
    values = [float(word) for word in open(path).read().split(",")]
    open("out.txt", "w").write("x")
    return scale * sum(values) / len(values)

mean("in.csv", label="l", extra=[1, {"a": None}])
"""
    (found,) = called(project, source)
    assert (found["kind"], found["status"], found["parent"]) == ("function", "finished", None)
    function = found["function"]
    assert function["arguments"] == {"path": "in.csv", "scale": 2.0, "label": "l", "extra": [1, {"a": None}]}
    assert (function["result"], function["exception"], function["name"], function["module"]) == (3.0, None, "mean", "__main__")
    assert function["file"].endswith("step.py")
    assert function["line"] == 3
    assert used(found) == ({"in.csv"}, {"out.txt"})
    assert None not in (found["code"]["snapshot"], found["environment"], found["machine"])
    assert found["script"]["path"] == "step.py"


def test_an_exception_is_recorded_and_goes_on_its_way(project: Path) -> None:
    source = """
@vestige.monitor()
def fails(n):
    raise ValueError(f"n is {n}")
try:
    fails(3)
except ValueError as error:
    assert str(error) == "n is 3"
else:
    raise AssertionError
"""
    (found,) = called(project, source)
    assert (found["status"], found["exit_code"]) == ("failed", 1)
    exception = found["function"]["exception"]
    assert (exception["type"], exception["message"]) == ("ValueError", "n is 3")
    assert exception["at"][-1].endswith("step.py:5 fails")


KINDS = """
import asyncio, functools, inspect, pickle, threading

class Model:
    @vestige.monitor
    def fit(self, n): return n
    @vestige.monitor
    @classmethod
    def make(cls, n): return n
    @classmethod
    @vestige.monitor
    def made(cls, n): return n
    @staticmethod
    @vestige.monitor
    def static(n): return n
    @property
    @vestige.monitor
    def size(self): return 7

@vestige.monitor
def numbers(n):
    "Counts."
    got = None
    for i in range(n):
        got = yield i if got is None else got * 10
    return "end"

@vestige.monitor
async def later(n):
    await asyncio.sleep(0.01)
    return n

@vestige.monitor
async def stream(n):
    for i in range(n):
        yield i

model = Model()
assert model.fit(1) == 1 and Model.make(2) == 2 and Model.made(3) == 3 and Model.static(4) == 4 and model.size == 7
generator = numbers(3)
assert next(generator) == 0 and generator.send(5) == 50 and next(generator) == 2
try:
    next(generator)
except StopIteration as stop:
    assert stop.value == "end"
for one in numbers(5):
    break
assert inspect.isgeneratorfunction(numbers) and numbers.__doc__ == "Counts." and str(inspect.signature(numbers)) == "(n)"
assert inspect.iscoroutinefunction(later) and inspect.isasyncgenfunction(stream)

async def main():
    assert await asyncio.gather(*(later(n) for n in range(3))) == [0, 1, 2]
    assert [n async for n in stream(2)] == [0, 1]
asyncio.run(main())
threads = [threading.Thread(target=model.fit, args=(n,)) for n in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
assert pickle.loads(pickle.dumps(numbers)) is numbers
"""


def test_methods_generators_coroutines_and_threads(project: Path) -> None:
    found = called(project, KINDS)
    names = sorted(one["function"]["name"] for one in found)
    expected = [
        *(["Model.fit"] * 5), "Model.made", "Model.make", "Model.size", "Model.static",
        *(["later"] * 3), *(["numbers"] * 2), "stream",
    ]  # fmt: skip
    assert names == expected
    by_name = {one["function"]["name"]: one["function"] for one in found}
    assert by_name["Model.fit"]["arguments"]["self"] == {"type": "__main__.Model"}
    assert by_name["Model.make"]["arguments"] == {"cls": {"type": "class Model"}, "n": 2}
    ended = [one["function"] for one in found if one["function"]["name"] == "numbers"]
    assert sorted((one["yielded"], one["result"]) for one in ended if one["result"]) == [(3, "end")]
    assert {one["status"] for one in found} == {"finished"}


def test_nested_and_recursive_calls_are_children_and_each_knows_its_files(project: Path) -> None:
    source = """
@vestige.monitor
def outer(n):
    open("outer.txt", "w").write("x")
    if n:
        outer(n - 1)
    inner()

@vestige.monitor
def inner():
    return open("in.csv").read()

outer(1)
"""
    found = called(project, source)
    outers = [one for one in found if one["function"]["name"] == "outer"]
    top = next(one for one in outers if one["parent"] is None)
    below = next(one for one in outers if one["parent"] == top["id"])
    inners = [one for one in found if one["function"]["name"] == "inner"]
    assert {one["parent"] for one in inners} == {top["id"], below["id"]}
    for one in inners:
        assert used(one) == ({"in.csv"}, set())
    assert used(top) == ({"in.csv"}, {"outer.txt"})


def test_what_cannot_be_serialised_is_described_and_costs_nobody_the_result(project: Path) -> None:
    source = """
class Array:
    shape, dtype, nbytes = (2, 3), "int64", 48
    def tobytes(self): return bytes(48)
class Odd:
    def __repr__(self): raise RuntimeError("no")
class Selfish(dict): pass
loop = []; loop.append(loop)

@vestige.monitor
def f(odd, array, loop, big, text, key, raw, function, nan):
    return odd

odd = Odd()
assert f(odd, Array(), loop, 10**40, "x" * 5000, {1: 2}, b"abc", print, float("nan")) is odd
"""
    (found,) = called(project, source)
    arguments = found["function"]["arguments"]
    assert arguments["odd"]["type"] == "__main__.Odd"
    assert "RuntimeError" in arguments["odd"]["problem"]
    assert {key: arguments["array"][key] for key in ("type", "shape", "dtype")} == {
        "type": "__main__.Array", "shape": [2, 3], "dtype": "int64",
    }  # fmt: skip
    assert arguments["array"]["digest"].startswith("blake3:")
    assert arguments["big"] == {"type": "int", "value": "1" + "0" * 40}
    assert arguments["text"]["length"] == 5000
    assert arguments["key"] == {"type": "dict", "length": 1, "items": [[1, 2]]}
    assert arguments["raw"]["size"] == 3
    assert arguments["function"] == {"type": "function", "name": "builtins.print"}
    assert arguments["nan"] == {"type": "float", "value": "nan"}
    assert json.dumps(arguments, allow_nan=False)


@pytest.mark.programs
def test_arrays_and_frames_are_told_by_shape_type_and_digest(project: Path) -> None:
    source = """
import numpy as np, pandas as pd, polars as pl
@vestige.monitor
def f(array, frame, other, number, large): return array
f(np.arange(6).reshape(2, 3), pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), pl.DataFrame({"a": [1.0]}), np.float64(2.5),
  np.zeros(3_000_000))
"""
    (found,) = called(project, source)
    arguments = found["function"]["arguments"]
    assert (arguments["array"]["type"], arguments["array"]["shape"], arguments["array"]["dtype"]) == (
        "numpy.ndarray",
        [2, 3],
        "int64",
    )
    assert found["function"]["result"] == arguments["array"]
    assert (arguments["frame"]["shape"], list(arguments["frame"]["columns"])) == ([2, 2], ["a", "b"])
    assert arguments["other"]["columns"] == {"a": "Float64"}
    for name in ("array", "frame", "other"):
        assert arguments[name]["digest"].startswith("blake3:")
    assert arguments["number"] == 2.5
    assert (arguments["large"]["size"], "digest" in arguments["large"]) == (24_000_000, False)


def test_secrets_and_ignored_arguments_are_not_written_down(project: Path) -> None:
    source = """
@vestige.monitor(ignore=("table",))
def f(table, password, text, settings):
    return text

f([1, 2], "hunter2hunter2", "ghp_0123456789abcdefghijklmnopqrstuvwxyzAB", {"api_key": "sdf978sdf6g5sdf", "n": 1})
"""
    (found,) = called(project, source)
    arguments = found["function"]["arguments"]
    assert arguments["table"] == {"type": "list", "ignored": True}
    assert arguments["settings"]["n"] == 1
    everything = "".join(path.read_text(errors="replace") for path in (project / ".vestige" / "runs").rglob("*.json"))
    for secret in ("hunter2", "ghp_0123", "sdf978"):
        assert secret not in everything


def test_a_result_can_be_left_out(project: Path) -> None:
    (found,) = called(project, "@vestige.monitor(include_return_value=False)\ndef f(): return 5\nassert f() == 5\n")
    assert found["function"]["result"] is None


def test_calls_of_a_script_that_has_a_run_are_its_children(project: Path) -> None:
    source = """
vestige.initialize("exp")
@vestige.monitor(name="train")
def f():
    open(vestige.output_dir + "w", "w").write("x")
    vestige.log(loss=1)
f()
vestige.log(outside=2)
"""
    done = script(project, "import vestige\n" + source)
    assert done.returncode == 0
    own, call = record(project, "script"), record(project, "function")
    assert call["parent"] == own["id"]
    assert call["name"] == "train"
    assert list(call["values"]) == ["loss"]
    assert list(own["values"]) == ["outside"]
    assert used(call)[1] == used(own)[1] == {"results/exp/w"}


def test_calls_under_vestige_run_are_recorded_by_it(project: Path) -> None:
    source = "import vestige\n@vestige.monitor\ndef f(): return open('in.csv').read()\nf()\n"
    (project / "step.py").write_text(source)
    command = [sys.executable, "-m", "vestige", "run", sys.executable, "step.py"]
    done = subprocess.run(command, cwd=project, capture_output=True, timeout=60, check=False)
    settled(project)
    assert (done.returncode, done.stderr) == (0, b"")
    outer, call = record(project, "command"), record(project, "function")
    assert call["parent"] == outer["id"]
    assert used(call) == used(outer) == ({"in.csv"}, set())


def test_a_function_in_worker_processes(project: Path) -> None:
    source = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

@vestige.monitor
def work(n):
    return n * n

if __name__ == "__main__":
    for way in ("fork", "spawn"):
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(way)) as pool:
            assert list(pool.map(work, range(3))) == [0, 1, 4]
"""
    found = called(project, source)
    assert sorted(one["function"]["result"] for one in found) == [0, 0, 1, 1, 4, 4]


MANY = """
import sys, time
@vestige.monitor
def nothing(n): return n
nothing(-1)
began = time.perf_counter()
for n in range(int(sys.argv[1])): nothing(n)
print((time.perf_counter() - began) / int(sys.argv[1]))
"""


def test_hundreds_of_calls_are_hundreds_of_records_and_cost_little(project: Path) -> None:
    done = script(project, "import vestige\n" + MANY, "300")
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.02  # two milliseconds where nobody else works; see `make bench`
    found = records(project, "function")
    assert sorted(one["function"]["result"] for one in found) == list(range(-1, 300))


@pytest.mark.scale
def test_ten_thousand_calls(project: Path) -> None:
    done = script(project, "import vestige\n" + MANY, "10000", patience=600.0)
    assert done.returncode == 0, done.stderr
    assert len(records(project, "function")) == 10_001


@pytest.mark.parametrize("what", ["vestige.monitor(3)", "vestige.monitor()(3)", "vestige.monitor(type('A', (), {}))"])
def test_what_is_no_function_is_refused(project: Path, what: str) -> None:
    done = script(project, f"import vestige\ntry: {what}\nexcept vestige.VestigeError as error: print(error)\n")
    assert done.stdout, done.stderr


def test_a_folder_that_is_made_after_a_call_under_vestige_run_is_described(project: Path) -> None:
    (project / "step.py").write_text("import vestige\n@vestige.monitor\ndef f(): pass\nf()\nvestige.initialize('exp')\n")
    command = [sys.executable, "-m", "vestige", "run", sys.executable, "step.py"]
    subprocess.run(command, cwd=project, capture_output=True, timeout=60, check=True)
    settled(project)
    assert (project / "results/exp/info.txt").exists()
