from __future__ import annotations

from benchmarks.__main__ import QUICK, benchmarks


def test_each_benchmark_can_be_run_quickly() -> None:
    assert set(benchmarks()) == set(QUICK)
