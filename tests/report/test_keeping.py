"""What `check`, `gc` and `doctor` found."""

from __future__ import annotations

from vestige.ops.check import Checked
from vestige.ops.doctor import Diagnosis, Finding
from vestige.ops.gc import Collected, Dropped
from vestige.report import doctor, keeping
from vestige.report.style import PLAIN, Style
from vestige.store.interface import Damaged


def test_damage_is_one_line_each() -> None:
    checked = Checked(2, 3, 1, (Damaged("runs/a b.json", "is not\nJSON"),))
    assert list(keeping.damage(checked, PLAIN)) == ["damaged 'runs/a b.json': is not\\nJSON"]
    assert keeping.verdict(checked, PLAIN) == "2 records, 3 objects, 1 snapshot of code: 1 damaged"


def test_a_sound_store_is_called_sound() -> None:
    assert keeping.verdict(Checked(1, 0, 0, ()), PLAIN) == "sound: 1 record, 0 objects, 0 snapshots of code"


def test_what_was_dropped_is_named() -> None:
    dropped = (
        Dropped("blake3:" + "a" * 64, 2048, "can be made again", "out.csv"),
        Dropped("blake3:" + "b" * 64, 1, "nothing refers to it"),
    )
    collected = Collected(dropped, 1024, 5, 1)
    assert list(keeping.dropped(collected, PLAIN, dry_run=True)) == [
        "would drop out.csv (2 KiB): can be made again",
        "would drop bbbbbbbbbbbb (1 B): nothing refers to it",
        "1 damaged record: what they may refer to was left alone; vestige check names them",
    ]
    assert keeping.sum_of(collected, dry_run=False) == "freed 3 KiB; 5 B of kept data left; no record was touched"


DIAGNOSIS = Diagnosis(
    (
        ("Observing", (Finding("notify", "missing", "not available: " + "because " * 20, "do this"),)),
        ("Store", (Finding("objects", "good", "kept files", size=2048),)),
    )
)


def test_the_doctor_speaks_to_people() -> None:
    text = list(doctor.page(DIAGNOSIS, Style(width=80)))
    assert text[0] == "Observing"
    assert text[1].startswith("  ✗ notify           not available: because")
    assert all(len(line) <= 80 for line in text)
    assert text[-1] == "  ✓ objects          kept files, 2 KiB"


def test_the_doctor_speaks_to_programs() -> None:
    assert list(doctor.lines(DIAGNOSIS))[1] == "store\tobjects\tgood\tkept files\t2048"
