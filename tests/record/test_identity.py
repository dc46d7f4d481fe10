"""Who, where and when."""

from __future__ import annotations

import os
import re
import uuid
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from vestige.record import identity


def test_ids_are_uuids_of_version_7_and_sorted_by_time() -> None:
    ids = [identity.new_id() for _ in range(200)]
    assert len(set(ids)) == 200
    assert all(uuid.UUID(one).version == 7 and uuid.UUID(one).variant == uuid.RFC_4122 for one in ids)
    assert [one[:13] for one in ids] == sorted(one[:13] for one in ids)


def test_the_last_eight_digits_are_random() -> None:
    assert len({identity.new_id()[-8:] for _ in range(1000)}) == 1000


@given(st.floats(min_value=0, max_value=4e9))
def test_timestamps_are_what_the_library_would_write(seconds: float) -> None:
    micro = round(seconds * 1_000_000)
    expected = datetime.fromtimestamp(micro // 1_000_000, UTC).replace(microsecond=micro % 1_000_000)
    assert identity.timestamp(seconds) == expected.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_a_process_is_told_from_a_later_one_of_its_number() -> None:
    pid, start = identity.process(os.getpid())
    assert pid == os.getpid()
    assert start > 0
    assert identity.process(2**30) == [2**30, 0]


def test_the_boot_has_a_name_and_the_sequence_goes_up() -> None:
    assert re.fullmatch(r"[0-9a-f-]{36}", identity.boot() or "")
    assert identity.sequence() <= identity.sequence()
