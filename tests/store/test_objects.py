from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.samples import digest
from vestige.errors import DamagedError, NotKeptError
from vestige.store import publish
from vestige.store.objects import Objects


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    store = tmp_path / ".vestige"
    store.mkdir()
    return Objects(str(store))


def leftovers(objects: Objects) -> list[str]:
    return [name for _, _, names in os.walk(objects.folder) for name in names if name.startswith(".")]


def test_what_is_put_can_be_read_by_its_digest(objects: Objects) -> None:
    name = objects.put(b"hello")
    assert name == digest("hello")
    assert objects.read(name) == b"hello"
    path = objects.path(name)
    assert path is not None
    assert path.endswith(f"/objects/blake3/{name[7:9]}/{name[9:]}")
    assert list(objects.all()) == [name]
    assert leftovers(objects) == []


def test_a_file_is_kept_only_if_it_still_has_its_digest(objects: Objects, tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_bytes(b"x" * 3_000_000)
    assert not objects.put_file(str(file), digest("other"))
    assert not objects.has(digest("other"))
    name = digest("x" * 3_000_000)
    assert objects.put_file(str(file), name)
    assert objects.read(name) == b"x" * 3_000_000
    assert objects.is_sound(name)
    assert leftovers(objects) == []


def test_what_is_no_readable_file_is_not_kept(objects: Objects, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name in ("fifo", "none", "."):
        assert not objects.put_file(str(tmp_path / name), digest("x"))


def test_what_is_not_there_is_not_kept(objects: Objects) -> None:
    assert objects.path(digest("x")) is None
    with pytest.raises(NotKeptError, match="is not in"):
        objects.read(digest("x"))


@pytest.mark.parametrize("name", ["", "x", "blake3:", "blake3:../../../../etc/passwd", "../x:aaaaaaaaaa", "private:aaaaaaaaaa"])
def test_what_is_no_digest_leads_nowhere(objects: Objects, name: str, tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    assert objects.path(name) is None
    assert not objects.put_file(str(tmp_path / "f"), name)


@pytest.mark.parametrize("content", [b"", b"hello!", b"hell"])
def test_a_changed_object_is_refused(objects: Objects, content: bytes) -> None:
    name = objects.put(b"hello")
    Path(objects.path(name) or "").write_bytes(content)
    with pytest.raises(DamagedError, match="does not have the content"):
        objects.read(name)
    assert not objects.is_sound(name)


def test_an_object_that_lost_bytes_is_made_whole_by_the_next_writer(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"hello")
    name = objects.put(b"hello")
    path = Path(objects.path(name) or "")
    path.write_bytes(b"")
    objects.put(b"hello")
    assert objects.read(name) == b"hello"
    path.write_bytes(b"")
    assert objects.put_file(str(tmp_path / "f"), name)
    assert objects.read(name) == b"hello"


def test_private_objects_are_for_their_owner_alone(objects: Objects, tmp_path: Path) -> None:
    name = objects.put(b"secret", private=True)
    path = objects.path(name) or ""
    assert os.stat(path).st_mode & 0o777 == 0o600
    folder = os.path.dirname(path)
    while folder != objects.folder:
        assert os.stat(folder).st_mode & 0o777 == 0o700
        folder = os.path.dirname(folder)
    assert objects.is_private(name)
    objects.put(b"secret")
    assert objects.is_private(name)
    assert list(objects.all()) == [name]
    assert objects.read(name) == b"secret"


def test_a_kept_file_is_no_more_readable_than_the_file_was(objects: Objects, tmp_path: Path) -> None:
    file = tmp_path / "private.csv"
    file.write_bytes(b"1,2\n")
    file.chmod(0o600)
    name = digest("1,2\n")
    assert objects.put_file(str(file), name)
    assert os.stat(objects.path(name) or "").st_mode & 0o777 == 0o600


def test_other_algorithms_are_kept_under_their_name(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"hello")
    name = "md5:5d41402abc4b2a76b9719d911017c592"
    assert objects.put_file(str(tmp_path / "f"), name)
    assert objects.read(name) == b"hello"


def test_removing_takes_the_bytes_away(objects: Objects) -> None:
    name = objects.put(b"hello")
    objects.remove(name)
    objects.remove(name)
    assert not objects.has(name)


def test_where_a_file_cannot_grow_nothing_is_left_behind(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 3_000_000)
    code = """if True:
        import resource, sys
        from vestige.store.objects import Objects
        store, path, digest = sys.argv[1:]
        objects = Objects(store)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
        for attempt in (lambda: objects.put(b"y" * 2_000_000), lambda: objects.put_file(path, digest)):
            try:
                attempt()
            except OSError:
                print("refused")
    """
    command = [sys.executable, "-c", code, objects.store, str(tmp_path / "f"), digest("x" * 3_000_000)]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"refused\nrefused\n"
    assert leftovers(objects) == []
    assert list(objects.all()) == []


def test_many_writers_of_the_same_objects_do_no_harm(objects: Objects) -> None:
    code = (
        "import sys; from vestige.store.objects import Objects; o = Objects(sys.argv[1])\n"
        "for n in range(200): o.put(b'%d' % n * 1000)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, objects.store]) for _ in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    names = list(objects.all())
    assert len(names) == 200
    assert all(objects.is_sound(name) for name in names)
    assert leftovers(objects) == []


def test_what_a_killed_writer_left_is_swept_after_a_day(objects: Objects) -> None:
    objects.put(b"hello")
    for name, age in (("old", 100_000), ("new", 0)):
        path = Path(objects.folder) / f"{publish.TEMPORARY}{name}"
        path.touch()
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    assert objects.sweep() == 1
    assert leftovers(objects) == [f"{publish.TEMPORARY}new"]


@given(st.binary(max_size=2000))
def test_bytes_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    objects = Objects(str(tmp_path_factory.getbasetemp() / "shared-store"))
    os.makedirs(objects.store, exist_ok=True)
    assert objects.read(objects.put(data)) == data
