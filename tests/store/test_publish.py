from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from vestige.store import publish


def test_a_name_that_is_taken_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x"
    assert publish.publish(str(path), b"first")
    assert not publish.publish(str(path), b"second")
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("number", sorted(publish._NO_LINKS))
def test_where_there_are_no_hard_links_a_taken_name_stays_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def link(source: str, target: str) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)
    test_a_name_that_is_taken_stays_as_it_is(tmp_path)


def test_another_error_of_link_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(source: str, target: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(OSError, match="Input/output"):
        publish.publish(str(tmp_path / "x"), b"first")
    assert os.listdir(tmp_path) == []


def test_replacing_puts_the_new_bytes_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    publish.replace(str(path), b"new", mode=0o640)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["x"]
