"""Draws messages of Slack and lines of a terminal into PNG files, with Chromium. `record.py` calls it.

It draws the blocks that a bot sent and the text that a terminal showed. The frame around them imitates Slack's looks;
Slack's own rendering may differ.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from charts.pictures.browser import FLAGS, PATIENCE, shoot

PHONE = 390  # CSS pixels
# Picture → its width in CSS pixels. The height is that of what is drawn.
WIDTHS = {
    "incident": PHONE,
    "incident-resolved": PHONE,
    "card": PHONE,
    "storm": PHONE,
    "ps-phone": PHONE,
    "ps": 880,
    "question": 720,
    "restart": 720,
    "logs": 720,
}
# Picture → a second one with its lower half, because a page shows them beside each other.
SPLIT = {"incident": "incident-thread"}
SCREEN_WIDTH = 668
SCALE = 1.5
MEASURE = """<script>
const bottoms = [...document.querySelectorAll(".part")].map(part => Math.ceil(part.getBoundingClientRect().bottom));
document.body.setAttribute("data-bottoms", JSON.stringify([...bottoms, Math.ceil(document.body.scrollHeight)]));
</script>"""
CHART_WIDTH, CHART_HEIGHT, COLOURS = 300, 70, ("#1264a3", "#cc2936", "#2b8a3e", "#e8a317")
CIRCLES = {"🔴": "#cc2936", "🟡": "#e8a317", "🟢": "#2b8a3e"}
SIGNS = {":white_check_mark:": ("good", "✓"), ":warning:": ("warn", "!"), ":x:": ("bad", "✕")}
STYLE = """
body { margin: 0; background: #fff; color: #1d1c1d; font: 15px/22px "Liberation Sans", "Helvetica Neue", sans-serif; }
.message { display: flex; gap: 10px; padding: 14px 18px; }
.face { width: 36px; height: 36px; border-radius: 8px; background: #16425b; color: #fff; flex: none; font-weight: bold;
  text-align: center; line-height: 36px; font-size: 18px; }
.blocks { flex: 1; min-width: 0; }
.name { font-weight: bold; } .app { background: #e8e8e8; color: #616061; font: bold 10px/14px sans-serif;
  padding: 1px 4px; border-radius: 2px; margin: 0 6px; vertical-align: 2px; } .time { color: #616061; font-size: 12px; }
.context { color: #616061; font-size: 13px; line-height: 18px; margin: 4px 0; }
.section { margin: 4px 0; white-space: pre-wrap; }
code { background: #f6f6f6; border: 1px solid #ddd; border-radius: 3px; color: #c01343; font: 12px monospace;
  padding: 1px 3px; }
pre { background: #f8f8f8; border: 1px solid #ddd; border-radius: 4px; padding: 8px; margin: 4px 0; overflow: hidden;
  font: 12px/18px "DejaVu Sans Mono", monospace; }
table { border-collapse: separate; border-spacing: 0; border: 1px solid #ddd; border-radius: 8px; margin: 6px 0 0;
  font-size: 13px; line-height: 18px; }
th, td { text-align: left; padding: 6px 10px; border-bottom: 1px solid #e8e8e8; vertical-align: top; }
td:first-child { white-space: nowrap; }
tr:last-child td { border-bottom: 0; } th { background: #f8f8f8; } .number { text-align: right; }
.caption { color: #616061; font-size: 12px; }
.button { display: inline-block; border: 1px solid #bbb; border-radius: 4px; padding: 3px 12px; margin: 6px 8px 0 0;
  font-weight: bold; font-size: 13px; } .danger { background: #e01e5a; border-color: #e01e5a; color: #fff; }
.sign { display: inline-block; width: 17px; height: 17px; line-height: 17px; border-radius: 4px; color: #fff;
  text-align: center; font-size: 12px; font-weight: bold; vertical-align: 1px; }
.replies { color: #616061; font-size: 13px; display: flex; align-items: center; gap: 8px; padding: 0 18px; }
.replies::after { content: ""; flex: 1; border-top: 1px solid #ddd; }
.chart { border: 1px solid #ddd; border-radius: 8px; padding: 8px 10px; margin: 6px 0; font-size: 13px; }
.chart svg { display: block; margin: 6px 0 2px; border-bottom: 1px solid #ddd; }
.chart .caption { display: flex; justify-content: space-between; }
.scroll { overflow-x: auto; } .circle { display: inline-block; width: 11px; height: 11px; border-radius: 6px; }
.screen { background: #1b1d21; color: #d8dadf; font: 13px/19px "DejaVu Sans Mono", monospace; margin: 0; padding: 14px;
  white-space: pre-wrap; width: 80ch; }
.a1 { font-weight: bold; color: #fff; } .a2 { color: #8b9099; } .a31 { color: #ff6b6b; }
.a32 { color: #51cf66; } .a33 { color: #fcc419; }
.good { background: #2b8a3e; } .warn { background: #e8a317; } .bad { background: #cc2936; }
"""


def draw_messages(chromium: str, name: str, messages: Sequence[Mapping[str, Any]], folder: Path) -> Sequence[str]:
    """Draws a message, or the first of a thread and its entries. Returns the names of the pictures."""
    shown = [(each["blocks"], float(each["ts"])) for each in messages]
    width = WIDTHS[name]
    *bottoms, height = _bottoms(chromium, _page(shown), width)
    if name not in SPLIT:
        shoot(chromium, _page(shown), folder / f"{name}.png", width, height, scale=SCALE)
        return [f"{name}.png"]
    middle = min(bottoms, key=lambda bottom: abs(bottom - height / 2))
    shoot(chromium, _page(shown), folder / f"{name}.png", width, middle, scale=SCALE)
    rest = folder / f"{SPLIT[name]}.png"
    shoot(chromium, _page(shown, above=middle), rest, width, height - middle, scale=SCALE)
    return [f"{name}.png", rest.name]


def draw_screen(chromium: str, lines: Sequence[str], picture: Path) -> None:
    """Draws lines of a terminal with their ANSI colours."""
    text = screen("\n".join(lines))
    shoot(chromium, text, picture, SCREEN_WIDTH, _bottoms(chromium, text, SCREEN_WIDTH)[-1], scale=SCALE)


def screen(text: str) -> str:
    """The lines of a terminal as a page."""
    parts, classes = [], set[str]()
    for at, piece in enumerate(re.split(r"\x1b\[([0-9;]*)m", text)):
        if at % 2 == 0:
            parts.append(f'<span class="{" ".join(sorted(classes))}">{html.escape(piece)}</span>' if piece else "")
            continue
        for code in map(int, (piece or "0").split(";")):
            if code in (0, 22):
                classes -= {"a1", "a2"} if code else set(classes)
            elif code == 39:
                classes = {each for each in classes if not each.startswith("a3")}
            else:
                classes.add(f"a{code}")
    return f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style><pre class="screen">{"".join(parts)}</pre>'


def page(messages: list[list[dict[str, Any]]]) -> str:
    """Messages of these blocks, at three in the morning."""
    return _page([(blocks, 3 * 3600.0) for blocks in messages])


def _page(messages: Sequence[tuple[list[dict[str, Any]], float]], above: int = 0) -> str:
    """The first message, and under a line the entries of its thread. `above`: pixels that are left out at the top."""
    first, *entries = (message(blocks, at) for blocks, at in messages)
    number = f"{len(entries)} replies" if len(entries) > 1 else "1 reply"
    thread = f'<div class="replies"><span>{number}</span></div>{"".join(entries)}' if entries else ""
    body = f'<div style="margin-top: {-above}px">{first}{thread}</div>'
    return f'<!doctype html><meta charset="utf-8"><style>{STYLE} body {{ overflow: hidden }}</style>{body}'


def _bottoms(chromium: str, text: str, width: int) -> Sequence[int]:
    """The lower ends of the blocks of a page, and its height, in CSS pixels. A window that is measured and not
    photographed may be wider than asked for, so the page gets its width from a style."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch, "page.html")
        source.write_text(f"{text}<style>body {{ width: {width}px }}</style>{MEASURE}")
        window = (f"--user-data-dir={scratch}/profile", f"--window-size={width},100")
        shown = subprocess.run(
            [chromium, *FLAGS, *window, "--dump-dom", source.as_uri()],
            check=True,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        ).stdout
    found = re.search(r'data-bottoms="([^"]*)"', shown)
    assert found is not None
    return [int(bottom) for bottom in json.loads(found[1])]


def message(blocks: list[dict[str, Any]], at: float) -> str:
    """`at`: seconds since the epoch."""
    drawn = "".join(f'<div class="part">{DRAW[block["type"]](block)}</div>' for block in blocks)
    hour = datetime.fromtimestamp(at, UTC).strftime("%I:%M %p").lstrip("0")
    return (
        '<div class="message"><div class="face">Q</div><div class="blocks"><span class="name">Quarterdeck</span>'
        f'<span class="app">APP</span><span class="time">{hour}</span>{drawn}</div></div>'
    )


def context(block: dict[str, Any]) -> str:
    return f'<div class="context">{" ".join(mrkdwn(element["text"]) for element in block["elements"])}</div>'


def section(block: dict[str, Any]) -> str:
    """On a phone, Slack shows the fields of a section below one another."""
    texts = [text["text"] for text in (block.get("text"), *block.get("fields", ())) if text]
    return "".join(f'<div class="section">{mrkdwn(text)}</div>' for text in texts)


def rich_text(block: dict[str, Any]) -> str:
    drawn = []
    for element in block["elements"]:
        tag = "pre" if element["type"] == "rich_text_preformatted" else "b"
        drawn.append(f"<{tag}>{_inline(element)}</{tag}>")
    return "".join(drawn)


def table(block: dict[str, Any]) -> str:
    head, *rows = block["rows"]
    size = block.get("page_size", len(rows))
    lines = [_row(head, "th"), *(_row(row, "td") for row in rows[:size])]
    caption = f'<div class="caption">{html.escape(block["caption"])}</div>' if "caption" in block else ""
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>{caption}'


def _inline(part: dict[str, Any]) -> str:
    """The texts of a part of rich text. A date is shown as Slack shows it to somebody in UTC on another day."""
    return "".join(html.escape(inner.get("text") or inner["fallback"]) for inner in part["elements"])


def chart(block: dict[str, Any]) -> str:
    """A line chart, as Slack draws one: from zero to the highest value, with a legend."""
    series = block["chart"]["series"]
    highest = max(point["value"] for each in series for point in each["data"])
    lines, legend = [], []
    for each, colour in zip(series, COLOURS, strict=False):
        step = CHART_WIDTH / max(1, len(each["data"]) - 1)
        points = " ".join(
            f"{at * step:.1f},{CHART_HEIGHT * (1 - 0.95 * point['value'] / highest):.1f}"
            for at, point in enumerate(each["data"])
        )
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        legend.append(f'<span style="color:{colour}">●</span> {html.escape(each["name"])}')
    categories = block["chart"]["axis_config"]["categories"]
    return (
        f'<div class="chart"><b>{html.escape(block["title"])}</b><span class="time"> at most {highest:g}</span>'
        f'<svg viewBox="0 0 {CHART_WIDTH} {CHART_HEIGHT}" width="100%">{"".join(lines)}</svg>'
        f'<div class="caption"><span>{html.escape(categories[0])}</span><span>{" ".join(legend)}</span>'
        f"<span>{html.escape(categories[-1])}</span></div></div>"
    )


def actions(block: dict[str, Any]) -> str:
    return "".join(
        f'<span class="button {button.get("style", "")}">{html.escape(button["text"]["text"])}</span>'
        for button in block["elements"]
    )


def mrkdwn(text: str) -> str:
    """Mrkdwn as HTML. Its entities are HTML's too."""
    text = re.sub(r"<!date\^[^|<>]*\|([^<>]*)>", r"\1", text)
    text = re.sub(r"(?<!\w)\*([^*`\n]+)\*(?!\w)", r"<b>\1</b>", text)
    text = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", text)
    text = re.sub(r"(?m)^\*([^*\n]+)\*$", r"<b>\1</b>", text)
    for sign, (kind, shown) in SIGNS.items():
        text = re.sub(f"^{sign}", f'<span class="sign {kind}">{shown}</span>', text)
    return text


def _row(cells: list[dict[str, Any]], tag: str) -> str:
    return (
        "<tr>"
        + "".join(
            f'<{tag} class="{"number" if cell["type"] == "raw_number" else ""}">{_cell(cell)}</{tag}>' for cell in cells
        )
        + "</tr>"
    )


def _cell(cell: dict[str, Any]) -> str:
    if cell["type"] == "rich_text":
        return "".join(map(_inline, cell["elements"]))
    if "element" in cell:  # of a button
        return f'<span class="button">{html.escape(cell["element"]["text"]["text"])}</span>'
    text = html.escape(cell["text"])
    for circle, colour in CIRCLES.items():  # an emoji, for which a machine without chat has no font
        text = text.replace(circle, f'<span class="circle" style="background:{colour}"></span>')
    return f"<nobr>{text}</nobr>" if "\u00a0" in text else text


DRAW = {
    "context": context,
    "section": section,
    "rich_text": rich_text,
    "table": table,
    "data_table": table,
    "data_visualization": chart,
    "actions": actions,
}
