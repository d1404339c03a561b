"""The words of a user's statement: where they are, and what it calls.

SQLite asks us about every function it is about to call; PostgreSQL does not, and everybody may call
most of what it has (`pg_sleep`, `set_config`, `repeat`). So a statement for PostgreSQL is read here,
by PostgreSQL's own lexical rules: a name in front of a parenthesis is a call, and only named ones
are let through. What this misjudges is refused, never let in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from igdash.domain.errors import SqlForbidden, SqlInvalid

_TOKEN: Final = re.compile(
    r"""
    (?P<space>\s+|--[^\n\r]*)
    | (?P<comment>/\*)
    | (?P<text>[eE]'(?:[^'\\]|\\.|'')*'?|(?:[bBxXnN])?'(?:[^']|'')*'?)
    | (?P<dollar>\$(?P<tag>(?:[A-Za-z_\u0080-\U0010ffff][\w\u0080-\U0010ffff]*)?)\$)
    | (?P<unicode>[uU]&["'])
    | (?P<quoted>"(?:[^"]|"")*"?)
    | (?P<name>[A-Za-z_\u0080-\U0010ffff][\w$\u0080-\U0010ffff]*)
    | (?P<number>\.?\d[\w.]*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)

_KEYWORDS: Final = """
    all and any array as asc between by case cross cube desc distinct else end except exists extract
    fetch filter first for from full grouping group having ilike in inner intersect interval is join
    lateral left like limit materialized not null nulls offset on or order outer over partition
    range recursive right rollup row rows select sets similar some then union using values when
    where window with within
    """
KEYWORDS: Final = frozenset(_KEYWORDS.split())
"""Words that may stand in front of a parenthesis and are no call."""

_TYPES: Final = """
    bigint bit boolean char character decimal double float int int2 int4 int8 integer interval
    numeric real smallint text time timestamp timestamptz varchar date json jsonb bool inet cidr
    """
TYPES: Final = frozenset(_TYPES.split())
"""Types that may be written with a length, and as a call they convert."""

_FUNCTIONS: Final = """
    abs acos age array_agg array_length array_position array_to_string asin atan atan2 avg bit_and
    bit_or bool_and bool_or btrim cardinality cast cbrt ceil ceiling char_length character_length
    chr coalesce concat concat_ws corr cos count covar_pop covar_samp cume_dist date_bin date_part
    date_trunc degrees dense_rank div every exp extract family first_value floor format_type
    greatest grouping host initcap inet_same_family json_array_elements json_array_elements_text
    json_array_length json_each json_each_text json_extract_path json_extract_path_text
    json_object_keys json_typeof jsonb_array_elements jsonb_array_elements_text jsonb_array_length
    jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_object_keys
    jsonb_path_exists jsonb_path_query jsonb_path_query_first jsonb_typeof lag last_value lead
    least left length ln log log10 lower ltrim masklen max min mod mode nth_value ntile nullif
    octet_length overlay percent_rank percentile_cont percentile_disc pi position power quote_ident
    quote_literal radians random rank regexp_count regexp_match regexp_matches regexp_replace
    regexp_split_to_array regexp_substr replace reverse right round row_number row_to_json rtrim
    sign sin split_part sqrt starts_with stddev stddev_pop stddev_samp string_agg string_to_array
    strpos substr substring sum tan text to_char to_date to_hex to_json to_jsonb to_number
    to_timestamp translate treat trim trunc unnest upper var_pop var_samp variance width_bucket
    now current_timestamp clock_timestamp localtimestamp current_time make_interval make_timestamp
    make_date jsonb_build_object json_build_object jsonb_agg json_agg jsonb_object_agg
    """
FUNCTIONS: Final = frozenset(_FUNCTIONS.split())
"""What a statement on PostgreSQL may call. Not here: what waits, reads files, changes settings or
roles, takes locks, runs text as SQL, or makes much of nothing (`repeat`, `generate_series`)."""

MAX_LENGTH: Final = 100_000
"""Characters of a statement."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word: `kind` is name, quoted, text, number or other; `start` counts from 0."""

    kind: str
    text: str
    start: int

    @property
    def name(self) -> str:
        """The name it stands for, "" when it is none."""
        if self.kind == "name":
            return self.text.lower()
        return self.text[1:-1].replace('""', '"') if self.kind == "quoted" else ""


def tokens(sql: str) -> list[Token]:
    """Return the words without spaces and comments. Raises `SqlInvalid`, `SqlForbidden`."""
    if len(sql) > MAX_LENGTH:
        raise SqlInvalid(f"a statement has at most {MAX_LENGTH:,} characters")
    if "\0" in sql:
        raise SqlInvalid("NUL is no character of a statement", sql.index("\0") + 1)
    return list(_tokens(sql))


def _tokens(sql: str) -> Iterator[Token]:
    at = 0
    while at < len(sql):
        found = _TOKEN.match(sql, at)
        assert found is not None  # the last alternative takes anything
        kind = found.lastgroup or "other"
        if found["comment"]:
            at = _behind_comment(sql, at)
            continue
        if found["unicode"]:
            raise SqlForbidden("write U& names and texts as plain ones", at + 1)
        end = found.end()
        if found["dollar"]:
            kind, end = "text", _behind_dollar(sql, found)
        if not found["space"]:
            yield Token("text" if kind == "tag" else kind, sql[at:end], at)
        at = end


def _behind_comment(sql: str, start: int) -> int:
    depth = 0
    for found in re.compile(r"/\*|\*/").finditer(sql, start):
        depth += 1 if found[0] == "/*" else -1
        if depth == 0:
            return found.end()
    return len(sql)


def _behind_dollar(sql: str, opening: re.Match[str]) -> int:
    closing = sql.find(opening["dollar"], opening.end())
    return len(sql) if closing < 0 else closing + len(opening["dollar"])


def check_start(words: Sequence[Token]) -> None:
    """Raise `SqlForbidden` for a statement that is no SELECT, `SqlInvalid` for what is none at all."""
    if not words:
        raise SqlInvalid("there is no statement", 1)
    first = words[0]
    if first.text.lower() in _STARTS:
        return
    if first.kind == "name" and first.text.lower() not in _STATEMENTS:
        raise SqlInvalid(f"no statement begins with {first.text[:40]!r}", first.start + 1)
    raise SqlForbidden("only one SELECT over the views is allowed", first.start + 1)


_STARTS: Final = frozenset({"select", "with", "values", "explain", "("})
_OTHERS: Final = """
    abort alter analyze attach begin call checkpoint close cluster comment commit copy create
    deallocate declare delete detach discard do drop end execute fetch grant import insert listen
    load lock merge move notify pragma prepare reassign refresh reindex release replace reset revoke
    rollback savepoint security set show start table truncate unlisten update vacuum
    """
_STATEMENTS: Final = frozenset(_OTHERS.split())
"""What else a statement of either database may begin with; anything else is a slip."""


def without_explain(sql: str, words: Sequence[Token]) -> tuple[str, bool]:
    """Return the statement with a leading EXPLAIN made blank, and whether there was one."""
    if not words or words[0].name != "explain" or words[0].kind != "name":
        return sql, False
    end = words[0].start + len("explain")
    return " " * end + sql[end:], True


def check_calls(words: Sequence[Token]) -> None:
    """Raise `SqlForbidden` for a call of anything that is not in `FUNCTIONS`."""
    made = _own_names(words)
    for index, word in enumerate(words[:-1]):
        if words[index + 1].text != "(" or not word.name:
            continue
        before = words[index - 1] if index else None
        if before is not None and before.text == ".":
            if word.name not in FUNCTIONS:
                raise _no_call(word)
            continue
        plain = word.kind == "name"
        if plain and word.name in KEYWORDS | TYPES:
            continue
        if word.name in FUNCTIONS or index in made:
            continue
        raise _no_call(word)


def _no_call(word: Token) -> SqlForbidden:
    return SqlForbidden(f"the function {word.name}() is not allowed here", word.start + 1)


def _own_names(words: Sequence[Token]) -> set[int]:
    """Return where a parenthesis follows a name that the statement itself makes: `WITH x (a) AS`,
    `AS x (a)`. In neither place can a call stand."""
    own = set()
    for index in range(1, len(words) - 1):
        if not words[index].name or words[index + 1].text != "(":
            continue
        before = words[index - 1]
        introduced = before.kind == "name" and before.name in ("as", "with", "recursive")
        if introduced or (before.text == "," and _defines(words, index)):
            own.add(index)
    return own


def _defines(words: Sequence[Token], index: int) -> bool:
    """Whether `name (a, b) AS [NOT MATERIALIZED] (` stands here."""
    at = index + 2
    while at < len(words) and words[at].text != ")":
        if words[at].text != "," and not words[at].name:
            return False
        at += 1
    rest = [word.text.lower() for word in words[at + 1 : at + 6]]
    plain = [word for word in rest if word not in ("not", "materialized")]
    return plain[:2] == ["as", "("] and plain[2:3] in (["select"], ["values"], ["with"], ["("])
