from pathlib import Path

print("fitted")
Path("out.csv").write_text("written by a command, and long enough\n")
raise SystemExit(3)
