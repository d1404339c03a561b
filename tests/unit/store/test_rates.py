from __future__ import annotations

import pytest

from igdash.domain.times import NS
from igdash.store.rates import WINDOW, Window, advance, rate


def test_a_steady_flow_has_its_rate_after_one_window() -> None:
    window = Window(0, 0, 0)
    for tick in range(1, 1_000):
        at = 10**18 + tick * NS // 10
        window = advance(window, 50, at)
        if tick > 100:
            assert rate(window, at) == pytest.approx(500, rel=0.03)


def test_it_falls_to_nothing_by_itself() -> None:
    window = advance(Window(0, 0, 0), 100, 10**18)
    rates = [rate(window, 10**18 + s * NS) for s in (0, 9, 12, 15, 19, 20, 10**6)]
    assert rates[0] == 10
    assert rates == sorted(rates, reverse=True)
    assert rates[-2:] == [0, 0]


def test_a_clock_that_steps_back_starts_over() -> None:
    window = advance(Window(10**18, 7, 9), 3, 10**17)
    assert window == Window(10**17, 3, 0)
    assert rate(Window(10**18, 7, 9), 10**17) == pytest.approx(1.6)


def test_an_old_window_is_forgotten() -> None:
    assert advance(Window(10**18, 7, 9), 3, 10**18 + WINDOW) == Window(10**18 + WINDOW, 3, 7)
    assert advance(Window(10**18, 7, 9), 3, 10**18 + 2 * WINDOW) == Window(
        10**18 + 2 * WINDOW, 3, 0
    )
