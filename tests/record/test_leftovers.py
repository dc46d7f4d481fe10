"""Which names are those of files that are not whole yet."""

from __future__ import annotations

import pytest

from vestige.observe.conclusion import ObservedUse
from vestige.record import leftovers


@pytest.mark.parametrize(
    "name",
    ["out.csv.tmp", ".tmpA8f3k2", "out.tmp.4711", "tmpab12_xyz", ".in.csv.Ab3xYz", "model.part", "x.tmp-3f2a", "tmpab12_xyz.npy"],
)
def test_names_that_are_given_until_a_file_is_whole(name: str) -> None:
    assert leftovers.is_temporary(name)


@pytest.mark.parametrize("name", ["out.csv", "tmp", "template.txt", ".config", ".in.backup", "a.tmpl", "parts", "tmpfs.log"])
def test_names_that_mean_something(name: str) -> None:
    assert not leftovers.is_temporary(name)


def test_only_what_a_failed_run_made_is_left_over() -> None:
    made = ObservedUse("/p/out.tmp", "data", "write")
    outputs = [made, made._replace(path="/p/out"), made._replace(path="/p/old.tmp", existed=True)]
    assert leftovers.problems(outputs, failed=False) == []
    assert [line.split()[0] for line in leftovers.problems(outputs, failed=True)] == ["/p/out.tmp"]
