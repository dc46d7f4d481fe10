"""What a step can change behind its walls, tried by real programs: by either way alone, by both, as root and not."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from vestige.reproduce import landlock, namespace
from vestige.reproduce.confine import SHARED_MEMORY, Bind, Walls, Ways, enter, ways

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Landlock and namespaces are Linux's")

LANDLOCK = Ways(landlock=landlock.version())
VIEW = Ways(view=True)
BOTH = Ways(landlock=landlock.version(), view=True)
EVERY = pytest.mark.parametrize("which", [LANDLOCK, VIEW, BOTH], ids=["landlock", "view", "both"])
_NOBODY = 65534


class Scene:
    """A project with one output, a workspace, and a user; open to everybody, so that the user may be anybody."""

    def __init__(self, top: str, user: int) -> None:
        self.top, self.user = top, user
        self.project, self.workspace = f"{top}/project", f"{top}/workspace"
        for folder in (self.project, f"{self.project}/data", self.workspace, f"{top}/else"):
            os.mkdir(folder)
        self.original = f"{self.project}/data/out.txt"
        Path(self.original).write_text("original\n")
        self.before = self.look()

    def belongs(self) -> None:
        for folder, _, names in os.walk(self.top):
            for path in (folder, *(os.path.join(folder, name) for name in names)):
                os.chown(path, self.user, self.user)
        self.before = self.look()

    def look(self) -> list[tuple[str, int, int, bytes]]:
        found = []
        for folder, folders, names in os.walk(self.project):
            for name in sorted((*folders, *names)):
                path = os.path.join(folder, name)
                status = os.stat(path)
                content = Path(path).read_bytes() if name in names else b""
                found.append((path, status.st_mode, status.st_size, content))
        return found

    def run(self, script: str, which: Ways, *, bound: bool = False) -> tuple[int, str]:
        """A shell script behind walls, in the workspace; with `bound`, the workspace is seen where the project was."""
        where = self.project if bound else self.workspace
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.dup2(write, 1)
                os.dup2(write, 2)
                if os.geteuid() == 0 and self.user:
                    os.setgroups([])
                    os.setresgid(self.user, self.user, self.user)
                    os.setresuid(self.user, self.user, self.user)
                os.chdir(self.workspace)
                if which.view:
                    enter([Bind(self.workspace, self.project)] if bound else [])
                os.chdir(where)
                Walls([where], which)()
                os.execv("/bin/sh", ["sh", "-c", script])
            except BaseException as error:
                os.write(2, f"{error!r}".encode())
            finally:
                os._exit(99)
        os.close(write)
        with open(read, "rb") as pipe:
            said = pipe.read().decode("utf-8", "replace")
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


@pytest.fixture(params=[os.geteuid(), _NOBODY] if os.geteuid() == 0 else [os.geteuid()], ids=lambda user: f"uid {user}")
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    top = tempfile.mkdtemp(prefix="vestige-walls-")
    try:
        made = Scene(top, request.param)
        if os.geteuid() == 0 and request.param:
            os.chmod(top, 0o755)
            made.belongs()
        yield made
    finally:
        shutil.rmtree(top)


@EVERY
def test_a_script_that_opens_the_original_by_its_absolute_path_leaves_it_untouched(scene: Scene, which: Ways) -> None:
    code, said = scene.run(f"echo changed > '{scene.original}'", which)
    assert code != 0, said
    assert scene.look() == scene.before


@EVERY
def test_a_relative_path_is_written_as_ever(scene: Scene, which: Ways) -> None:
    code, said = scene.run("mkdir -p a/b && echo new > a/b/c && mv a/b/c a/d && cat a/d && rm -r a && echo kept > e", which)
    assert (code, said) == (0, "new\n")
    assert Path(scene.workspace, "e").read_text() == "kept\n"


@EVERY
@pytest.mark.parametrize(
    "attack",
    [
        "rm -f {original}",
        "mv {original} taken",
        "mv {original} {original}.old",
        "echo new > new && mv new {original}",
        "ln {original} linked && echo changed > linked",
        "ln -s {original} linked && echo changed > linked",
        ": > {original}",
        "echo more >> {original}",
        "echo more 1<> {original}",
        "truncate -s 3 {original}",
        "mkdir {project}/made",
        "rmdir {top}/else && mkdir {project}/gone",
        "ln -s {original} {project}/data/link",
        "mkfifo {project}/data/fifo",
        "cp /bin/sh {project}/data/program",
        "echo changed > ../project/data/out.txt",
        "cd / && echo changed > {original}",
        "echo changed > /proc/self/root{original}",
        "dd if=/dev/zero of={original} bs=1 count=4 conv=notrunc",
    ],
)
def test_no_way_of_changing_a_file_reaches_outside(scene: Scene, which: Ways, attack: str) -> None:
    scene.run(attack.format(original=scene.original, project=scene.project, top=scene.top), which)
    assert scene.look() == scene.before
    assert os.listdir(f"{scene.top}/else") == []


def test_the_same_attacks_succeed_without_walls(scene: Scene) -> None:
    scene.run(f"echo changed > '{scene.original}'", Ways())
    assert Path(scene.original).read_text() == "changed\n"


@pytest.mark.parametrize("which", [VIEW, BOTH], ids=["view", "both"])
def test_with_a_view_an_absolute_path_leads_into_the_workspace(scene: Scene, which: Ways) -> None:
    os.mkdir(f"{scene.workspace}/data", 0o777)
    os.chmod(f"{scene.workspace}/data", 0o777)
    script = f"echo changed > '{scene.original}' && cat '{scene.original}' && pwd && ls {scene.project}/data"
    code, said = scene.run(script, which, bound=True)
    assert (code, said) == (0, f"changed\n{scene.project}\nout.txt\n")
    assert scene.look() == scene.before
    assert Path(scene.workspace, "data/out.txt").read_text() == "changed\n"


@pytest.mark.parametrize("which", [VIEW, BOTH], ids=["view", "both"])
def test_with_a_view_modes_and_times_outside_stay_too(scene: Scene, which: Ways) -> None:
    for attack in ("chmod 600", "touch -d 2001-01-01"):
        code, said = scene.run(f"{attack} {scene.original}", which)
        assert code != 0, said
    assert scene.look() == scene.before
    assert os.stat(scene.original).st_mtime > 1_000_000_000


@EVERY
def test_devices_that_change_nothing_can_be_written(scene: Scene, which: Ways) -> None:
    code, said = scene.run("echo a > /dev/null && echo b 1<> /dev/null && head -c 2 /dev/zero | wc -c", which)
    assert (code, said.strip()) == (0, "2")


@EVERY
def test_what_a_step_starts_is_behind_the_same_walls(scene: Scene, which: Ways) -> None:
    code, _ = scene.run(f"(sh -c '(echo changed > {scene.original}) & wait $!')", which)
    assert code != 0
    assert scene.look() == scene.before


@EVERY
def test_the_ids_of_a_step_are_the_users(scene: Scene, which: Ways) -> None:
    code, said = scene.run("id -u && echo $PPID > mine", which)
    assert (code, said) == (0, f"{scene.user}\n")
    assert os.stat(f"{scene.workspace}/mine").st_uid == scene.user


@pytest.mark.parametrize("which", [VIEW, BOTH], ids=["view", "both"])
def test_a_view_cannot_be_undone_from_inside(scene: Scene, which: Ways) -> None:
    code, said = scene.run(f"umount {scene.project}; mount -o remount,rw,bind {scene.top}; echo x > {scene.original}", which)
    assert code != 0 or scene.look() == scene.before, said
    assert scene.look() == scene.before


def test_a_view_gives_no_right_over_permissions(scene: Scene) -> None:
    if not scene.user:
        return  # root may pass over permissions anywhere
    os.chmod(scene.workspace, 0o777)
    locked = os.path.join(scene.workspace, "locked")
    os.mkdir(locked, 0o555)
    os.chown(locked, scene.user, -1)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(scene.user, scene.user, scene.user)
                os.setresuid(scene.user, scene.user, scene.user)
            os.chdir(scene.workspace)
            enter([])
            try:
                Path(locked, "new").write_text("x")
            except PermissionError:
                status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def test_something_bound_read_only_stays_so_inside_a_folder_that_may_be_changed(scene: Scene) -> None:
    for which in (VIEW, BOTH):
        os.makedirs(f"{scene.workspace}/data", exist_ok=True)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                enter(
                    [Bind(scene.workspace, scene.project), Bind(f"{scene.project}/data", f"{scene.project}/data", read_only=True)]
                )
                os.chdir(scene.project)
                Walls([scene.project], which)()
                assert Path(scene.original).read_text() == "original\n"
                try:
                    Path(scene.original).write_text("changed\n")
                except OSError:
                    Path(scene.project, "beside").write_text("fine\n")
                    status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert scene.look() == scene.before
        assert Path(scene.workspace, "beside").read_text() == "fine\n"


def _use_a_lock(folder: str) -> None:
    with multiprocessing.get_context("fork").Lock():
        Path(folder, "locked").write_text("yes")


def test_locks_between_processes_work_in_private_shared_memory(tmp_path: Path) -> None:
    workspace, memory = tmp_path / "workspace", tmp_path / "memory"
    workspace.mkdir()
    memory.mkdir()
    before = sorted(os.listdir(SHARED_MEMORY))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            enter([Bind(str(memory), SHARED_MEMORY)])
            os.chdir(workspace)
            Walls([str(workspace), SHARED_MEMORY], BOTH)()
            Path(SHARED_MEMORY, "vestige-test").write_text("mine")
            _use_a_lock(str(workspace))
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert sorted(os.listdir(SHARED_MEMORY)) == before
    assert (memory / "vestige-test").read_text() == "mine"
    assert (workspace / "locked").exists()


def test_what_is_offered_here_is_found_out(tmp_path: Path) -> None:
    found = ways(str(tmp_path))
    assert found.landlock == landlock.version() >= 0
    assert found.view == namespace.works(str(tmp_path))
    assert found.walls == (found.view or found.landlock >= landlock.SUFFICIENT)


def test_walls_that_cannot_be_closed_keep_the_step_from_running(scene: Scene) -> None:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            Walls([f"{scene.top}/absent"], VIEW)()
        except OSError:
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def test_walls_load_nothing_that_a_start_would_feel() -> None:
    loaded, bare = (
        set(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split())
        for script in (
            "import sys, vestige.reproduce.confine; print(*sorted(sys.modules))",
            "import sys; print(*sorted(sys.modules))",
        )
    )
    assert {name for name in loaded - bare if not name.startswith("vestige")} <= {"__future__", "errno"}
