"""Workspaces, filled from a real store."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.store.samples import digest, read, run, wrote
from vestige.model import gittree
from vestige.model.code import Code
from vestige.model.files import FileUse
from vestige.model.run import Run
from vestige.reproduce import workspace
from vestige.reproduce.plan import Step, Supply
from vestige.reproduce.raw import NOTHING, Inherited, Raw
from vestige.reproduce.relocation import Move
from vestige.reproduce.workspace import Layout, Prepared, Stock, UnpreparedError
from vestige.store.code import CodeStore
from vestige.store.objects import Objects

FILE, PROGRAM, LINK = 0o100644, 0o100755, 0o120000


class Room:
    """A store, a project on disk, and a place for workspaces."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.root = top / "home" / "p"
        self.root.mkdir(parents=True)
        self.objects = Objects(str(top / "store"))
        self.code = CodeStore(str(top / "store" / "code.git"))
        self.code.init()
        self.made: dict[tuple[str, str], str] = {}

    def tree(self, files: Mapping[str, tuple[int, bytes]]) -> str:
        database = self.code.database()
        edits = {os.fsencode(path): (mode, database.put(b"blob", data)) for path, (mode, data) in files.items()}
        tree = gittree.edit(None, edits, database.tree, lambda data: database.put(b"tree", data))
        assert tree is not None
        self.code.keep([tree])
        return "git:" + tree

    def run(self, files: Mapping[str, tuple[int, bytes]] | None = None, **more: Any) -> Run:
        tree = self.tree(files or {"step.py": (FILE, b"code")})
        return run(1, code=Code(snapshot=tree), **more)

    def disk(self, path: str, text: str) -> str:
        full = self.root / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_text(text)
        return str(full)

    def layout(self, **more: Any) -> Layout:
        return Layout(str(self.top / "work" / "1"), str(self.root), **more)

    def prepare(self, one: Run, *supplies: Supply, layout: Layout | None = None, known: Raw = NOTHING) -> Prepared:
        prepared = Prepared(layout or self.layout())
        step = Step(run=one, supplies=supplies, expected=tuple(use for use in one.outputs if not use.deleted))
        stock = Stock(self.code, self.objects, lambda run_id, path: self.made.get((run_id, path)), self.on_disk)
        workspace.prepare(step, prepared, stock, known)
        return prepared

    def on_disk(self, use: FileUse) -> str | None:
        path = os.path.join(self.root, use.path)
        return path if workspace.content_of(path) == use.digest else None


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def on_disk(room: Room, path: str, content: str, **more: Any) -> Supply:
    return Supply(use=read(path, content, **more), source="disk", place=os.path.join(room.root, path))


def test_the_code_is_there_byte_for_byte_with_its_modes_and_links(room: Room) -> None:
    files = {
        "src/a.py": (FILE, b"a\r\n\xff"),
        "run.sh": (PROGRAM, b"#!/bin/sh\n"),
        "now.py": (LINK, b"src/a.py"),
        os.fsdecode(b"n\xff\n"): (FILE, b""),
    }
    project = Path(room.prepare(room.run(files)).layout.project)
    assert (project / "src/a.py").read_bytes() == b"a\r\n\xff"
    assert os.access(project / "run.sh", os.X_OK)
    assert os.readlink(project / "now.py") == "src/a.py"
    assert (project / os.fsdecode(b"n\xff\n")).exists()


def test_inputs_are_copies_and_never_the_users_files(room: Room) -> None:
    source = room.disk("data/in.csv", "content")
    project = room.prepare(room.run(), on_disk(room, "data/in.csv", "content")).layout.project
    copy = os.path.join(project, "data/in.csv")
    assert Path(copy).read_text() == "content"
    assert os.stat(copy).st_ino != os.stat(source).st_ino
    Path(copy).write_text("other")
    assert Path(source).read_text() == "content"


def test_a_kept_object_is_an_input(room: Room) -> None:
    room.objects.put(b"content")
    project = room.prepare(room.run(), Supply(use=read("in.csv", "content"), source="kept")).layout.project
    assert Path(project, "in.csv").read_text() == "content"


def test_a_program_that_comes_from_the_store_can_be_executed(room: Room) -> None:
    room.objects.put(b"#!/bin/sh\n")
    use = read("tool", "#!/bin/sh\n", role="code", access="execute")
    project = room.prepare(room.run(), Supply(use=use, source="kept")).layout.project
    assert os.access(os.path.join(project, "tool"), os.X_OK)


def test_a_file_that_changed_after_it_was_planned_is_not_used(room: Room) -> None:
    room.disk("in.csv", "changed")
    with pytest.raises(UnpreparedError, match=r"in\.csv no longer has the content"):
        room.prepare(room.run(), on_disk(room, "in.csv", "content"))


def test_what_a_step_made_is_used_whatever_it_is_now(room: Room) -> None:
    room.made["r", "mid.csv"] = room.disk("elsewhere", "made now")
    supply = Supply(use=read("in.csv", "made then"), source="step", run="r", made_as="mid.csv")
    project = room.prepare(room.run(), supply).layout.project
    assert Path(project, "in.csv").read_text() == "made now"


def test_what_a_step_did_not_make_is_used_as_recorded_and_that_is_said(room: Room) -> None:
    room.objects.put(b"made then")
    supply = Supply(use=read("in.csv", "made then"), source="step", run="x" * 8, made_as="mid.csv")
    prepared = room.prepare(room.run(), supply)
    assert Path(prepared.layout.project, "in.csv").read_text() == "made then"
    assert prepared.notes == ["in.csv as recorded, since xxxxxxxx did not make it"]


def test_a_source_that_is_not_as_the_snapshot_has_it_comes_as_it_was_read(room: Room) -> None:
    room.objects.put(b"as read")
    supply = Supply(use=read("step.py", "as read", role="code"), source="snapshot")
    project = room.prepare(room.run({"step.py": (FILE, b"as snapshot")}), supply).layout.project
    assert Path(project, "step.py").read_text() == "as read"


def test_an_old_output_is_taken_away_and_an_input_that_is_changed_in_place_is_not(room: Room) -> None:
    files = {"step.py": (FILE, b""), "out.txt": (FILE, b"old"), "table": (FILE, b"first")}
    room.objects.put(b"first")
    one = room.run(files, outputs=(wrote("out.txt", "new"), wrote("table", "second", access="update", before=digest("first"))))
    supply = Supply(use=read("table", "first", access="update"), source="kept")
    project = room.prepare(one, supply).layout.project
    assert not os.path.exists(os.path.join(project, "out.txt"))
    assert Path(project, "table").read_text() == "first"


def test_folders_are_there_that_were_and_not_those_that_the_run_made(room: Room) -> None:
    one = room.run(outputs=(wrote("there/out", "x"), wrote("made/deep/out", "y")), cwd="work/here")
    project = room.prepare(one, known=Raw(frozenset({"made", "made/deep"}))).layout.project
    assert os.path.isdir(os.path.join(project, "there"))
    assert os.path.isdir(os.path.join(project, "work/here"))
    assert not os.path.exists(os.path.join(project, "made"))


def test_a_directory_that_is_one_thing_comes_whole(room: Room) -> None:
    room.disk("set.zarr/0/0", "a")
    room.disk("set.zarr/.zarray", "b")
    whole = workspace.content_of(os.path.join(room.root, "set.zarr"))
    use = FileUse(path="set.zarr", digest=whole, kind="directory")
    supply = Supply(use=use, source="disk", place=os.path.join(room.root, "set.zarr"))
    project = room.prepare(room.run(), supply).layout.project
    assert workspace.content_of(os.path.join(project, "set.zarr")) == whole


def test_nothing_is_written_through_a_link_that_leads_out(room: Room) -> None:
    elsewhere = room.top / "elsewhere"
    elsewhere.mkdir()
    room.objects.put(b"content")
    files = {"data": (LINK, os.fsencode(elsewhere))}
    with pytest.raises(UnpreparedError, match="data is a link that leads out of the project"):
        room.prepare(room.run(files), Supply(use=read("data/in.csv", "content"), source="kept"))
    assert os.listdir(elsewhere) == []


def test_an_old_output_behind_a_link_that_leads_out_is_left_alone(room: Room) -> None:
    elsewhere = room.top / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "out.txt").write_text("precious")
    with pytest.raises(UnpreparedError):
        room.prepare(room.run({"data": (LINK, os.fsencode(elsewhere))}, outputs=(wrote("data/out.txt", "x"),)))
    assert (elsewhere / "out.txt").read_text() == "precious"


@pytest.mark.parametrize("path", ["../out.txt", "a/../../out.txt", "."])
def test_a_path_that_leads_out_of_the_project_is_refused(room: Room, path: str) -> None:
    room.objects.put(b"content")
    with pytest.raises(UnpreparedError, match="leads out of the project"):
        room.prepare(room.run(), Supply(use=read(path, "content"), source="kept"))


def test_a_file_outside_the_project_stays_where_it_is(room: Room) -> None:
    outside = room.top / "shared.csv"
    outside.write_text("content")
    supply = Supply(use=read(str(outside), "content"), source="disk", place=str(outside))
    prepared = room.prepare(room.run(command=("cat", str(outside))), supply)
    assert [move.old for move in prepared.moves] == [str(room.root)]


def test_a_file_outside_the_project_that_is_gone_is_given_where_the_command_can_be_led_to(room: Room) -> None:
    room.objects.put(b"content")
    supply = Supply(use=read("/far/away.csv", "content"), source="kept")
    prepared = room.prepare(room.run(command=("cat", "--in=/far/away.csv")), supply)
    place = prepared.relocated("--in=/far/away.csv").removeprefix("--in=")
    assert place == os.path.join(prepared.layout.top, "outside/far/away.csv")
    assert Path(place).read_text() == "content"
    with pytest.raises(UnpreparedError, match="is not what it was"):
        room.prepare(room.run(command=("cat",)), supply, layout=Layout(str(room.top / "work/2"), str(room.root)))


def test_a_file_outside_that_was_a_standard_stream_begins_in_the_workspace_as_it_did(room: Room) -> None:
    room.objects.put(b"first line\n")
    supply = Supply(use=read("/far/log", "first line\n", access="append"), source="kept", needed=False)
    prepared = room.prepare(room.run(), supply, known=Raw(inherited={1: Inherited("/far/log", True)}))
    assert Path(prepared.layout.place("/far/log")).read_text() == "first line\n"


def test_an_output_outside_the_project_is_led_into_the_workspace(room: Room) -> None:
    prepared = room.prepare(room.run(command=("sort", "-o", "/far/out.csv"), outputs=(wrote("/far/out.csv", "x"),)))
    assert Move("/far/out.csv", prepared.layout.place("/far/out.csv")) in prepared.moves
    assert os.path.isdir(os.path.dirname(prepared.layout.place("/far/out.csv")))


def test_paths_are_led_elsewhere_only_where_the_workspace_is_not_seen_at_the_old_root(room: Room) -> None:
    assert room.prepare(room.run()).relocated(f"{room.root}/in") == os.path.join(room.layout().project, "in")
    bound = Layout(str(room.top / "work/2"), str(room.root), bound=True)
    assert room.prepare(room.run(), layout=bound).relocated(f"{room.root}/in") == f"{room.root}/in"


def test_a_link_among_the_inputs_is_made_anew(room: Room) -> None:
    supplies = (Supply(use=read("now.csv", None, link="raw.csv", access="link"), source="link"),)
    project = room.prepare(room.run(), *supplies).layout.project
    assert os.readlink(os.path.join(project, "now.csv")) == "raw.csv"


def test_code_is_older_than_inputs_so_that_make_takes_them_as_they_are(room: Room) -> None:
    room.objects.put(b"content")
    supply = Supply(use=read("mid.o", "content"), source="kept")
    project = room.prepare(room.run({"mid.c": (FILE, b"")}), supply).layout.project
    assert os.stat(os.path.join(project, "mid.c")).st_mtime < os.stat(os.path.join(project, "mid.o")).st_mtime


def test_a_damaged_object_is_not_used(room: Room) -> None:
    path = room.objects.path(room.objects.put(b"content"))
    assert path is not None
    os.chmod(path, 0o644)
    Path(path).write_bytes(b"cOntent")
    with pytest.raises(UnpreparedError, match="no longer has the content"):
        room.prepare(room.run(), Supply(use=read("in.csv", "content"), source="kept"))


def test_a_private_home_shows_the_users_and_keeps_folders_of_its_own(tmp_path: Path) -> None:
    user, home = tmp_path / "user", tmp_path / "home"
    for path in (".config/tool/settings", ".cache/models/big", ".local/lib/x", "notes.txt", ".cache/vestige/index"):
        (user / path).parent.mkdir(parents=True, exist_ok=True)
        (user / path).write_text(path)
    workspace.furnish_home(str(home), str(user), str(user / ".cache"))
    assert (home / ".config/tool/settings").read_text() == ".config/tool/settings"
    assert (home / ".cache/models").is_symlink()
    assert not (home / ".cache").is_symlink()
    assert not (home / ".cache/vestige").exists()
    (home / ".cache/new").write_text("x")
    assert not (user / ".cache/new").exists()


def test_a_workspace_is_removed_whatever_modes_its_folders_have_and_what_it_links_to_is_not(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    mode = stat.S_IMODE(precious.stat().st_mode)
    top = tmp_path / "work"
    (top / "locked/deep").mkdir(parents=True)
    (top / "locked/deep/file").write_text("x")
    (top / "locked/link").symlink_to(precious)
    (top / "locked/deep").chmod(0)
    (top / "locked").chmod(0o500)
    workspace.remove(str(top))
    assert not top.exists()
    assert (precious / "file").read_text() == "x"
    assert stat.S_IMODE(precious.stat().st_mode) == mode


def test_what_names_a_place_is_found(room: Room) -> None:
    place = str(room.root)
    cases: list[tuple[dict[str, Any], str | None]] = [
        ({}, None),
        ({"command": ("cat", f"{place}/x")}, "its command"),
        ({"variables": {"DATA": f"{place}/data"}}, "DATA"),
        ({"variables": {"PWD": place}}, None),
        ({"files": {"a/b.sh": (FILE, os.fsencode(f"cat {place}/x"))}}, "a/b.sh"),
        ({"files": {"link": (LINK, os.fsencode(f"{place}/x"))}}, "link"),
    ]
    for number, (change, expected) in enumerate(cases):
        one = room.run(change.pop("files", None), **change)
        layout = Layout(str(room.top / "work" / str(number)), place)
        room.prepare(one, layout=layout)
        assert workspace.names_place(Step(run=one), place, layout) == expected


def test_git_sees_no_repository_above_a_workspace(room: Room) -> None:
    project = room.prepare(room.run()).layout.project
    subprocess.run(["git", "init", "-q", str(room.top)], check=True)
    environ = os.environ | {"GIT_CEILING_DIRECTORIES": os.path.dirname(project)}
    done = subprocess.run(["git", "-C", project, "status"], env=environ, capture_output=True, check=False)
    assert done.returncode != 0
