"""The page in a real browser without a screen: Chromium of the system, driven by Selenium, offline."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from recall.live.service import RecallSystem
from recall.serving.server import RecallServer

BROWSER, DRIVER = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        BROWSER is None or DRIVER is None,
        reason="needs the programs chromium and chromedriver",
    ),
]


def _options() -> webdriver.ChromeOptions:
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    arguments = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1200,900"]
    # No name but this machine's can be resolved: whatever the page would fetch from elsewhere fails.
    arguments.append("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    for argument in arguments:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return options


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    service = webdriver.ChromeService(executable_path=str(DRIVER))
    opened = webdriver.Chrome(options=_options(), service=service)
    yield opened
    opened.quit()


@pytest.fixture
def page(
    browser: webdriver.Chrome, open_system: Callable[..., RecallSystem], start_server: Callable[..., RecallServer]
) -> Iterator[webdriver.Chrome]:
    """The browser on the page of a server whose canary is on."""
    system = open_system(canary_interval_seconds=0.05, audit_share=1.0)
    server = start_server(metrics={"port": 0}, console={"refresh_seconds": 0.1})
    server.attach(system)
    browser.get(f"http://{server.metrics_address}/")
    yield browser
    browser.get("about:blank")
    system.close()


def _one(page: webdriver.Chrome, css: str) -> WebElement:
    return page.find_element(By.CSS_SELECTOR, css)


def _until(condition: Callable[[], object]) -> None:
    deadline = time.perf_counter() + 15
    while not condition():
        assert time.perf_counter() < deadline, "the page did not show it within 15 s"
        time.sleep(0.05)


def _ids(page: webdriver.Chrome, place: str) -> list[str | None]:
    return [row.get_attribute("data-item") for row in page.find_elements(By.CSS_SELECTOR, f"{place} li[data-item]")]


def test_page_shows_state_answers_explains_and_writes(page: webdriver.Chrome) -> None:
    _until(lambda: _one(page, "#health").text == "serving")
    _until(lambda: "found, 0 failed" in _one(page, "#cards").text)
    _until(lambda: page.find_elements(By.CSS_SELECTOR, "#chart-fresh svg"))
    assert "snapshot 0000" in _one(page, "#served").text or "snapshot" in _one(page, "#served").text

    _one(page, "#tab-users").click()
    _one(page, "#recall-user").send_keys("u1")
    _one(page, "#recall-form .go").click()
    _until(lambda: _ids(page, "#recall-result")[:2] == ["a2", "a3"])
    assert "answered from history" in _one(page, "#recall-result .about").text
    assert not _one(page, "#overview").is_displayed()
    _one(page, "#explain-item").send_keys("a0")
    _one(page, "#explain-form button").click()
    _until(lambda: "in history" in _one(page, "#explanation").text)

    _one(page, "#recall-result li button + button").click()
    _until(lambda: "retrievable" in _one(page, "#similar-result").text)
    assert _one(page, "#similar-item").get_attribute("value") == "a2"
    assert "a0" in _ids(page, "#similar-result")

    _one(page, "#tab-write").click()
    _one(page, "#write-item").send_keys("new")
    _one(page, "[data-feature=topic]").send_keys("b")
    _one(page, "#write-form .go").click()
    _until(lambda: "retrievable: searches return it" in _one(page, "#write-steps").text)
    _until(lambda: len(_ids(page, "#write-result")) == 5)
    assert set(_ids(page, "#write-result")[:4]) == {"b0", "b1", "b2", "b3"}
    _one(page, "#write-item").clear()
    _one(page, "#write-item").send_keys("none")
    _one(page, "#write-load").click()
    _until(lambda: "'none' is not stored" in _one(page, "#write-result").text)
    problems = [entry for entry in page.get_log("browser") if "400 (Bad Request)" not in entry["message"]]  # type: ignore[no-untyped-call]  # of Selenium
    assert problems == []


@pytest.mark.parametrize(("scheme", "size"), [("light", (1200, 900)), ("dark", (390, 844))])
def test_page_fits_its_window_and_follows_the_scheme(
    page: webdriver.Chrome, scheme: str, size: tuple[int, int]
) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 600}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    _until(lambda: _one(page, "#health").text == "serving")
    for tab in ("overview", "users", "items", "write"):
        _one(page, f"#tab-{tab}").click()
        width = page.execute_script("return document.documentElement.scrollWidth")
        assert width <= size[0], tab
    ground = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(246, 247, 249)", "dark": "rgb(17, 21, 26)"}[scheme]
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
