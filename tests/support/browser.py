"""One real Chromium for all browser tests, and a server for what they look at.

Not `dash_duo`: it raises SystemExit in every thread that was born after its server, which kills
collectors. One browser for the session costs 1.7 s a test less than one per test.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flask import Flask

from tests.support.waiting import patience
from tests.support.web import served

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the urllib3 it is pinned to warns when imported
    from selenium import webdriver
    from selenium.common.exceptions import (
        ElementClickInterceptedException,
        ElementNotInteractableException,
        JavascriptException,
        StaleElementReferenceException,
        WebDriverException,
    )
    from selenium.webdriver import ActionChains
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.remote.webelement import WebElement

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--force-device-scale-factor=1",
    "--lang=en-US",
)
DESKTOP = (1600, 1000)
PHONE = (390, 844)
_last_port = [0]


def missing() -> str:
    """Return what keeps browser tests from running here, "" = nothing."""
    if not _chromium():
        return "no Chromium found"
    if not shutil.which("chromedriver"):
        return "no chromedriver found"
    return ""


def _chromium() -> str:
    return next((path for name in CHROMIUM if (path := shutil.which(name))), "")


class Page:
    """The browser as tests use it: everything waits for a condition, nothing for a time."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self.base = ""

    def open(self, path: str) -> None:
        """Load an address of `base` and wait until the shell is there."""
        self.driver.get(self.base + path)
        self.wait("document.documentElement.classList.contains('is-ready')")

    def js(self, code: str, *args: Any) -> Any:
        """Return what the JavaScript expression is worth."""
        return self.driver.execute_script(f"return ({code})", *args)

    def wait(self, condition: str | Callable[[], Any], timeout: float = 10.0) -> Any:
        """Wait until a JavaScript expression or a callable is true; return its value.

        `timeout` s, longer on a busy machine.
        """
        check = (lambda: self.js(condition)) if isinstance(condition, str) else condition
        pause = threading.Event()
        for _ in range(max(1, int(patience(timeout) / 0.04))):
            with contextlib.suppress(JavascriptException):
                if value := check():
                    return value
            pause.wait(0.04)
        raise AssertionError(f"never true within {timeout} s: {condition}\n{self.report()}")

    def find(self, css: str, timeout: float = 10.0) -> WebElement:
        """Return the first visible element, once there is one."""
        code = (
            "[...document.querySelectorAll(arguments[0])].find(e => e.checkVisibility"
            " ? e.checkVisibility({visibilityProperty: true}) : e.offsetParent)"
        )
        found = self.wait(lambda: self.js(code, css), timeout)
        assert isinstance(found, WebElement)
        return found

    def all(self, css: str) -> list[WebElement]:
        """Return all elements there are now."""
        return list(self.js("[...document.querySelectorAll(arguments[0])]", css))

    def text(self, css: str) -> str:
        """Return the text of the first element, "" when there is none."""
        return str(self.js("document.querySelector(arguments[0])?.innerText ?? ''", css))

    def texts(self, css: str) -> list[str]:
        """Return the texts of all elements there are now."""
        return list(
            self.js("[...document.querySelectorAll(arguments[0])].map(e => e.innerText)", css)
        )

    def click(self, css: str) -> None:
        """Click where the first visible element is, as a user would, once it holds still."""

        def click() -> bool:
            with contextlib.suppress(
                ElementClickInterceptedException,
                ElementNotInteractableException,
                StaleElementReferenceException,
            ):
                self.find(css).click()
                return True
            return False

        self.wait(click)

    def keys(self, *keys: str) -> None:
        """Press keys, wherever the focus is (selenium's `Keys` for special ones)."""
        ActionChains(self.driver).send_keys(*keys).perform()

    @property
    def path(self) -> str:
        """The address after the host."""
        return str(self.js("location.pathname + location.search"))

    def resize(self, size: tuple[int, int]) -> None:
        """Set the size of the page itself, not of the window around it."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False},
        )

    def prefer(self, **features: str) -> None:
        """Emulate media features: `prefer(prefers_color_scheme="light")`."""
        wanted = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wanted})

    def shot(self, path: Path) -> Path:
        """Write a PNG of what is seen."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(path))
        return path

    def console(self) -> list[str]:
        """Return what the console says since the last call: warnings and errors, ours or not."""
        entries = self.driver.get_log("browser")
        return [f"{e['level']}: {e['message']}" for e in entries if e["level"] != "DEBUG"]

    def report(self) -> str:
        """Return what helps to understand a failed wait."""
        with contextlib.suppress(WebDriverException):
            return f"at {self.path}; console: {self.console()}"
        return "the browser does not answer"

    def forget(self) -> None:
        """Clear what this dashboard keeps in the browser: the next one may have its address."""
        self.driver.get(f"{self.base}/api/health")
        self.driver.execute_script("localStorage.clear(); sessionStorage.clear()")
        self.driver.get("about:blank")

    def reset(self) -> None:
        """Forget the last test: storage, size, media, console."""
        with contextlib.suppress(WebDriverException):
            self.driver.execute_script("localStorage.clear(); sessionStorage.clear()")
        self.driver.get("about:blank")
        self.resize(DESKTOP)
        self.prefer(prefers_color_scheme="dark")
        self.console()


@contextlib.contextmanager
def chromium() -> Iterator[Page]:
    """Run a headless Chromium with a profile of its own until the context ends."""
    profile = tempfile.mkdtemp(prefix="igdash-chromium-")
    options = webdriver.ChromeOptions()
    options.binary_location = _chromium()
    for flag in (*FLAGS, f"--user-data-dir={profile}", "--window-size=1600,1100"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(
        service=Service(shutil.which("chromedriver") or "chromedriver"), options=options
    )
    driver.set_page_load_timeout(30)
    driver.set_script_timeout(30)
    try:
        page = Page(driver)
        page.reset()
        yield page
    finally:
        with contextlib.suppress(WebDriverException):
            driver.quit()
        shutil.rmtree(profile, ignore_errors=True)


@contextlib.contextmanager
def dashboard(server: Flask) -> Iterator[str]:
    """Serve a Flask app on loopback; yield its address for the browser.

    Each time on the same port if it is free: the browser need not read all scripts anew then.
    """
    with contextlib.ExitStack() as stack:
        try:
            at = stack.enter_context(served(server, _last_port[0]))
        except OSError:
            at = stack.enter_context(served(server))
        _last_port[0] = int(at.rpartition(":")[2])
        yield f"http://{at}"
