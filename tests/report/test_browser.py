"""The page in headless Chromium: the slider moves, a sound plays, curves zoom, nothing is fetched, axe-core agrees."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rundirs

from genkit.report import write_report

pytestmark = pytest.mark.browser

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
    "--disable-background-networking", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not (CHROMIUM and DRIVER):
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in QUIET:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A report of one run with pictures and sounds, one of two runs, and one of texts and metrics."""
    root = tmp_path_factory.mktemp("pages")
    sounding = rundirs.write_run(
        root / "sounding", samples={f"{step:08d}.png": rundirs.png(64, 32, seed=step) for step in (0, 50, 100)}
    )
    for step in (0, 50, 100):
        rundirs.write_sound(sounding / "samples" / f"{step:08d}.wav", seconds=4)
    evaluated = [
        line
        for step in (50, 100)
        for line in (
            rundirs.train_record(step),
            {"step": step, "kind": "scores", "scores": [rundirs.score("lenet", 300 / step, 0.5)]},
            {"step": step, "kind": "eval", "lenet": 300 / step},
            {"step": step, "kind": "warning", "text": "samples look alike"},
        )
    ]
    words = {f"{step:08d}.txt": f"words of {step}\n".encode() * 80 for step in (0, 50, 100)}
    telling = rundirs.write_run(root / "telling", status="failed", records=evaluated, samples=words)
    return {
        "sounding": write_report([sounding]).path,
        "telling": write_report([telling]).path,
        "both": write_report([sounding, telling], root / "both.html").path,
    }


def visit(browser: Any, page: Path) -> None:
    browser.get_log("browser")
    browser.get(page.as_uri())


def wait(browser: Any, condition: str) -> None:
    """Until an expression of the page holds."""
    for _ in range(400):
        if browser.execute_script(f"return Boolean({condition})"):
            return
        time.sleep(0.05)
    raise AssertionError(f"never came true: {condition}")


def step_to(browser: Any, position: int) -> None:
    browser.execute_script(
        "const s = document.getElementById('step'); s.value = arguments[0]; s.dispatchEvent(new Event('input'))",
        position,
    )


def test_the_slider_shows_each_preview(browser: Any, pages: dict[str, Path]) -> None:
    visit(browser, pages["telling"])
    shown = "return document.querySelector('#frame-0').innerText.split('\\n')[0]"
    assert browser.execute_script(shown) == "words of 100"
    step_to(browser, 0)
    assert browser.execute_script(shown) == "words of 0"
    browser.find_element("id", "after").click()
    assert browser.execute_script(shown) == "words of 50"
    assert browser.find_element("id", "at").text == "step 50 (2 of 3)"
    step_to(browser, 2)
    assert browser.execute_script(shown) == "words of 100"
    assert browser.get_log("browser") == []


def test_pictures_are_decoded_and_sounds_play(browser: Any, pages: dict[str, Path]) -> None:
    visit(browser, pages["sounding"])
    for position in (2, 0, 1):
        step_to(browser, position)
        wait(browser, "document.querySelector('#frame-0 img').naturalWidth === 64")
        browser.execute_script("document.querySelector('#frame-0 audio').play()")
        wait(browser, "document.querySelector('#frame-0 audio').currentTime > 0.02")
        assert browser.execute_script("return document.querySelector('#frame-0 audio').duration") == pytest.approx(4)
    assert browser.get_log("browser") == []


def test_a_drag_zooms_every_chart_and_keys_do_the_same(browser: Any, pages: dict[str, Path]) -> None:
    from selenium.webdriver import ActionChains, Keys

    visit(browser, pages["sounding"])
    said = browser.find_element("id", "range")
    assert said.text == "steps 10 to 100"
    charts = browser.find_elements("css selector", ".charts[data-group=training] svg")
    second = charts[1].find_element("css selector", ".line").get_attribute("d")
    ActionChains(browser).move_to_element(charts[0]).click_and_hold().move_by_offset(80, 0).release().perform()
    low, high = (int(word) for word in said.text.removeprefix("steps ").split(" to "))
    assert 40 < low < 70
    assert low < high < 100
    assert charts[1].find_element("css selector", ".line").get_attribute("d") != second
    charts[0].send_keys("0")
    assert said.text == "steps 10 to 100"
    ActionChains(browser).move_to_element(browser.find_element("id", "curves-title")).perform()
    charts[0].send_keys(Keys.ARROW_RIGHT)
    assert charts[0].find_element("xpath", "following-sibling::output").text == "step 10: 1.1"
    charts[0].send_keys("+")
    assert said.text != "steps 10 to 100"
    assert browser.get_log("browser") == []


def test_config_can_be_shown_in_full(browser: Any, pages: dict[str, Path]) -> None:
    visit(browser, pages["sounding"])
    rows = "return [...document.querySelectorAll('#settings tbody tr')].filter((row) => row.offsetHeight).length"
    few = browser.execute_script(rows)
    browser.find_element("id", "differing").click()
    assert browser.execute_script(rows) > few > 0


@pytest.mark.parametrize("name", ["sounding", "telling", "both"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_core_finds_nothing(browser: Any, pages: dict[str, Path], name: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    script = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    visit(browser, pages[name])
    browser.execute_script("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    # The driver's scripts are not the page's: its policy, which forbids all others, does not hold for them.
    found = browser.execute_async_script(f"{script}; axe.run(document).then((it) => arguments[0](it.violations))")
    assert [(one["id"], [node["html"][:80] for node in one["nodes"]]) for one in found] == []


@pytest.mark.parametrize("name", ["sounding", "telling", "both"])
def test_a_phone_shows_the_page_without_sideways_scrolling(browser: Any, pages: dict[str, Path], name: str) -> None:
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    try:
        visit(browser, pages[name])
        assert browser.execute_script("return document.documentElement.scrollWidth") <= PHONE["width"]
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_page_asks_for_nothing(browser: Any, pages: dict[str, Path]) -> None:
    visit(browser, pages["both"])
    step_to(browser, 0)
    fetched = browser.execute_script(
        "return performance.getEntriesByType('resource').map((one) => one.name.slice(0, 5))"
    )
    assert set(fetched) <= {"data:", "blob:"}
    browser.execute_script("document.body.append(Object.assign(new Image(), {src: 'file:///nowhere.png'}))")
    refused = [entry["message"] for entry in browser.get_log("browser")]
    assert len(refused) == 1
    assert "Content Security Policy" in refused[0]
