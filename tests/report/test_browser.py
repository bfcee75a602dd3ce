"""The page in a real browser: no script runs, nothing is wider than a phone, colours follow the scheme."""

import json
import re
import shutil
import subprocess

import pytest

from gnomon import report
from tests.report import reports
from tests.report.test_html import HOSTILE, hostile_report

PROBE = """<!doctype html><body><script>
const pages = %s;
const found = [];
async function look(page, width) {
  const frame = document.createElement("iframe");
  frame.style = `width:${width}px;height:900px;border:0`;
  frame.srcdoc = page;
  const loaded = new Promise(done => frame.onload = done);
  document.body.append(frame);
  await loaded;
  const inside = frame.contentDocument, root = inside.documentElement;
  const colour = (name, of) => getComputedStyle(inside.querySelector(name))[of];
  found.push({
    width, wider: root.scrollWidth - root.clientWidth, hacked: frame.contentWindow.hacked ?? null,
    cut: [...inside.querySelectorAll("figure svg")].filter(drawn => {
      const box = drawn.getBoundingClientRect();
      return [...drawn.querySelectorAll("text")].some(text => {
        const own = text.getBoundingClientRect();
        return own.width && (own.left < box.left - 1 || own.right > box.right + 60 || own.bottom > box.bottom + 2);
      });
    }).length,
    images: inside.images.length, charts: inside.querySelectorAll("svg").length,
    fill: colour('svg [fill="var(--fail)"]', "fill"), fail: colour(".tag.tone-fail", "color"),
    background: colour("body", "backgroundColor"),
  });
  frame.remove();
}
(async () => {
  for (const page of pages) for (const width of [1200, 400]) await look(page, width);
  const said = document.createElement("pre");
  said.id = "found"; said.textContent = JSON.stringify(found); document.body.append(said);
})();
</script></body>"""


def browse(folder, pages: list[str], *flags: str) -> list[dict]:
    """What a headless Chromium finds in each page at 1200 and 400 pixels."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.fail("this test needs Chromium: apt-get install -y chromium (make test does it when it runs as root)")
    probe = folder / "probe.html"
    probe.write_text(PROBE % json.dumps(pages).replace("</", "<\\/"), encoding="utf-8")
    done = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--virtual-time-budget=10000",
            f"--user-data-dir={folder / 'profile'}",
            *flags,
            "--dump-dom",
            probe.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    said = re.search(r'<pre id="found">(.*?)</pre>', done.stdout)
    assert said, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(said[1])


def test_a_browser_runs_nothing_and_shows_all_of_it_on_a_phone_too(tmp_path):
    found = browse(tmp_path, [report.html(hostile_report()), report.html(reports.shadowed(HOSTILE))])

    assert [each["hacked"] for each in found] == [None] * 4
    assert [each["images"] for each in found] == [0] * 4
    assert [(each["width"], each["wider"]) for each in found] == [(1200, 0), (400, 0)] * 2
    assert [each["charts"] for each in found] == [6] * 4
    assert {each["fill"] for each in found} == {"rgb(180, 42, 32)"}
    assert {each["fail"] for each in found} == {"rgb(180, 42, 32)"}


def test_in_a_dark_scheme_page_and_charts_are_dark(tmp_path):
    found = browse(tmp_path, [report.html(reports.rejected())], "--blink-settings=preferredColorScheme=0")

    assert {each["background"] for each in found} == {"rgb(17, 21, 27)"}
    assert {each["fill"] for each in found} == {each["fail"] for each in found} == {"rgb(255, 147, 137)"}


def test_sixty_tests_with_long_names_and_every_kind_of_gate_fit_a_phone(tmp_path):
    found = browse(tmp_path, [report.html(reports.many()), report.html(reports.every_kind())])

    assert [(each["width"], each["wider"]) for each in found] == [(1200, 0), (400, 0)] * 2
    assert [each["cut"] for each in found] == [0] * 4
