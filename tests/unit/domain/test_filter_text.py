"""Reading and printing filters: precedence, types, names, errors with their places, time limits."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from igdash.domain.filter_complete import complete
from igdash.domain.filter_fields import UnknownField
from igdash.domain.filter_text import MAX_DEPTH, MAX_TEXT, number_path, parse, to_text, value_path
from igdash.domain.filters import (
    And,
    Compare,
    Filter,
    FilterError,
    In,
    Network,
    Not,
    Op,
    Or,
    Range,
    Text,
    Value,
    ValueKind,
    Virtual,
    conjunction,
    leaves,
)
from igdash.domain.gadgets import Field
from tests.support import filters as made

SCHEMA = (
    Field(name="k8s", kind=""),
    Field(name="k8s.namespace", kind="String", template="namespace"),
    Field(name="k8s.podName", kind="String"),
    Field(name="k8s.containerName", kind="String"),
    Field(name="k8s.hostnetwork", kind="Bool"),
    Field(name="proc", kind="Bytes"),
    Field(name="proc.comm", kind="CString"),
    Field(name="proc.pid", kind="Uint32"),
    Field(name="proc.creds.uid", kind="Uint32"),
    Field(name="src.addr", kind="String"),
    Field(name="src.port", kind="Uint16"),
    Field(name="dst.addr", kind="String"),
    Field(name="dst.port", kind="Uint16"),
    Field(name="latency_ns", kind="String", template="duration"),
    Field(name="latency_ns_raw", kind="Uint64"),
    Field(name="mem", kind="String", template="bytes"),
    Field(name="mem_raw", kind="Uint64"),
    Field(name="timestamp", kind="String", template="timestamp"),
    Field(name="timestamp_raw", kind="Uint64"),
    Field(name="type", kind="String", one_of=("connect", "close")),
    Field(name="type_raw", kind="Uint8"),
    Field(name="ratio", kind="Float64"),
    Field(name="buckets", kind="Uint32[]"),
    Field(name="fname", kind="String"),
    Field(name="not", kind="Uint8"),
    Field(name="secret", kind="String", in_json=False),
)


def one(text: str) -> Filter:
    return parse(text, SCHEMA)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("a1 or fname", '"a1" or "fname"'),
        ("namespace = demo", 'namespace = "demo"'),
        ("namespace == 'de\"mo'", 'namespace = "de\\"mo"'),
        ("comm ~ curl AND pid > 4 OR lost", 'comm ~ "curl" and pid > 4 or lost'),
        ("comm ~ curl and (pid > 4 or lost)", 'comm ~ "curl" and (pid > 4 or lost)'),
        ("not (a and b) or not c", 'not ("a" and "b") or not "c"'),
        ("not not not comm = x", 'comm != "x"'),
        ("not comm != x", 'comm = "x"'),
        ("comm !~ x", 'comm !~ "x"'),
        ("comm not like x*", 'comm not like "x*"'),
        ("not comm =~ '^a'", 'not comm =~ "^a"'),
        ("pid not in (1, 0x10)", "pid not in (1, 16)"),
        ("port1 = 1 or src.port in 80", None),
        ("src.port in 80", "src.port in (80)"),
        ("pid in 1000..1999", "pid in 1000..1999"),
        ("pid in -5..5", "pid in -5..5"),
        ("dst.port in (80, 8000..8100, 443)", "dst.port in (80, 443) or dst.port in 8000..8100"),
        ("src.addr in 10.1.2.3/8", "src.addr in 10.0.0.0/8"),
        ("src.addr in (10.0.0.0/8, fd00::/8)", "src.addr in (10.0.0.0/8, fd00::/8)"),
        ("fname in (/etc/passwd, '10.0.0.0/8')", 'fname in ("/etc/passwd", "10.0.0.0/8")'),
        ("latency_ns > 5ms", "latency_ns > 5ms"),
        ("latency_ns > 1h30m", "latency_ns > 90m"),
        ("latency_ns > 1.5s", "latency_ns > 1500ms"),
        ("latency_ns = 5ms", "latency_ns = 5ms"),
        ('latency_ns = "5ms"', 'latency_ns = "5ms"'),
        ("latency_ns in (1ms, 2ms)", "latency_ns in (1ms, 2ms)"),
        ("latency_ns in (1ms, x)", 'latency_ns in ("1ms", "x")'),
        ("latency_ns >= 0s", "latency_ns >= 0ns"),
        ("mem > 10MiB and mem < 1.5GB", "mem > 10MiB and mem < 1500MB"),
        ("mem > 0.5B", "mem > 0.5"),
        ("time > 2026-11-22T23:13:24Z", "time > 2026-11-22T23:13:24.000000000Z"),
        ("time > '2026-11-22 23:13:24.5'", "time > 2026-11-22T23:13:24.500000000Z"),
        ("timestamp < 2026-11-22", "timestamp < 2026-11-22T00:00:00.000000000Z"),
        ("time > 0099-01-02", "time > 0099-01-02T00:00:00.000000000Z"),
        ("type > 1", "type > 1"),
        ("type = 1", 'type = "1"'),
        ("ratio > 1.5e3", "ratio > 1500.0"),
        ("ratio > 1e300", "ratio > 1e300"),
        ("buckets = 3", "buckets = 3"),
        ("hostnetwork = true", "hostnetwork = true"),
        ("k8s.hostnetwork != false", "k8s.hostnetwork != false"),
        ("exists proc and exists fname", "exists proc and exists fname"),
        ("'not' = 3", '"not" = 3'),
        ("not = 3", '"not" = 3'),
        ("lost or malformed", "lost or malformed"),
        ('"lost"', '"lost"'),
        ("node = n1 and source = tcp and seq > 5", 'node = "n1" and source = "tcp" and seq > 5'),
        ("container ~ web", 'container ~ "web"'),
        ("((((a))))", '"a"'),
        ("(a and b) and (c and d)", '"a" and "b" and "c" and "d"'),
        ("comm = é", 'comm = "é"'),
        (r'comm =~ "^\d+\\$"', r'comm =~ "^\\d+\\$"'),
        ("pid = 18446744073709551615", "pid = 18446744073709551615"),
        ("pid = 9007199254740993", "pid = 9007199254740993"),
    ],
)
def test_texts_and_their_canonical_form(text: str, canonical: str | None) -> None:
    if canonical is None:
        with pytest.raises(FilterError):
            one(text)
        return
    node = one(text)
    assert to_text(node) == canonical
    assert one(canonical) == node


@pytest.mark.parametrize(
    ("text", "message", "wrong", "suggestion"),
    [
        ("", "a condition is missing here", "", None),
        ("a and", "a condition is missing here", "", None),
        ("namespce = x", "did you mean namespace", "namespce", "namespace"),
        ("addr = x", "may be src.addr or dst.addr", "addr", "src.addr"),
        ("secret = x", "no field 'secret'", "secret", None),
        ("pid = abc", "proc.pid is a number", "abc", None),
        ("comm > 3", "only numbers and times have an order", "comm", None),
        ("pid ~ 3", "~ does not apply", "pid", None),
        ("k8s.hostnetwork = 1", "is true or false", "1", "true"),
        ("proc = 1", "is a group of fields", "proc", "proc.comm"),
        ("time > soon", "is no time such as", "soon", None),
        ("time > '0001-01-01T00:00:00+14:00'", "is no time", "'0001-01-01T00:00:00+14:00'", None),
        ("pid in 5..1", "ends before it begins", "5..1", "1..5"),
        ("pid in (1", "',' or ')' should stand here", "", None),
        ("pid =", "a value is missing here", "", None),
        ("pid = )", "a value should stand here", ")", None),
        ("comm curl", "put 'and' or 'or' between", "curl", "and curl"),
        ("a && b", "not an operator here; use 'and'", "&&", "and"),
        ("a || b", "not an operator here; use 'or'", "||", "or"),
        ("!a", "use 'not'", "!", "not"),
        ('comm = "abc', "no closing quote", '"abc', '"abc"'),
        ("comm = a[1]", "put texts with it in quotes", "[1]", '"[1]"'),
        ("(a", "never closed", "(", None),
        ("a)", "never opened", ")", ""),
        ("and", "a condition should stand here", "and", '"and"'),
        ("exists", "name of a field is missing", "", None),
        ('""', "empty text", '""', None),
        ("(" * (MAX_DEPTH + 1) + "a", "nested deeper than", "(", None),
        ("a" * (MAX_TEXT + 1), "longer than", "a", None),
        ("comm =~ '('", "not a regular expression: missing )", "'('", None),
    ],
)
def test_errors_name_the_place_and_what_may_stand_there(
    text: str, message: str, wrong: str, suggestion: str | None
) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text, SCHEMA, lambda pattern: "missing )" if pattern == "(" else "")
    error = caught.value
    assert message in error.message.replace("pid is", "proc.pid is").replace("proc.proc.", "proc.")
    assert text[error.position : error.end] == wrong
    if suggestion is None:
        return
    assert suggestion in error.suggestions


def test_every_suggestion_of_a_name_can_be_used() -> None:
    for text in ("namespce = x", "addr = x", "comn ~ x", "proc = 1"):
        with pytest.raises(FilterError) as caught:
            one(text)
        error = caught.value
        assert error.suggestions
        for suggestion in error.suggestions:
            fixed = text[: error.position] + suggestion + text[error.end :]
            place = _wrong(fixed)
            assert place is None or place[0] > error.position, fixed


def _wrong(text: str) -> tuple[int, int] | None:
    """Return the place of a text's error, None when there is none."""
    try:
        parse(text, SCHEMA)
    except FilterError as error:
        return (error.position, error.end) if error.message else (-1, -1)
    return None


def test_the_tree() -> None:
    node = one("namespace = demo and not dst.port in (80, 443) or connect")
    number = ValueKind.NUMBER
    assert node == Or(
        parts=(
            And(
                parts=(
                    Compare(
                        field="namespace",
                        path="k8s.namespace",
                        op=Op.EQ,
                        value=Value(kind=ValueKind.TEXT, value="demo"),
                    ),
                    Not(
                        part=In(
                            field="dst.port",
                            path="dst.port",
                            values=(Value(kind=number, value=80), Value(kind=number, value=443)),
                        )
                    ),
                )
            ),
            Text(word="connect"),
        )
    )


def test_nodes_know_their_places() -> None:
    text = "namespace = demo and not (pid in 1..2 or lost) and exists proc"
    node = one(text)
    assert isinstance(node, And)
    assert [text[slice(*part.at)] for part in node.parts] == [
        "namespace = demo",
        "not (pid in 1..2 or lost)",
        "exists proc",
    ]


def test_measures_are_compared_by_the_number_behind_them() -> None:
    node = one("latency_ns > 5ms")
    assert isinstance(node, Compare)
    assert (node.path, node.value.value) == ("latency_ns_raw", 5_000_000)
    shown = one('latency_ns = "5ms"')
    assert isinstance(shown, Compare)
    assert shown.path == "latency_ns"
    span = one("mem in 1KiB..1MiB")
    assert isinstance(span, Range)
    assert (span.path, span.low.value, span.high.value) == ("mem_raw", 1024, 2**20)
    assert number_path("latency_ns", SCHEMA) == "latency_ns_raw"
    assert number_path("type", SCHEMA) == "type"
    assert value_path("pod", SCHEMA) == "k8s.podName"
    assert value_path("container", SCHEMA) == "@container"
    with pytest.raises(UnknownField):
        value_path("proc", SCHEMA)


def test_without_fields_values_are_what_they_look_like() -> None:
    node = parse('a.b = 443 and c = "443" and d = true and e = x and f in 10.0.0.0/8 and pod = 5')
    assert isinstance(node, And)
    found = [part.value for part in node.parts if isinstance(part, Compare)]
    assert [(v.kind.value, v.value) for v in found] == [
        ("number", 443),
        ("text", "443"),
        ("bool", True),
        ("text", "x"),
        ("number", 5),
    ]
    assert isinstance(node.parts[4], Network)
    assert [p.path for p in node.parts if isinstance(p, Compare)][-1] == "k8s.podName"
    assert parse(to_text(node)) == node


@settings(max_examples=300, deadline=None)
@given(made.filters.filter(lambda node: all(getattr(leaf, "path", "x") for leaf in leaves(node))))
def test_what_is_printed_is_read_back(node: Filter) -> None:
    text = to_text(node)
    if len(text) <= MAX_TEXT:
        again = parse(text)
        assert to_text(again) == text
        assert parse(to_text(again)) == again


def test_conjunction() -> None:
    a, b, c = Text(word="a"), Text(word="b"), Virtual(name="lost")
    assert conjunction() is None
    assert conjunction(None, a) == a
    assert conjunction(conjunction(a, b), c) == And(parts=(a, b, c))


LONG = 'namespace = "demo" and (comm ~ curl or pid in (1, 2, 3..9)) and not time > 2026-11-22T23:13:24Z'


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [*"ab1\"'()=!~<>,.\\ \n*[]é-/:", "and ", "or ", "not ", "in ", "comm ", "..", "like "]
        ),
        max_size=60,
    )
)
def test_any_text_is_read_or_refused_with_a_place(words: list[str]) -> None:
    text = "".join(words)
    place = _wrong(text)
    if place is None:
        node = one(text)
        assert one(to_text(node)) == node
    else:
        assert 0 <= place[0] <= place[1] <= len(text)
    for cursor in (0, len(text) // 2, len(text)):
        found = complete(text, cursor, SCHEMA)
        assert 0 <= found.start <= cursor <= found.end <= len(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000,
        "(" * 4_000,
        "(" * 30 + "a" + ")" * 30,
        "not " * 1_000,
        "a or " * 800 + "a",
        "x = x " * 600,
        "pid in (" + "1," * 2_000 + "1)",
        '"' * 4_001,
        "\\'" * 2_000,
        "a" * 4_000,
        "nmespace = 1 or " * 200,
        "1" * 4_000,
        "pid = " + "9" * 4_000,
        "latency_ns > " + "1ms" * 1_000,
        " " * 4_000 + "a",
        "x" * 1_000_000,
        "\0" * 4_000,
        LONG,
    ],
)
def test_any_prefix_of_any_text_is_answered_at_once(text: str) -> None:
    lengths = range(len(text)) if len(text) < 120 else (len(text), len(text) // 2, 17, 3_999)
    for length in lengths:
        best = min(_seconds(text[:length]) for _ in range(3))
        assert best < 0.05, (text[:20], length)


def _seconds(text: str) -> float:
    begun = time.thread_time()
    _wrong(text)
    complete(text, len(text), SCHEMA)
    return time.thread_time() - begun


def test_terms_of_a_schema_of_conflicting_kinds_are_anything() -> None:
    both = (Field(name="x", kind="String"), Field(name="x", kind="Uint8"))
    assert to_text(parse("x = 1 or x = a or x > 1", both)) == 'x = 1 or x = "a" or x > 1'
