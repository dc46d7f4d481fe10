"""Every case is run under each way of observing that sees it."""

from __future__ import annotations

import pytest

from tests.cases.rungs import rungs

MARKS = (
    "either_watcher: under the compiled watcher, and under the one in Python",
    "under(rung, …): under these alone",
    "also_under(rung, …): where the page does not say yes, and the test says what is seen",
    "not_under(rung, …): where another test of the same case shows what the page says",
)


def pytest_configure(config: pytest.Config) -> None:
    for mark in MARKS:
        config.addinivalue_line("markers", mark)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "rung" in metafunc.fixturenames:
        found = list(rungs(metafunc.definition))
        if metafunc.definition.get_closest_marker("either_watcher"):
            found.insert(1, "notify-python")
        metafunc.parametrize("rung", found, indirect=True)


@pytest.fixture
def rung(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the runs of a test are observed."""
    name, _, watcher = str(request.param).partition("-")
    if watcher:
        monkeypatch.setenv("VESTIGE_WATCHER", watcher)
    return name
