"""The line that records what a scheduler does, for each way to ask one."""

from __future__ import annotations

from pathlib import Path

import pytest

from vestige.observe.conclusion import Execution
from vestige.record import elsewhere


def line(path: str, *words: str, cwd: Path | None = None) -> list[str]:
    """What is said of one execution."""
    name = path.rpartition("/")[2]
    fields = {"path": path, "argv": (name, *words), "cwd": None if cwd is None else str(cwd)}
    missing = {field: None for field in Execution._fields if field not in fields}
    return elsewhere.lines([Execution(**{**missing, **fields})])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("srun python a.py", "srun vestige run python a.py"),
        ("srun -n 4 python a.py", "srun -n 4 vestige run python a.py"),
        ("srun -n4 --gpus 1 -u python a.py -n 3", "srun -n4 --gpus 1 -u vestige run python a.py -n 3"),
        ("srun --ntasks=4 --exclusive -- ./a.out", "srun --ntasks=4 --exclusive -- vestige run ./a.out"),
        ("mpirun -np 4 --oversubscribe ./a.out", "mpirun -np 4 --oversubscribe vestige run ./a.out"),
        ("srun -n 2 vestige run ./a.out", "srun -n 2 vestige run ./a.out"),
        ("python a.py", "vestige run python a.py"),
    ],
)
def test_vestige_run_stands_before_the_command(given: str, wanted: str) -> None:
    assert " ".join(elsewhere.behind(given.split())) == wanted


def test_what_srun_starts() -> None:
    said = "vestige: what srun starts is not recorded by this run; write: srun -n 2 vestige run ./a.out 'x y'"
    assert line("/usr/bin/srun", "-n", "2", "./a.out", "x y") == [said]
    assert line("/usr/bin/srun", "--version") == []


def test_the_line_of_a_job_script(tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    beginning = "vestige: what qsub submits is not recorded by this run; "
    script.write_text("#!/bin/bash\n#PBS -l nodes=1\nmodule load x\ncd $HOME\nexport A=b\npython fit.py \\\n  --lr 'a b'\n")
    assert line("/usr/bin/qsub", "-N", "x", "job.sh", cwd=tmp_path) == [
        beginning + "in job.sh, write: vestige run python fit.py --lr 'a b'"
    ]
    script.write_text('for i in 1 2; do\n  python fit.py $i\ndone\nmpirun -np 2 ./a.out > "$OUT"\n')
    assert line("/usr/bin/qsub", "job.sh", cwd=tmp_path) == [
        beginning + 'in job.sh, write: mpirun -np 2 vestige run ./a.out > "$OUT"'
    ]
    script.write_text("srun vestige run python fit.py\n")
    assert line("/usr/bin/sbatch", "job.sh", cwd=tmp_path) == [
        "vestige: what sbatch submits is recorded by runs of its own, where the job runs"
    ]


def test_what_cannot_be_read_is_told_in_general(tmp_path: Path) -> None:
    general = "in the job script, write vestige run before each command"
    (tmp_path / "binary").write_bytes(b"\xff\x00'\n")
    (tmp_path / "folder").mkdir()
    for words in ([], ["gone.sh"], ["folder"], ["-n", "2"]):
        (said,) = line("/usr/bin/sbatch", *words, cwd=tmp_path)
        assert said.endswith(general), said
    assert len(line("/usr/bin/sbatch", "binary", cwd=tmp_path)) == 1
    (said,) = line("/usr/bin/sbatch", "--wrap", "python a.py 'x", cwd=tmp_path)
    assert "vestige run python a.py" in said
