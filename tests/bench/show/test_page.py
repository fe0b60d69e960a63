"""The report's page: it needs no network, and every plot shows."""

import re
import shutil
import subprocess

import pytest

from rl_speed.bench.show import report
from rl_speed.bench.show.page import figures, page
from tests.bench.measurements import whole_content


def test_the_page_needs_no_network(quick):
    text = page(whole_content(quick))
    # Of a tag: the script of some plotly has such an address in code for maps.
    assert re.findall(r'<[a-z]+\b[^<>]*\ssrc="http[^"]*', text) == []
    assert "<link" not in text


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_every_plot_shows_in_a_browser(quick, tmp_path):
    content = whole_content(quick)
    target = report.write_report(tmp_path, content)
    probe = (
        "<script>window.onerror = m => document.title = 'FAILED ' + m;"
        "setTimeout(() => { const n = [...document.querySelectorAll('.js-plotly-plot')].map(p =>"
        "p.querySelectorAll('.trace path, .point path, .lines path').length); document.title = 'PLOTS ' + n; }, 1500);"
        "</script></body>"
    )
    path = target / "probe.html"
    path.write_text((target / "bench.html").read_text().replace("</body>", probe))
    answer = subprocess.run(
        [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=10000", "--dump-dom", path.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    title = answer.stdout.partition("<title>")[2].partition("</title>")[0]
    assert title.startswith("PLOTS ")
    counts = [int(count) for count in title.removeprefix("PLOTS ").split(",")]
    assert len(counts) == len(figures(content)) == 10
    assert min(counts) > 0
