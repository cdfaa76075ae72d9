"""The page in a real browser: at each width, in both schemes, and with few and many trials."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from browsers import browser_at, complaints, seen_as
from gpbt_adapters.showing.palette import DARK
from gpbt_adapters.showing.report import report, write_comparison, write_report
from looked_at import EVIL, run_of
from toy_runs import small_run
from toy_trainables import Descent

SIZES = (3, 160, 10_000)

LOOKS: tuple[tuple[int, Literal["light", "dark"]], ...] = (
    (1400, "light"),
    (1400, "dark"),
    (800, "light"),
    (800, "dark"),
    (390, "light"),
    (390, "dark"),
)

DRAW_ALL = """
const start = performance.now();
window.dispatchEvent(new Event("beforeprint"));
return performance.now() - start;
"""

CONTRASTS = """
const channels = (text) => text.match(/[\\d.]+/g).map((one) => Number(one) * (text.startsWith("color(srgb") ? 255 : 1));
const light = ([r, g, b]) => [r, g, b]
  .map((one) => one / 255)
  .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
  .reduce((sum, one, i) => sum + one * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (box) => {
  for (let at = box; at; at = at.parentElement) {
    const color = channels(getComputedStyle(at).backgroundColor);
    if (color.length === 3 || color[3] > 0) return color;
  }
};
const hasText = (box) => [...box.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
const poor = [];
for (const box of document.querySelectorAll("h1, h2, h3, p, a, b, span, th, td, button, summary, pre, li")) {
  if (!hasText(box) || !box.offsetParent || box.closest(".js-plotly-plot")) continue;
  const pair = [channels(getComputedStyle(box).color), behind(box)].map(light).sort((x, y) => y - x);
  if ((pair[0] + 0.05) / (pair[1] + 0.05) < 4.5) poor.push(`${box.tagName}: ${box.textContent.slice(0, 30)}`);
}
return poor;
"""
"""What has less contrast than WCAG 2 asks for at level AA."""

CUT = """
const width = document.documentElement.clientWidth;
return [...document.querySelectorAll("body *")].filter((box) => {
  if (!box.offsetParent || box.closest(".wide, .scroll, pre, svg")) return false;
  const overfull = getComputedStyle(box).display !== "inline" && box.scrollWidth > box.clientWidth + 1;
  return box.getBoundingClientRect().right > width + 1 || overfull;
}).map((box) => `${box.tagName}#${box.id}.${box.className}`);
"""
"""What ends outside of the window or of its box, other than what scrolls."""

SILENT = """
return [...document.querySelectorAll(".plot")].filter((box) =>
  box.parentElement.scrollWidth > box.parentElement.clientWidth + 1 && box.hint.hidden).length;
"""
"""How many figures scroll sideways without saying so."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser_at(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """The addresses of reports by the number of trials."""
    folder: Path = tmp_path_factory.mktemp("reports")
    addresses = {}
    for trials in SIZES:
        run = run_of(trials, population=min(2000, max(12, trials // 5)))
        path = folder / f"{trials}.html"
        path.write_text(
            report(run, title=f"{trials} trials", importance=trials == 160, command="gpbt schedule runs.db")
        )
        addresses[trials] = path.as_uri()
    return addresses


@pytest.mark.parametrize("trials", SIZES)
def test_at_each_width_and_in_both_schemes_all_is_drawn_and_nothing_is_cut(
    browser: Any, pages: dict[int, str], trials: int
) -> None:
    complaints(browser)
    seen_as(browser, width=1400, scheme="light")
    browser.get(pages[trials])
    loaded = browser.execute_script("return performance.now()")
    drawn = browser.execute_script(DRAW_ALL)
    print(f"{trials} trials: loaded after {loaded:.0f} ms, drawn in {drawn:.0f} ms")  # noqa: T201 - pytest -s shows it
    assert loaded + drawn < 10_000, "2 s on a machine that does nothing else"
    assert browser.execute_script("return document.querySelectorAll('.js-plotly-plot').length") >= 5
    for width, scheme in LOOKS[:: 5 if trials == 10_000 else 1]:
        seen_as(browser, width=width, scheme=scheme)
        browser.execute_script("redraw()")
        browser.execute_script(DRAW_ALL)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert browser.execute_script(CUT) == [], (width, scheme)
        assert browser.execute_script(CONTRASTS) == [], (width, scheme)
        assert browser.execute_script(SILENT) == 0, (width, scheme)
        paper = browser.execute_script("return document.querySelector('#score .plot')._fullLayout.paper_bgcolor")
        assert paper == ("#ffffff" if scheme == "light" else DARK["#ffffff"])
    assert complaints(browser) == []


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The addresses of the report of a run with times and figures, and of a comparison."""

    class Telling(Descent):
        def figures(self) -> dict[str, float]:
            return {"train_loss": abs(self.weight), "gradient_norm": 2.0}

    folder: Path = tmp_path_factory.mktemp("timed")
    optimizer = small_run(Telling).optimizer
    write_report(optimizer, folder / "run.html")
    runs = {f"{kind}-{seed}": run_of(30, seed=seed, searcher=kind) for kind in ("random", "sobol") for seed in (0, 1)}
    write_comparison({**runs, EVIL: run_of(3)}, folder / "compared.html")
    return {name: (folder / f"{name}.html").as_uri() for name in ("run", "compared")}


@pytest.mark.parametrize(("name", "figures"), [("run", 8), ("compared", 2)])
def test_times_and_comparisons_are_drawn_at_each_width_and_in_both_schemes(
    browser: Any, timed: dict[str, str], name: str, figures: int
) -> None:
    complaints(browser)
    browser.get(timed[name])
    for width, scheme in LOOKS:
        seen_as(browser, width=width, scheme=scheme)
        browser.execute_script("redraw()")
        browser.execute_script(DRAW_ALL)
        assert browser.execute_script("return document.querySelectorAll('.js-plotly-plot').length") >= figures
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert browser.execute_script(CUT) == [], (width, scheme)
        assert browser.execute_script(CONTRASTS) == [], (width, scheme)
        assert browser.execute_script(SILENT) == 0, (width, scheme)
    assert complaints(browser) == []


def test_it_can_be_used_with_the_keyboard_alone(browser: Any, pages: dict[int, str]) -> None:
    from selenium.webdriver import ActionChains, Keys

    seen_as(browser, width=1400, scheme="light")
    browser.get(pages[160])
    names = []
    for _ in range(60):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        names.append(browser.execute_script("const at = document.activeElement; return at.textContent.slice(0, 40)"))
        if names[-1] == "Replay":
            break
    assert names[0] == "What did I get?"
    assert names[-1] == "Replay"
    ActionChains(browser).send_keys(Keys.ARROW_RIGHT).perform()
    chosen = "return document.querySelector('[role=tab][aria-selected=true]').textContent"
    assert browser.execute_script(chosen) == "Terminal"
    assert "gpbt schedule runs.db" in browser.execute_script("return document.querySelector('#code pre').textContent")
    ActionChains(browser).send_keys(Keys.ARROW_LEFT).perform()
    assert browser.execute_script(chosen) == "Replay"


def test_the_table_of_trials_is_sorted_by_its_headings(browser: Any, pages: dict[int, str]) -> None:
    seen_as(browser, width=1400, scheme="light")
    browser.get(pages[160])
    browser.execute_script(DRAW_ALL)

    def column(place: int) -> list[str]:
        rows = "[...document.querySelectorAll('#trials tbody tr')]"
        script = f"return {rows}.map((row) => row.children[arguments[0]].textContent)"
        return list(browser.execute_script(script, place))

    assert [int(text) for text in column(0)] == list(range(100))
    heading = browser.find_elements("css selector", "#trials th button")[6]
    assert heading.text == "score"
    scores = [record.loss for record in run_of(160, population=32).records if record.loss is not None]
    for order in (1, -1):
        browser.execute_script("arguments[0].click()", heading)
        found = [float(text) for text in column(6)]
        assert found == pytest.approx(sorted(scores, reverse=order < 0)[:100], rel=1e-5)
    assert browser.execute_script("return arguments[0].parentElement.ariaSort", heading) == "descending"
    browser.execute_script("document.querySelector('#trials .more').click()")
    assert column(6)[-1] == "-", "trials without a score come last"
    assert len(column(0)) == 160


def test_each_figure_can_be_read_as_a_table(browser: Any, pages: dict[int, str]) -> None:
    browser.get(pages[160])
    browser.execute_script(DRAW_ALL)
    found = []
    for name in ("genealogy", "score", "slices", "stopping"):
        browser.execute_script(f"const it = document.querySelector('#{name} details'); it.open = true; it.fill()")
        headings = browser.find_elements("css selector", f"#{name} details th")
        found.append([heading.text for heading in headings])
    assert found == [
        ["what", "generation", "details"],
        ["what", "generation", "score", "details"],
        ["what", "hyperparameter", "value", "score", "details"],
        ["what", "generation", "steps", "details"],
    ]
    rows = "return document.querySelectorAll('#genealogy details tbody tr').length"
    assert browser.execute_script(rows) == 100


def test_a_range_selected_on_an_axis_selects_trials_until_it_is_double_clicked(
    browser: Any, pages: dict[int, str]
) -> None:
    from selenium.webdriver import ActionChains

    seen_as(browser, width=1400, scheme="light")
    browser.get(pages[160])
    browser.execute_script(DRAW_ALL)
    browser.execute_script("document.getElementById('parallel').scrollIntoView({behavior: 'instant', block: 'center'})")
    canvas = browser.find_element("css selector", "#parallel canvas")
    size = canvas.size
    x = 50 - size["width"] / 2  # the first axis: generations
    drag = ActionChains(browser).move_to_element_with_offset(canvas, x, size["height"] / 2 - 25).click_and_hold()
    drag.move_by_offset(0, -60).move_by_offset(0, -60).release().perform()
    said = browser.find_element("css selector", "#parallel [aria-live]")
    completed = sum(record.status.value == "completed" for record in run_of(160, population=32).records)
    count, of = (int(word) for word in said.text.split() if word.isdigit())
    assert 0 < count < of == completed
    ActionChains(browser).move_to_element_with_offset(canvas, x, 0).double_click().perform()
    assert said.text == ""
