"""The report's page: it needs no network, every plot shows, and nothing is wider than the page."""

import json
import re
import shutil
import subprocess

import pytest

from rl_speed.bench.show import report
from rl_speed.bench.show.figures import figures
from rl_speed.bench.show.page import page
from tests.bench.measurements import whole_content


def test_the_page_needs_no_network(quick):
    text = page(whole_content(quick))
    # Of a tag: the script of some plotly has such an address in code for maps.
    assert re.findall(r'<[a-z]+\b[^<>]*\ssrc="http[^"]*', text) == []
    assert "<link" not in text


def test_no_markdown_is_left_on_the_page(quick):
    content = whole_content(quick)
    text = page(content)
    words = re.sub(r"<(script|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    assert "`" not in words
    assert "**" not in words
    assert "<dt>What limits</dt><dd>the gradient steps: 80 % of <code>baseline</code>'s time" in words
    assert words.index("Helps most") < words.index("<table")


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Plots with something in them, and the widths of the page and of what it may take.
PROBE = (
    "<script>window.onerror = m => document.title = 'FAILED ' + m;"
    "setTimeout(() => { const n = [...document.querySelectorAll('.js-plotly-plot')].map(p =>"
    "p.querySelectorAll('.trace path, .point path, .lines path').length);"
    "const e = document.documentElement; document.title = JSON.stringify([n, e.scrollWidth, e.clientWidth]);"
    "}, 1500);</script></body>"
)


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [1280, 800])
def test_every_plot_shows_in_a_browser_and_nothing_is_wider_than_the_page(quick, tmp_path, width):
    content = whole_content(quick)
    target = report.write_report(tmp_path, content)
    path = target / "probe.html"
    path.write_text((target / "bench.html").read_text().replace("</body>", PROBE))
    answer = subprocess.run(
        [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},1000", "--virtual-time-budget=10000",
            "--dump-dom", path.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    title = answer.stdout.partition("<title>")[2].partition("</title>")[0]
    assert title.startswith("["), title
    counts, needed, available = json.loads(title)
    assert len(counts) == len(figures(content)) == 11
    assert min(counts) > 0
    assert width - 30 <= available <= width
    assert needed == available
