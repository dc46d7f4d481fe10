"""Which file systems lie in memory."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from vestige.capture import mounts

TABLE = """\
22 27 0:20 / /proc rw,nosuid - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 27 0:26 / /dev/shm rw,nosuid,nodev shared:4 - tmpfs tmpfs rw
31 27 0:27 / /a\\040b - tmpfs
torn
"""


def test_devices_are_told_by_the_kind_of_their_file_system(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(TABLE.replace("tmpfs\ntorn\n", "tmpfs tmpfs rw\n"))
    assert mounts.in_memory(str(table)) == {os.makedev(0, 26), os.makedev(0, 27)}
    assert mounts.in_memory(str(tmp_path / "nothing")) == frozenset()


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux")
def test_shared_memory_lies_in_memory() -> None:
    assert os.stat("/dev/shm").st_dev in mounts.in_memory()
