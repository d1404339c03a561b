"""The exports page: a schedule is made, run, seen, downloaded, changed, paused and deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from igdash.domain.losses import Loss, LossCause
from igdash.domain.schedules import ScheduleSpec, What, When
from igdash.domain.times import now_ns
from igdash.services import export_files
from igdash.ui.app import create_app
from tests.browser.test_axe import AXE, faults_of
from tests.support.browser import PHONE, Page
from tests.support.exporting import run_due
from tests.support.web import Web, web

CARD = ".exp-card[data-id]"


@pytest.fixture
def side(tmp_path: Path) -> Iterator[Web]:
    with web(f"sqlite:///{tmp_path / 'browser.db'}", places=tmp_path / "exports") as made:
        create_app(made.services, made.app)
        yield made


def fill(side: Web, count: int = 3) -> None:
    now = now_ns()
    loss = Loss(node="worker-1", start=now, end=now, count=7, cause=LossCause.KERNEL)
    rows = ['{"proc":{"comm":"curl"}}'] * count
    side.control.add(side.session(), rows, losses=[loss])


def make(side: Web, name: str = "Every hour") -> str:
    spec = ScheduleSpec(name=name, what=What(gadget="trace_tcp"), when=When(cron="0 * * * *"))
    return side.services.schedules.create(spec).schedule.id


def test_from_nothing_to_a_file(page: Page, side: Web, tmp_path: Path) -> None:
    fill(side)
    page.open("/exports")
    page.wait(lambda: "Nothing is exported" in page.text("#exports-list"))
    page.click("#exports-list .empty .btn")
    page.find("dialog.exp-form")
    page.keys("hourly tcp")
    page.js(
        "(() => { const s = [...document.querySelectorAll('.exp-form select')]"
        ".find(s => [...s.options].some(o => o.value === 'trace_tcp'));"
        " s.value = 'trace_tcp'; return 1 })()"
    )
    page.click(".exp-form .btn.primary")
    page.wait(lambda: page.texts(f"{CARD} h2") == ["hourly tcp\njsonl"])
    assert "0 * * * *" in page.text(".exp-what")
    assert "trace_tcp" in page.text(".exp-what")
    page.click("[data-act=run]")
    page.wait(lambda: page.text(".exp-next") == "now")
    page.click(".exp-runs summary")
    run_due(side, tmp_path)
    page.wait(lambda: "done" in page.text(".exp-facts"))
    page.wait(lambda: len(page.texts(".exp-table tbody tr")) == 1)
    cells = page.texts(".exp-table tbody td")
    assert (cells[1], cells[2], cells[5]) == ("done", "3", "7")
    name = page.texts(".exp-files a")[0]
    assert name.endswith("-1-3.jsonl")
    page.js(
        "(fetch(document.querySelector('.exp-files a').href).then(r => r.text())"
        ".then(t => { window.got = t }), 1)"
    )
    page.wait("window.got && window.got.split('\\n').length === 4")
    assert page.text("#exports-summary") == "1 schedule"


def test_a_wrong_field_says_why_and_the_form_stays(page: Page, side: Web) -> None:
    make(side)
    page.open("/exports")
    page.find(CARD)
    page.click("[data-act=edit]")
    page.find("dialog.exp-form")
    page.js(
        "(() => { const at = (label) => [...document.querySelectorAll('.exp-form label')]"
        ".find(l => l.textContent.startsWith(label)).control;"
        " at('Keep').value = 'x'; return 1 })()"
    )
    page.click(".exp-form .btn.primary")
    page.wait(lambda: "must be a whole number" in page.text(".exp-fields"))
    assert page.js("document.activeElement.getAttribute('aria-invalid')") == "true"
    page.js("(document.activeElement.value = '5', 1)")
    page.click(".exp-form .btn.primary")
    page.wait(lambda: "5 runs" in page.text(".exp-facts"))


def test_an_interval_of_no_whole_minutes_is_kept_by_an_edit(page: Page, side: Web) -> None:
    spec = ScheduleSpec(name="often", what=What(gadget="trace_tcp"), when=When(every=100))
    id_ = side.services.schedules.create(spec).schedule.id
    page.open("/exports")
    page.click("[data-act=edit]")
    page.find("dialog.exp-form")
    page.keys("er")
    page.click(".exp-form .btn.primary")
    page.wait("!document.querySelector('dialog')")
    assert side.services.schedules.get(id_).schedule.spec.when == When(every=100)


def test_paused_resumed_deleted(page: Page, side: Web) -> None:
    make(side)
    page.open("/exports")
    page.find(CARD)
    assert page.text(".exp-next").startswith("in ")
    page.click("[data-act=pause]")
    page.wait(lambda: page.text(".exp-next") == "paused")
    page.click("[data-act=resume]")
    page.wait(lambda: page.text(".exp-next").startswith("in "))
    page.click("[data-act=delete]")
    page.click("dialog .btn.danger")
    page.wait(lambda: "Nothing is exported" in page.text("#exports-list"))


def test_a_failed_run_says_why(
    page: Page, side: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(side)
    side.services.schedules.ask(make(side))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(export_files.os, "fsync", full)
        run_due(side, tmp_path)
    page.open("/exports")
    page.wait(lambda: "No space left on device" in page.text(CARD))
    assert page.text("#exports-summary") == "1 schedule · 1 failed last"
    page.click(".exp-runs summary")
    page.wait(lambda: page.texts(".exp-reason") == ["No space left on device"])


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_narrow_by_keyboard_and_without_serious_faults(
    page: Page, side: Web, tmp_path: Path, theme: str
) -> None:
    fill(side)
    side.services.schedules.ask(make(side))
    run_due(side, tmp_path)
    page.prefer(prefers_color_scheme=theme)
    page.resize(PHONE)
    page.open("/gadgets")
    page.keys("g", "x")
    page.find(CARD)
    assert page.path == "/exports"
    page.click(".exp-runs summary")
    page.find(".exp-table a")
    assert page.js("document.documentElement.scrollWidth") == PHONE[0]
    assert page.js("document.querySelector('.exp-card').scrollWidth <= innerWidth")
    page.driver.execute_script(AXE)
    assert faults_of(page) == []
    page.click("[data-act=edit]")
    page.find("dialog.exp-form")
    assert faults_of(page) == []
    page.keys(Keys.ESCAPE)
    page.wait("!document.querySelector('dialog')")
