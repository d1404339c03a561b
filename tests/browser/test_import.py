"""Importing in a real browser: chosen and dropped files, what became of them, errors, a phone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.browser import PHONE, Page
from tests.support.web import Web

EVENTS = b'{"n":1}\n{"n":2}\n{"n":3}\n'


@pytest.fixture
def quiet() -> Callable[[str], bool]:
    """A refused upload is an error to the browser, too."""
    return lambda message: "/api/import?" in message and "422" in message


def choose(page: Page, *files: Path) -> None:
    page.find(".imp-dlg")
    (field,) = page.all("#import-file")
    field.send_keys("\n".join(map(str, files)))


def test_a_chosen_file_becomes_a_session(page: Page, side: Web, tmp_path: Path) -> None:
    path = tmp_path / "tcp capture.jsonl"
    path.write_bytes(EVENTS)
    page.open("/sessions")
    page.click("#sessions-import")
    page.find("#import-name").send_keys("Tuesday")
    page.js("document.getElementById('import-gadget').value = 'trace_dns'")
    choose(page, path)
    page.find(".imp-line.ok")
    assert "capture, 3 lines, 24 B" in page.text(".imp-line")
    ((request, status),) = side.control.imported
    assert (request.file, request.name, request.gadget) == (
        "tcp capture.jsonl",
        "Tuesday",
        "trace_dns",
    )
    page.wait(f"document.querySelector(\"tr[data-id='{status.sessions[0]}']\") !== null")
    assert "Run again" not in page.text(f"tr[data-id='{status.sessions[0]}']")
    page.click(".imp-links a")
    page.wait(f"location.pathname === '/sessions/{status.sessions[0]}'")
    page.wait("document.getElementById('session-again').hidden")
    page.click("#session-export")
    assert any("Report" in text for text in page.texts("a.s-format"))


def test_an_import_is_followed_on_after_an_answer_that_failed(
    page: Page, side: Web, tmp_path: Path
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(EVENTS)
    page.open("/sessions")
    page.js(
        """(api => { igdash.api = async (path, options) => {
            if (path !== '/api/imports') return api(path, options);
            window.polls = (window.polls || 0) + 1;
            if (window.polls === 2) throw new Error('busy');
            const answer = await api(path, options);
            if (window.polls < 2) answer.imports.forEach((one) => { one.state = 'running'; });
            return answer;
        }; })(igdash.api) || 1"""
    )
    page.js(
        """(() => { const real = JSON.parse; JSON.parse = (text) => { const it = real(text);
            if (it && it.state === 'done' && 'lines' in it) it.state = 'running'; return it; }; })() || 1"""
    )
    page.click("#sessions-import")
    choose(page, path)
    page.wait("window.polls === 2")
    page.find(".imp-line.ok")


def test_what_is_refused_says_why_and_can_be_dismissed(
    page: Page, side: Web, tmp_path: Path
) -> None:
    bad, good = tmp_path / "<b>x.csv", tmp_path / "y.jsonl"
    bad.write_bytes(b"a,b\n1,2\n")
    good.write_bytes(EVENTS)
    page.open("/sessions")
    page.click("#sessions-import")
    choose(page, bad, good)
    page.find(".imp-line.err")
    page.find(".imp-line.ok")
    assert "<b>x.csv" in page.text(".imp-line.err")
    assert "not imported: is not JSON lines" in page.text(".imp-line.err")
    page.click(".imp-line.err button[aria-label^=Dismiss]")
    page.wait("document.querySelectorAll('.imp-line').length === 1")


def test_files_dropped_on_the_table_are_imported(page: Page, side: Web) -> None:
    page.open("/sessions")
    page.find("#sessions-import")
    page.driver.execute_script(
        """
        const data = new DataTransfer();
        data.items.add(new File(['{"n":1}\\n'], 'dropped.jsonl'));
        const root = document.getElementById('sessions-root');
        for (const kind of ['dragenter', 'dragover', 'drop'])
          root.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
        """
    )
    page.find(".imp-line.ok")
    assert side.control.imported[0][0].file == "dropped.jsonl"
    assert not page.js("document.querySelector('.imp-over') !== null")


def test_on_a_phone_nothing_sticks_out(page: Page, side: Web, tmp_path: Path) -> None:
    path = tmp_path / ("n" * 120 + ".jsonl")
    path.write_bytes(EVENTS)
    page.resize(PHONE)
    page.open("/sessions")
    page.click("#sessions-import")
    assert page.js("document.querySelector('.imp-dlg').getBoundingClientRect().right <= innerWidth")
    choose(page, path)
    page.find(".imp-line.ok")
    assert page.js("document.documentElement.scrollWidth <= innerWidth")


def test_a_report_opens_by_itself(page: Page, side: Web, tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(EVENTS)
    page.open("/sessions")
    page.click("#sessions-import")
    choose(page, path)
    page.find(".imp-line.ok")
    session = side.control.imported[0][1].sessions[0]
    answer = side.app.test_client().get(
        f"/api/sessions/{session}/export?format=html", base_url="http://127.0.0.1:8050"
    )
    saved = tmp_path / "report.html"
    saved.write_bytes(answer.data)
    page.driver.get(saved.as_uri())
    assert page.js("document.querySelectorAll('details').length") == 3
    assert page.js("performance.getEntriesByType('resource').length") == 0
    page.js("document.querySelector('summary').click()")
    assert page.js("document.querySelector('details').open")
