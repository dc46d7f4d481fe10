"""`vestige skill` teaches what works: every command in it is tried."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from vestige.report.skill import TEXT

VESTIGE = str(Path(sys.executable).parent / "vestige")
PREPARE = """
git init -q . && mkdir -p figures data .skills/vestige
printf 'b\\na\\n' > data.txt; printf '1\\n' > data/raw.csv
cat > train.py <<'end'
import vestige
vestige.log(accuracy=0.95)
open("figures/roc.png", "w").write(open("data/raw.csv").read())
end
printf 'figures:\\n\\tcp data/raw.csv figures/roc.png\\n.PHONY: figures\\n' > Makefile
printf 'old' > FILE
"""


def commands() -> list[str]:
    """The lines that a shell would be given, what is explained behind them left out."""
    found = [line.strip().partition("  #")[0].rstrip() for line in TEXT.splitlines() if line.startswith("    vestige ")]
    return [line for line in found if not line.startswith(("vestige.", "vestige restore"))]


@pytest.mark.skipif(sys.platform != "linux", reason="observing is Linux's")
def test_every_command_of_the_skill_does_what_it_says(tmp_path: Path) -> None:
    def shell(text: str) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        return subprocess.run(
            ["sh", "-c", f"PATH={shlex.quote(path)}; {text}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

    assert shell(PREPARE).returncode == 0
    tried = commands()
    assert len(tried) == 10
    for line in tried:
        filled = re.sub(r"\bRUN1?\b", "last", line).replace("RUN2", "last~1")
        done = shell(filled)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
    assert "data/raw.csv" in shell("vestige trace figures/roc.png").stdout
    assert "0.95" in shell("vestige log --where 'accuracy > 0.9' --columns id,name,accuracy").stdout


def test_it_is_printed() -> None:
    done = subprocess.run([VESTIGE, "skill"], capture_output=True, text=True, check=True)
    assert done.stdout == TEXT
