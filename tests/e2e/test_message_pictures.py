"""Messages in a window as narrow as a phone's, drawn by Chromium: what a person reads without scrolling."""

from __future__ import annotations

import html
import json
import re
import subprocess

from charts.pictures.browser import FLAGS, find_chromium
from tests.helpers.paths import GOLDEN, ROOT
from tests.helpers.requirements import need

PHONE = 390  # CSS pixels
MEASURE = """<script>
const cells = [...document.querySelectorAll("tr")].map(row => [...row.children].slice(0, 2).map(cell => {
  const range = document.createRange(); range.selectNodeContents(cell);
  const text = range.getBoundingClientRect(), line = parseFloat(getComputedStyle(cell).lineHeight);
  return {text: cell.innerText, right: cell.getBoundingClientRect().right, lines: Math.round(text.height / line)};
}));
document.body.setAttribute("data-cells", JSON.stringify(cells));
</script>"""


def test_the_names_and_states_of_ps_are_readable_at_390_pixels(tmp_path, monkeypatch):
    need("chromium", *([] if find_chromium() else ["chromium"]))
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "pictures"))
    import draw  # a script

    blocks = json.loads((GOLDEN / "slack" / "ps-12.data_table.json").read_text())["blocks"]
    page = tmp_path / "page.html"
    page.write_text(draw.page([blocks]) + MEASURE)
    window = (f"--user-data-dir={tmp_path}/profile", f"--window-size={PHONE},800")
    shown = subprocess.run(
        [find_chromium(), *FLAGS, *window, "--dump-dom", page.as_uri()],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    rows = json.loads(html.unescape(re.search(r'data-cells="([^"]*)"', shown)[1]))
    assert [cell["text"] for cell in rows[0]] == ["NAME", "STATUS"]
    assert len(rows) == 10
    for name, status in rows:
        assert status["right"] <= PHONE, (name, status)
        assert status["lines"] == 1, (name, status)
