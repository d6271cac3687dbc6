"""Where the repository's files are, so that a test can move to another folder."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden"
CAPTURES = ROOT / "tests/captures"
RECORDED = ROOT / "tests/captures/inspections"
