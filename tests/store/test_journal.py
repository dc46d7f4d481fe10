from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.store.samples import digest, run_id
from vestige.errors import DamagedError, NotFoundError
from vestige.model.files import Signature
from vestige.store import journal
from vestige.store.journal import Active, Digested, Ended


def process(pid: int) -> list[int]:
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return [pid, int(fields[19])]


@pytest.fixture
def active(tmp_path: Path) -> Active:
    folder = tmp_path / "active" / run_id(1)
    folder.mkdir(parents=True)
    return Active(str(folder))


def start(active: Active, **more: Any) -> None:
    document = {
        "vestige": 1,
        "id": active.id,
        "host": os.uname().nodename,
        "boot": journal.boot(),
        "processes_of_vestige": {"launcher": process(os.getpid())},
    }
    Path(active.path, "started.json").write_text(json.dumps(document | more))


def age(active: Active, seconds: float) -> None:
    when = time.time() - seconds
    for name in ["", *os.listdir(active.path)]:
        os.utime(os.path.join(active.path, name), (when, when))


def test_a_run_whose_process_lives_is_running(active: Active) -> None:
    start(active)
    assert journal.state(active) == "running"


def test_any_living_process_of_vestige_will_do(active: Active) -> None:
    start(active, processes_of_vestige={"launcher": [2**22 - 1, 5], "watcher": process(os.getpid())})
    assert journal.state(active) == "running"


def test_a_run_whose_processes_have_ended_is_lost(active: Active) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    start(active, processes_of_vestige={"launcher": process(child.pid)})
    assert journal.state(active) == "running"
    child.kill()
    while Path(f"/proc/{child.pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z":
        time.sleep(0.01)
    assert journal.state(active) == "lost"
    child.communicate()
    assert journal.state(active) == "lost"


def test_another_process_with_the_same_number_is_not_the_run(active: Active) -> None:
    pid, since = process(os.getpid())
    start(active, processes_of_vestige={"launcher": [pid, since + 1]})
    assert journal.state(active) == "lost"


def test_a_run_of_an_earlier_boot_of_this_host_is_lost(active: Active) -> None:
    start(active, boot="another")
    age(active, 10 * 365 * 86400)
    assert journal.state(active) == "lost"


def test_a_run_of_another_host_lives_as_long_as_its_heart_beats(active: Active) -> None:
    start(active, host="elsewhere", processes_of_vestige={"launcher": [1, 1]})
    age(active, 500)
    assert journal.state(active) == "running"
    age(active, 700)
    assert journal.state(active) == "lost"
    Path(active.path, "heartbeat").touch()
    assert journal.state(active) == "running"


def test_a_run_in_a_container_of_the_same_host_is_judged_by_its_heartbeat(active: Active) -> None:
    start(active, host="container", boot=journal.boot(), processes_of_vestige={"launcher": [2**22 - 1, 1]})
    assert journal.state(active) == "running"


def test_a_run_whose_command_has_ended_is_finishing(active: Active) -> None:
    start(active)
    Path(active.path, "ended.json").write_text('{"status": 256, "time": "t", "seq": 9, "max_rss": 7, "cpu_seconds": 0.5}')
    assert journal.state(active) == "finishing"
    assert journal.is_alive(active)
    assert active.ended() == Ended(256, "t", 9, 0.5, 7)


def test_a_run_that_has_ended_and_nobody_finishes_can_be_told(active: Active) -> None:
    start(active, processes_of_vestige={})
    Path(active.path, "ended.json").write_text('{"status": 0, "time": "t", "seq": 9}')
    assert journal.state(active) == "finishing"
    assert not journal.is_alive(active)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"status": null}', '{"status": 0}'])
def test_a_torn_end_is_no_end(active: Active, content: str) -> None:
    start(active)
    Path(active.path, "ended.json").write_text(content)
    assert active.ended() is None
    assert journal.state(active) == "running"


def test_a_folder_without_a_record_is_a_run_for_a_minute(active: Active) -> None:
    assert journal.state(active) == "running"
    age(active, 100)
    assert journal.state(active) == "lost"
    with pytest.raises(NotFoundError):
        active.started()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": 5}'])
def test_a_damaged_started_record_is_lost_and_says_so(active: Active, content: str) -> None:
    Path(active.path, "started.json").write_text(content)
    assert journal.state(active) == "lost"
    with pytest.raises(DamagedError, match=r"started\.json"):
        active.started()


@pytest.mark.parametrize("processes", [None, [], {"a": None}, {"a": [1]}, {"a": ["x", 1]}, {"a": [-1, 0]}, {"a": [0, 0]}])
def test_strange_processes_are_no_processes(active: Active, processes: object) -> None:
    start(active, processes_of_vestige=processes)
    age(active, 1000)
    assert journal.state(active) == "lost"


def test_digests_are_read_and_damaged_lines_passed_over(active: Active) -> None:
    lines = [
        json.dumps(["/a b", [1, 2, 3, 4, 5], digest("x"), 1]),
        "[",
        '["/x", null, null, 0]',
        json.dumps(["%/caf%E9", [1, 2, 3, 4, 5], None, 0]),
        '["/torn", [1,2,3,4,5], null, 0]',
    ]
    Path(active.path, "digests.jsonl").write_text("\n".join(lines))
    signature = Signature(1, 2, 3, 4, 5)
    assert list(active.digests()) == [
        Digested("/a b", signature, digest("x"), kept=True),
        Digested(os.fsdecode(b"/caf\xe9"), signature, None, kept=False),
    ]


def test_events_are_lines_without_a_torn_end(active: Active) -> None:
    assert list(active.events()) == []
    Path(active.path, "events.jsonl").write_bytes(b'["v",1]\n\xff\n["r",2')
    assert list(active.events()) == [b'["v",1]\n', b"\xff\n"]


def test_active_runs_are_listed_in_order(active: Active, tmp_path: Path) -> None:
    (tmp_path / "active" / run_id(0)).mkdir()
    (tmp_path / "active" / ".hidden").mkdir()
    (tmp_path / "active" / "file").touch()
    assert [one.id for one in journal.list_active(str(tmp_path))] == [run_id(0), run_id(1)]
    assert journal.list_active(str(tmp_path / "none")) == []
