"""The process that runs one statement of a user, and nothing else.

It is started as a script (`python -I sandbox.py`), not imported: with the standard library alone it
is there in some 20 ms, and whatever a statement does to it, the process that asked goes on. What it
may do is decided before the statement is looked at: a connection that cannot write, views that are
all there is to read, functions and actions that are named here, and limits for time, memory, rows
and bytes. Whoever started it kills it when all that fails.

It reads one JSON object from stdin and writes lines: `C` column names, `R` rows as JSON, in the end
`E` with what became of it.
"""

from __future__ import annotations

import itertools
import json
import re
import resource
import select
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import quote

MIB: Final = 1024 * 1024
BLOCK: Final = 200
"""Rows fetched at once."""
OPS: Final = 2_000
"""Steps of SQLite's machine between two looks at the clock."""
MAX_VALUE: Final = 4 * MIB
"""Longest text or blob that a statement may make (and an event may have, to be read here)."""

_FUNCTIONS: Final = """
    abs acos acosh asin asinh atan atan2 atanh avg ceil ceiling char coalesce concat concat_ws cos
    cosh count cume_dist current_date current_time current_timestamp date datetime degrees
    dense_rank exp first_value floor glob group_concat hex ifnull iif instr json json_array
    json_array_length json_extract json_group_array json_group_object json_object json_quote
    json_type json_valid julianday lag last_value lead length like likely ln log log10 log2 lower
    ltrim max min mod nth_value ntile nullif percent_rank pi pow power quote radians random rank
    replace round row_number rtrim sign sin sinh sqrt strftime string_agg substr substring sum tan
    tanh time timediff total trim trunc typeof unicode unixepoch unlikely upper -> ->>
    """
FUNCTIONS: Final = frozenset(_FUNCTIONS.split())
"""What a statement on SQLite may call; `printf`, `zeroblob` and the like make a gigabyte of nothing."""
TABLE_FUNCTIONS: Final = frozenset({"json_each", "json_tree"})
_NUMBER: Final = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")

OK: Final = 0
DENY: Final = 1


class Refused(Exception):
    """Why there is no answer. `kind` is invalid, forbidden, time, memory, cancelled or store."""

    def __init__(self, kind: str, why: str, position: int = 0) -> None:
        self.kind = kind
        self.position = position
        super().__init__(why)


class Writer:
    """Writes rows until there are too many of them, and remembers of what types they were."""

    def __init__(self, rows: int, size: int) -> None:
        self._rows, self._size = rows, size
        self._out = sys.stdout.buffer
        self.count = 0
        self.truncated = False

    def columns(self, names: Sequence[str]) -> None:
        """Write the names of the columns."""
        self.line(b"C", json.dumps(names))

    def rows(self, rows: Iterable[str]) -> bool:
        """Write rows, each as JSON text; return whether more may come."""
        kept, held = list[str](), 0
        for text in rows:
            size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
            self._size -= size + 1
            if self.count >= self._rows or self._size < 0:
                self.truncated = True
                break
            kept.append(text)
            self.count += 1
            held += size
            if held > MIB:
                self.line(b"R", ",".join(kept))
                kept, held = [], 0
        if kept:
            self.line(b"R", ",".join(kept))
        return not self.truncated

    def line(self, kind: bytes, text: str) -> None:
        """Write one line."""
        self._out.write(kind + text.encode("utf-8", "replace") + b"\n")
        self._out.flush()


class Types:
    """What types the values of each column had."""

    def __init__(self, width: int) -> None:
        self._seen: list[set[type]] = [set() for _ in range(width)]

    def see(self, row: Sequence[Any]) -> None:
        """Take in a row."""
        for seen, value in zip(self._seen, row, strict=True):
            seen.add(type(value))

    def names(self) -> list[str]:
        """Return a name per column, empty where there was no value."""
        return [self._name(seen - {type(None)}) for seen in self._seen]

    def _name(self, seen: set[type]) -> str:
        if not seen:
            return ""
        if seen == {int}:
            return "integer"
        if seen <= {int, float}:
            return "number"
        return "blob" if seen == {bytes} else "text"


def main() -> None:
    """Answer the one question on stdin."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    request = json.loads(sys.stdin.buffer.readline())
    began = time.monotonic()
    out = Writer(request["rows"], request["bytes"])
    run = run_sqlite if request["engine"] == "sqlite" else run_postgres
    try:
        types = run(request, out)
        end: dict[str, Any] = {"types": types, "truncated": out.truncated, "rows": out.count}
    except Refused as error:
        end = {"kind": error.kind, "why": str(error), "position": error.position}
    except MemoryError:
        end = {"kind": "memory", "why": "", "position": 0}
    end["ms"] = round((time.monotonic() - began) * 1000, 3)
    out.line(b"E", json.dumps(end))


def confine(memory: int, seconds: float) -> None:
    """Give up what is not needed any more: files, processes, memory, time."""
    cpu = int(seconds) + 2
    limits = [
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_NPROC, 0),
    ]
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - pathlib costs 5 ms
            used = int(file.read().split()[0]) * resource.getpagesize()
        limits.append((resource.RLIMIT_AS, used + memory))
    for what, limit in limits:
        _, hard = resource.getrlimit(what)
        resource.setrlimit(what, (limit if hard < 0 else min(limit, hard), hard))


# ---------------------------------------------------------------- SQLite


def run_sqlite(request: dict[str, Any], out: Writer) -> list[str]:
    """Run the statement; return the types of its columns. Raises `Refused`."""
    import sqlite3

    seconds = float(request["seconds"])
    deadline = time.monotonic() + seconds
    try:
        conn = sqlite3.connect(
            f"file:{quote(request['path'])}?mode=ro", uri=True, isolation_level=None, timeout=2.0
        )
        _prepare(conn, request)
        judge = Judge(request["views"], _tables(conn))
        confine(2 * int(request["memory"]), seconds)
        conn.set_authorizer(judge.look)
        conn.set_progress_handler(lambda: time.monotonic() > deadline, OPS)
    except sqlite3.Error as error:
        raise Refused("store", str(error)) from error
    explain = "EXPLAIN QUERY PLAN " if request["explain"] else ""
    try:
        cursor = conn.execute(explain + request["sql"])
        names = [column[0] for column in cursor.description or ()]
        out.columns(names)
        types = Types(len(names))
        while block := cursor.fetchmany(BLOCK):
            if not out.rows(_json_row(row, types) for row in block):
                break
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise _sqlite_refused(error, request, judge, conn) from error
    return types.names()


def _prepare(conn: Any, request: dict[str, Any]) -> None:
    """Make the views, the only things that can be read afterwards, and set SQLite's own limits."""
    import sqlite3

    conn.text_factory = lambda raw: raw.decode("utf-8", "replace")
    conn.execute(f"PRAGMA hard_heap_limit={int(request['memory'])}")
    conn.execute("PRAGMA temp_store=MEMORY")
    conn.execute("PRAGMA cache_size=-16000")
    for name, inner, body in request["views"]:
        conn.execute(f'CREATE TEMP VIEW "{inner}" AS {body}')
        conn.execute(f'CREATE TEMP VIEW "{name}" AS SELECT * FROM temp."{inner}"')  # noqa: S608
    conn.execute("PRAGMA query_only=ON")
    conn.execute("PRAGMA trusted_schema=OFF")
    conn.execute("BEGIN")
    for table in TABLE_FUNCTIONS:  # a first use declares the table, which is no SELECT any more
        conn.execute(f"SELECT count(*) FROM {table}('[]')").fetchone()  # noqa: S608
    for what, limit in (
        (sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE),
        (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 200_000),
        (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 200),
        (sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 50),
        (sqlite3.SQLITE_LIMIT_VDBE_OP, 100_000),
        (sqlite3.SQLITE_LIMIT_FUNCTION_ARG, 40),
        (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
        (sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_000),
        (sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 0),
        (sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1),
        (sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0),
    ):
        conn.setlimit(what, limit)


def _tables(conn: Any) -> set[str]:
    """Return every name that is a table, or would become one."""
    found = {row[0] for row in conn.execute("SELECT lower(name) FROM main.sqlite_master")}
    return found | {row[0].lower() for row in conn.execute("PRAGMA module_list")}


class Judge:
    """Says of every action of a statement whether it is allowed; remembers the first that is not.

    Each view is two: the one users name selects from an inner one, whose name nobody can guess, and
    only within an inner one may a table be read. SQLite tells the view it is in by a name that a
    common table expression could carry as well; it cannot carry one that is not known.
    """

    def __init__(self, views: Sequence[Sequence[str]], tables: set[str]) -> None:
        import sqlite3

        self._s = sqlite3
        self._tables = tables
        self._outer = {name for name, _, _ in views}
        self._inner = {inner for _, inner, _ in views}
        self.why = ""
        self.what = ""

    def look(
        self, action: int, one: str | None, two: str | None, _db: str | None, within: str | None
    ) -> int:
        """Return SQLITE_OK or SQLITE_DENY: the callback of `set_authorizer`."""
        s = self._s
        if action in (s.SQLITE_SELECT, s.SQLITE_RECURSIVE):
            return OK
        if action == s.SQLITE_READ:
            return self._read((one or "").lower(), two or "", within)
        if action == s.SQLITE_FUNCTION:
            name = (two or "").lower()
            if name in FUNCTIONS or within in self._inner:
                return OK
            return self._deny(f"the function {name}() is not allowed here", name)
        return self._deny("only one SELECT over the views is allowed", "")

    def _read(self, table: str, column: str, within: str | None) -> int:
        if within in self._inner or table in self._outer or table in TABLE_FUNCTIONS:
            return OK
        if table in self._inner and within in self._outer:
            return OK
        made_here = not column and not table.startswith(("sqlite_", "pragma_"))
        if made_here and table not in self._tables:  # a recursive table expression, counted
            return OK
        return self._deny(f"{table} is not one of the views", table)

    def _deny(self, why: str, what: str) -> int:
        if not self.why:
            self.why, self.what = why, what
        return DENY


def _json_row(row: Sequence[Any], types: Types) -> str:
    types.see(row)
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError):
        plain = [_plain(value) for value in row]
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and value - value != 0:
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _sqlite_refused(error: Exception, request: dict[str, Any], judge: Judge, conn: Any) -> Refused:
    import sqlite3

    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    text = str(error)
    tokens = Tokens(request["sql"], request["tokens"])
    if judge.why and primary in (sqlite3.SQLITE_AUTH, sqlite3.SQLITE_ERROR):
        return Refused("forbidden", judge.why, tokens.find(judge.what) if judge.what else 1)
    if primary == sqlite3.SQLITE_INTERRUPT:
        return Refused("time", "")
    if text.startswith("cannot modify"):
        return Refused("forbidden", "only one SELECT over the views is allowed", 1)
    if primary in (sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_TOOBIG):
        return Refused("memory", "a text is too long" if primary == sqlite3.SQLITE_TOOBIG else "")
    if primary is None:
        return Refused("invalid", "write one statement, without any other behind it")
    if primary != sqlite3.SQLITE_ERROR:
        return Refused("store", text)
    return Refused("invalid", text, _sqlite_position(text, request["sql"], tokens, conn))


class Tokens:
    """The words of the statement, for saying where something is wrong. Positions count from 1."""

    def __init__(self, sql: str, spans: Sequence[Sequence[int]]) -> None:
        self.spans = spans
        self._words = [sql[start:end] for start, end in spans]

    def find(self, word: str) -> int:
        """Return where a word is, 0 when it is not there."""
        return next(iter(self.each(word)), 0)

    def each(self, word: str) -> Iterable[int]:
        """Yield everywhere a word is."""
        wanted = word.lower()
        for (start, _), text in zip(self.spans, self._words, strict=True):
            if text.lower().strip('"`[]') == wanted or text == word:
                yield start + 1


def _sqlite_position(text: str, sql: str, tokens: Tokens, conn: Any) -> int:
    """Return where SQLite met the error: it says the word, not the place.

    The parser stops at the first word that cannot follow, so the place is the first one of that
    word at which the statement cut behind it fails in the same way.
    """
    if text == "incomplete input":
        return len(sql) + 1
    near = re.fullmatch(r'near "(.*)": syntax error', text, re.DOTALL)
    if near:
        return _near(text, near[1], sql, tokens, conn)
    named = re.search(r"(?:no such \w+|ambiguous column name|function)[: ]+([\w.]+)", text)
    return tokens.find(named[1].rpartition(".")[2]) if named else 0


def _near(text: str, word: str, sql: str, tokens: Tokens, conn: Any) -> int:
    places = list(tokens.each(word))
    for at in places[:50]:
        try:
            conn.execute("EXPLAIN " + sql[: at - 1 + len(word)]).close()
        except Exception as error:  # noqa: BLE001 - any other one is just not it
            if str(error) == text:
                return at
    return places[0] if places else 0


# ---------------------------------------------------------------- PostgreSQL

_INTEGERS: Final = frozenset({20, 21, 23, 26})
_NUMBERS: Final = frozenset({700, 701, 1700})
_BOOL: Final = 16
_JSON: Final = frozenset({114, 3802})
_SYSTEM: Final = frozenset({"pg_catalog", "information_schema", "pg_toast"})
_CURSOR: Final = "DECLARE answer NO SCROLL CURSOR FOR "


def run_postgres(request: dict[str, Any], out: Writer) -> list[str]:
    """Run the statement; return the types of its columns. Raises `Refused`."""
    link = Link(request)
    sql = request["sql"].rstrip().rstrip(";")
    link.run("BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ")
    link.run(_CURSOR + sql, behind=len(_CURSOR))
    link.look_at_plan(sql)
    wanted = f"FETCH FORWARD {int(request['rows']) + 1} FROM answer"
    answers = link.each(f"EXPLAIN {sql}" if request["explain"] else wanted, alone=True)
    head = next(answers)
    out.columns([(head.fname(i) or b"").decode() for i in range(head.nfields)])
    kinds = [head.ftype(i) for i in range(head.nfields)]
    results = itertools.chain([head], answers)
    out.rows(_pg_row(one, n, kinds) for one in results for n in range(one.ntuples))
    return [_pg_type(kind) for kind in kinds]


class Link:
    """A connection that never waits longer than the statement may take."""

    def __init__(self, request: dict[str, Any]) -> None:
        from psycopg import pq

        self._pq = pq
        self._until = time.monotonic() + float(request["seconds"])
        self._conn = pq.PGconn.connect(request["conninfo"].encode())
        if self._conn.status != pq.ConnStatus.OK:
            raise Refused("store", self._conn.error_message.decode("utf-8", "replace").strip())
        self._conn.nonblocking = 1
        confine(int(request["memory"]), float(request["seconds"]))

    def run(self, sql: str, behind: int = 0) -> Any:
        """Run one statement; positions of errors count from character `behind`."""
        *_, last = self.each(sql, behind)
        return last

    def each(self, sql: str, behind: int = 0, *, alone: bool = False) -> Iterator[Any]:
        """Yield what a statement answers: all rows, or each `alone`, so that never all are held."""
        conn, status = self._conn, self._pq.ExecStatus
        conn.send_query_params(sql.encode(), None)
        if alone:
            conn.set_single_row_mode()
        while conn.flush():
            self._wait(write=True)
        while True:
            while conn.is_busy():
                self._wait()
                conn.consume_input()
            result = conn.get_result()
            if result is None:
                return
            if result.status not in (status.COMMAND_OK, status.TUPLES_OK, status.SINGLE_TUPLE):
                raise self._refused(result, behind)
            yield result

    def look_at_plan(self, sql: str) -> None:
        """Refuse what reads the catalogue: everybody may, hence no right can forbid it."""
        result = self.run(f"EXPLAIN (VERBOSE, FORMAT JSON) {sql}")
        plan = json.loads(result.get_value(0, 0) or b"[]")
        stack = [plan]
        while stack:
            part = stack.pop()
            if isinstance(part, list):
                stack += part
            elif isinstance(part, dict):
                if part.get("Schema") in _SYSTEM and "Relation Name" in part:
                    raise Refused("forbidden", f"{part['Relation Name']} is not one of the views")
                stack += part.values()

    def _wait(self, write: bool = False) -> None:
        left = self._until - time.monotonic()
        if left <= 0:
            self._conn.get_cancel().cancel()
            raise Refused("time", "")
        number = self._conn.socket
        select.select([number], [number] if write else [], [], left)

    def _refused(self, result: Any, behind: int) -> Refused:
        field = self._pq.DiagnosticField
        state = (result.error_field(field.SQLSTATE) or b"").decode()
        said = result.error_field(field.MESSAGE_PRIMARY) or self._conn.error_message.strip()
        text = said.decode("utf-8", "replace")
        at = int(result.error_field(field.STATEMENT_POSITION) or 0) - behind
        if state == "57014":
            return Refused("time", "")
        if state in ("42501", "25006", "0A000") or "data-modifying" in text:
            return Refused("forbidden", text, max(at, 0))
        if (state[:2] in ("53", "54") and state != "54001") or text.startswith("out of memory"):
            return Refused("memory", text)
        # No state: it is not the server's. 55P03: a view is about to change, and has other readers.
        if not state or state.startswith(("08", "55P03", "57", "58", "XX", "40")):
            return Refused("store", text)
        return Refused("invalid", text, max(at, 0))


def _pg_row(result: Any, row: int, kinds: Sequence[int]) -> str:
    values = [_pg_value(result.get_value(row, i), kind) for i, kind in enumerate(kinds)]
    return "[" + ",".join(values) + "]"


def _pg_value(raw: bytes | None, kind: int) -> str:
    if raw is None:
        return "null"
    text = raw.decode("utf-8", "replace")
    if kind == _BOOL:
        return "true" if text == "t" else "false"
    if (kind in _INTEGERS or kind in _NUMBERS) and _NUMBER.fullmatch(text):
        return text
    return json.dumps(text, ensure_ascii=False)


def _pg_type(kind: int) -> str:
    if kind in _INTEGERS:
        return "integer"
    if kind in _NUMBERS:
        return "number"
    if kind == _BOOL:
        return "boolean"
    return "json" if kind in _JSON else "text"


if __name__ == "__main__":
    main()
