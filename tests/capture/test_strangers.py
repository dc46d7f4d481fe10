"""Files among the libraries that are somebody's own code."""

from __future__ import annotations

import base64
import hashlib
import os
import sys
import time
from pathlib import Path

import pytest

from vestige.capture import strangers as module
from vestige.capture.strangers import strangers


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "v/lib/python3.11/site-packages"
    rows = []
    for name, text in {"demo/__init__.py": "", "demo/core.py": "x = 1\n", "demo/odd, name.py": "y = 2\n"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        encoded = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f'"{name}",sha256={encoded},{len(text)}')
    info = folder / "demo-1.0.dist-info"
    info.mkdir()
    (info / "RECORD").write_text("\n".join([*rows, "demo-1.0.dist-info/RECORD,,"]) + "\n")
    return folder


def looked(*paths: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


def everything(site: Path) -> dict[str, tuple[int, int]]:
    return looked(*(path for path in site.rglob("*") if path.is_file()))


def test_files_as_they_were_installed_are_no_strangers(site: Path) -> None:
    assert strangers(everything(site)) == frozenset()


def test_a_file_that_no_package_put_there_is_a_stranger(site: Path) -> None:
    for name in ("helper.py", "demo/added.py", "sitecustomize.py", "_virtualenv.py", "notes.txt"):
        (site / name).write_text("mine")
    assert strangers(everything(site)) == {str(site / name) for name in ("helper.py", "demo/added.py", "sitecustomize.py")}


def test_an_edited_file_is_a_stranger_though_its_size_is_the_same(site: Path) -> None:
    later = time.time() + 1000
    (site / "demo/core.py").write_text("x = 2\n")
    os.utime(site / "demo/core.py", (later, later))
    os.utime(site / "demo/__init__.py", (later, later))
    assert strangers(everything(site)) == {str(site / "demo/core.py")}
    (site / "demo/odd, name.py").write_text("y = 22\n")
    assert str(site / "demo/odd, name.py") in strangers(everything(site))


def test_files_elsewhere_are_not_judged(site: Path, tmp_path: Path) -> None:
    (tmp_path / "own.py").touch()
    assert strangers(looked(tmp_path / "own.py")) == frozenset()
    assert strangers({"/usr/lib/python3/dist-packages/apt/x.py": (1, 1), "/gone/site-packages/x.py": (1, 1)}) == frozenset()


def test_the_same_question_is_answered_from_the_cache(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (site / "helper.py").touch()
    cache = str(tmp_path / "cache")
    first = strangers(everything(site), cache)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_judge", lambda *_: pytest.fail("judged again"))
        assert strangers(everything(site), cache) == first == {str(site / "helper.py")}
    (site / "demo-1.0.dist-info/RECORD").write_text("helper.py,,0\n")
    os.utime(site, (1, 1))
    assert str(site / "helper.py") not in strangers(everything(site), cache)
    (next((tmp_path / "cache").iterdir())).write_bytes(b"[]")
    assert str(site / "helper.py") not in strangers(everything(site), cache)


def test_what_runs_these_tests_is_as_it_was_installed() -> None:
    seen = {}
    for name, loaded in list(sys.modules.items()):
        path = getattr(loaded, "__file__", None)
        if path and name.partition(".")[0] in {"pytest", "_pytest", "hypothesis", "pluggy"} and os.path.isfile(path):
            seen[path] = (os.stat(path).st_size, os.stat(path).st_mtime_ns)
    assert len(seen) > 100
    assert strangers(seen) == frozenset()
