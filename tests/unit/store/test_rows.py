from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from igdash.domain.gadgets import DataSource, Field
from igdash.store.rows import clamp, clean, dump_sources, load_sources


@given(st.text())
def test_clean_text_is_storable_and_usually_the_same(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode()
    assert "\0" not in cleaned
    if "\0" not in text and not any(0xD800 <= ord(c) <= 0xDFFF for c in text):
        assert cleaned == text


def test_numbers_are_kept_within_64_bits() -> None:
    assert [clamp(n) for n in (-(2**70), -1, 0, 2**70)] == [-(2**63), -1, 0, 2**63 - 1]


def test_sources_come_back() -> None:
    sources = (DataSource(name="x", array=True, fields=(Field(name="a.b", one_of=("1",)),)),)
    key, text = dump_sources(sources)
    assert load_sources(text) == sources
    assert dump_sources(sources)[0] == key
    assert dump_sources(())[0] != key
