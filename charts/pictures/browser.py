"""Takes a picture of an HTML page with headless Chromium."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--disable-lcd-text",  # coloured edges of letters make a PNG twice as large
)
PATIENCE = 60  # seconds for one picture
MIN_HEIGHT = 180  # CSS pixels: of a lower window, Chromium leaves the lower part empty
NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_installed_chromium() -> str:
    """Returns the path of Chromium, or an empty text if Chromium is not installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), "")


def find_chromium() -> str:
    """Returns the path of Chromium; exits if there is none."""
    return find_installed_chromium() or sys.exit("Drawing needs Chromium. On Debian: apt-get install chromium")


def shoot(chromium: str, text: str, picture: Path, width: int, height: int, *, scale: float = 1.0) -> None:
    """Writes a PNG of the page `text`. `width`, `height`: of the window in CSS pixels; `scale`: pixels for each."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch, "page.html")
        source.write_text(text)
        subprocess.run(  # noqa: S603 - a browser found on the path, on a page of ours
            [
                chromium,
                *FLAGS,
                f"--force-device-scale-factor={scale}",
                f"--user-data-dir={scratch}/profile",
                f"--window-size={width},{max(height, MIN_HEIGHT)}",
                f"--screenshot={picture}",
                source.as_uri(),
            ],
            check=True,
            capture_output=True,
            timeout=PATIENCE,
        )
