"""The dashboard in a real browser, and what it refuses to those who are none."""

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from browsers import browser_at, complaints
from looked_at import EVIL, SPACE, advance

pytest.importorskip("sqlalchemy")
pytest.importorskip("starlette")
uvicorn = pytest.importorskip("uvicorn")

from gpbt_adapters.showing.dashboard import application  # noqa: E402 - after it is known that all it needs is there
from gpbt_adapters.showing.sources import reading  # noqa: E402 - as above
from gpbt_adapters.storing.journal import Journal, Study, open_study  # noqa: E402 - as above
from gpbt_core import Search  # noqa: E402 - as above

PATIENCE = 20.0


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    """A study that is going on, of 20 trials."""
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    rules: dict[str, Any] = {"searcher": Search("random"), "trial_stopping": None, "seed": 3}
    rules["reproduction"] = "genealogical"
    with open_study(url, EVIL, SPACE, durability="process", population=12, steps=10, **rules) as opened:
        advance(opened, 20)
        yield opened


@contextlib.contextmanager
def _served(journal: Journal) -> Iterator[str]:
    """The address of a dashboard over a journal."""
    server = uvicorn.Server(uvicorn.Config(application(journal), port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + PATIENCE
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join()


@pytest.fixture
def address(study: Study, tmp_path: Path) -> Iterator[str]:
    """Where the dashboard over it listens."""
    assert study.name == EVIL
    with Journal(f"sqlite:///{tmp_path / 'runs.db'}") as journal, _served(journal) as found:
        yield found


def _ask(address: str, path: str, *, method: str = "GET", host: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE)
    try:
        connection.request(method, path, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_what_is_drawn_is_sent_once_for_each_change(study: Study, address: str) -> None:
    def known_after(path: str) -> dict[str, Any]:
        status, text = _ask(address, path)
        assert status == 200
        return dict(json.loads(text))

    first = known_after("/api/run")
    assert first["study"] == EVIL
    deadline = time.monotonic() + PATIENCE  # the shares of generation 0 come when they are found
    while not _importance(first) and time.monotonic() < deadline:
        time.sleep(0.2)
        first = known_after("/api/run")
    assert _importance(first)
    again = known_after(f"/api/run?known={quote(first['known'])}")
    assert again["run"] is None
    advance(study, 21)
    study.refresh()
    after = known_after(f"/api/run?known={quote(first['known'])}")
    assert after["run"]["tiles"] != first["run"]["tiles"]


def test_several_users_see_the_studies_that_they_ask_for_at_the_same_time(address: str, tmp_path: Path) -> None:
    rules: dict[str, Any] = {"searcher": Search("random"), "seed": 3, "population": 12, "steps": 10}
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    for place in range(3):
        with open_study(url, f"study {place}", SPACE, durability="process", preset="random", **rules) as opened:
            advance(opened, place + 1)

    def asked(user: int) -> tuple[str, str, list[str]]:
        status, text = _ask(address, f"/api/run?study=study%20{user % 3}")
        assert status == 200
        answer = json.loads(text)
        return answer["study"], answer["run"]["title"], next(t for t in answer["run"]["tiles"] if t[0] == "trials")

    with ThreadPoolExecutor(6) as users:
        found = list(users.map(asked, range(12)))
    assert [(name, title) for name, title, _ in found] == [(f"study {i % 3}", f"study {i % 3}") for i in range(12)]
    assert [trials[1] for *_, trials in found] == [str(i % 3 + 1) for i in range(12)]


def test_a_file_that_is_replaced_is_shown_anew(tmp_path: Path) -> None:
    rules: dict[str, Any] = {"searcher": Search("random"), "seed": 3, "population": 12, "steps": 10}
    path, other = tmp_path / "runs.db", tmp_path / "other.db"
    for file, name, trials in ((path, "old", 5), (other, "new", 7)):
        with open_study(f"sqlite:///{file}", name, SPACE, durability="process", preset="random", **rules) as opened:
            advance(opened, trials)
    with reading(path) as journal, _served(journal) as address:
        before = json.loads(_ask(address, "/api/run")[1])
        assert (before["study"], before["run"]["title"]) == ("old", "old")
        other.replace(path)
        assert _ask(address, "/api/run?study=old")[0] == 404
        after = json.loads(_ask(address, f"/api/run?known={quote(before['known'])}")[1])
        assert (after["study"], after["run"]["title"]) == ("new", "new")
        path.unlink()
        assert _ask(address, "/api/run")[0] == 503


def _importance(answer: dict[str, Any]) -> bool:
    sections = [one for group in answer["run"]["groups"] for one in group["sections"]]
    return any(one["id"] == "importance" and one["figure"]["data"] for one in sections)


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/etc/passwd", "GET", 404),
        ("/../../../../etc/passwd", "GET", 404),
        ("/%2e%2e/%2e%2e/etc/passwd", "GET", 404),
        ("/page.html", "GET", 404),
        ("/api/run?study=../../../etc/passwd", "GET", 404),
        ("/api/run?study=http://example.com", "GET", 404),
        ("/api/run", "POST", 405),
        ("/", "PUT", 405),
        ("/", "DELETE", 405),
    ],
)
def test_no_path_reaches_anything_else_and_nothing_can_be_changed(
    address: str, path: str, method: str, status: int
) -> None:
    found, text = _ask(address, path, method=method)
    assert found == status
    assert "root:" not in text
    assert "runs.db" not in text


def test_a_page_from_elsewhere_cannot_ask_under_a_name_of_its_own(address: str) -> None:
    assert _ask(address, "/api/run", host="example.com")[0] == 400
    assert _ask(address, "/api/run", host="localhost")[0] == 200


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    with browser_at(tmp_path / "profile") as opened:
        yield opened


def _turn_wheel(browser: Any, element: Any, *, ctrl: bool) -> None:
    x, y = browser.execute_script(
        "const box = arguments[0].getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]",
        element,
    )
    turned = {"type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": 120, "modifiers": 2 if ctrl else 0}
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", turned)


def test_in_a_browser_the_tree_is_drawn_tells_of_trials_and_grows_without_a_reload(
    study: Study, address: str, browser: Any
) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.support.ui import WebDriverWait

    points = "#genealogy .scatterlayer .point"
    wait = WebDriverWait(browser, PATIENCE, poll_frequency=0.1)
    browser.get(address)
    wait.until(lambda b: b.find_elements("id", "genealogy"))
    browser.execute_script("document.getElementById('genealogy').scrollIntoView({behavior: 'instant'})")
    wait.until(lambda b: len(b.find_elements("css selector", points)) >= 20)
    assert browser.find_element("id", "title").text == EVIL
    assert not browser.find_elements("css selector", "img[src=x]")

    browser.execute_script(
        "document.getElementById('genealogy').scrollIntoView({behavior: 'instant'}); window.marked = true"
    )

    def point() -> Any:
        """Found anew each time: a figure that is drawn again has other elements."""
        return browser.find_elements("css selector", "#genealogy .scatterlayer .trace .point")[3]

    ActionChains(browser).move_to_element(point()).perform()
    hover = "#genealogy .hoverlayer .hovertext"
    wait.until(lambda b: b.find_elements("css selector", hover))
    told = browser.execute_script(f"return document.querySelector({hover!r}).textContent")
    assert "trial" in told
    assert "score" in told
    assert "lr = " in told

    shown = "JSON.stringify(document.querySelector('#genealogy .plot')._fullLayout.xaxis.range)"
    whole, top = browser.execute_script(f"return [{shown}, window.scrollY]")
    _turn_wheel(browser, point(), ctrl=False)
    wait.until(lambda b: b.execute_script("return window.scrollY") > top)  # the wheel is for the page
    assert browser.execute_script(f"return {shown}") == whole

    def zoomed(_: object) -> bool:
        browser.execute_script("document.getElementById('genealogy').scrollIntoView({behavior: 'instant'})")
        _turn_wheel(browser, point(), ctrl=True)  # again if the page was still scrolling
        return bool(browser.execute_script(f"return {shown}") != whole)

    wait.until(zoomed)

    generations = "document.getElementById('tiles').innerText"
    before = browser.execute_script(f"return {generations}")
    assert "2 of 6" in before
    advance(study, 30)
    assert study.generation == 2
    wait.until(lambda b: "3 of 6" in b.execute_script(f"return {generations}"))
    wait.until(lambda b: len(b.find_elements("css selector", points)) >= 30)
    assert browser.execute_script("return window.marked"), "the page was loaded again"
    assert complaints(browser) == []
