"""What a statement calls, read by PostgreSQL's lexical rules: nothing hides in texts or comments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from igdash.domain.errors import SqlError, SqlForbidden, SqlInvalid
from igdash.store.sql_tokens import check_calls, check_start, tokens, without_explain


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*), max (a) FROM x WHERE b IN (1, 2) AND (c OR d)",
        "SELECT 'pg_sleep(1)', \"pg_sleep\", $$pg_sleep(1)$$, $a$ pg_sleep(1) $b$ $a$",
        "SELECT 1 -- pg_sleep(1)\n, 2 /* pg_sleep(1) /* pg_sleep(1) */ pg_sleep(1) */",
        "SELECT E'\\' pg_sleep(1) ', 'it''s pg_sleep(1)'",
        "WITH pg_sleep (a) AS (SELECT 1), other (b) AS NOT MATERIALIZED (SELECT 2) SELECT a FROM pg_sleep",
        "SELECT * FROM (VALUES (1)) AS pg_sleep (a)",
        "SELECT CAST(a AS numeric(10, 2)), a::varchar(3), EXTRACT(epoch FROM now())",
        "SELECT sum(a) FILTER (WHERE b) OVER (PARTITION BY c ORDER BY d) FROM x",
        "SELECT COUNT(DISTINCT a), Upper(b) FROM x GROUP BY ROLLUP (a)",
        "SELECT * FROM x JOIN y USING (a) WHERE EXISTS (SELECT 1) AND a = ANY (ARRAY(SELECT 1))",
    ],
)
def test_plain_statements_pass(sql: str) -> None:
    check_calls(tokens(sql))


@pytest.mark.parametrize(
    ("sql", "position"),
    [
        ("SELECT pg_sleep(1)", 8),
        ("SELECT PG_Sleep (1)", 8),
        ('SELECT "pg_sleep"(1)', 8),
        ("SELECT pg_catalog . pg_sleep(1)", 21),
        ("SELECT 'a' 'b', pg_sleep(1)", 17),
        ("SELECT 'a\\', pg_sleep(1) --'", 14),
        ("SELECT E'a\\'', pg_sleep(1) --'", 16),
        ("SELECT $$ $$, pg_sleep(1) -- $$", 15),
        ("SELECT /* /* */ */ pg_sleep(1)", 20),
        ("SELECT x, pg_sleep(1) AS (a int)", 11),
        ("SELECT DISTINCT ON (a) pg_sleep(1)", 24),
        ("SELECT a+pg_sleep(1)", 10),
        ("SELECT a.pg_sleep(1)", 10),
        ("SELECT array[1]::pg_sleep(1)", 18),
        ("SELECT 1pg_sleep(1), set_config('a', 'b', false)", 22),
        ("WITH x AS (SELECT 1), pg_sleep (a) AS (a int) SELECT 1", 23),
    ],
)
def test_calls_that_are_not_named_are_refused(sql: str, position: int) -> None:
    with pytest.raises(SqlForbidden) as caught:
        check_calls(tokens(sql))
    assert caught.value.position == position


def test_other_ways_to_write_names_are_refused() -> None:
    for sql in ('SELECT U&"pg\\005fsleep"(1)', "SELECT u&'x'"):
        with pytest.raises(SqlForbidden):
            tokens(sql)


def test_statements_begin_like_selects() -> None:
    for sql in ("", " -- x", "/* x", "SELEKT 1", " foo"):
        with pytest.raises(SqlInvalid):
            check_start(tokens(sql))
    for sql in ("DELETE FROM x", "/* SELECT */ DROP TABLE x", "PRAGMA x", '"select" 1'):
        with pytest.raises(SqlForbidden):
            check_start(tokens(sql))


def test_explain_is_taken_off_without_moving_anything() -> None:
    sql = " EXPLAIN SELECT a"
    assert without_explain(sql, tokens(sql)) == ("         SELECT a", True)
    assert without_explain("SELECT 1", tokens("SELECT 1")) == ("SELECT 1", False)


@given(st.text(max_size=200) | st.text("'\"$/*-eEuU&a();.\n\\ ", max_size=60))
def test_any_text_is_read_to_its_end(sql: str) -> None:
    try:
        words = tokens(sql)
    except SqlError:
        return
    assert all(sql[word.start : word.start + len(word.text)] == word.text for word in words)
    ends = [word.start + len(word.text) for word in words]
    assert all(end <= word.start for end, word in zip(ends, words[1:], strict=False))
