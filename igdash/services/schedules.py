"""Scheduled exports as people see and change them; running them is the exporter's."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from igdash.domain.errors import (
    GadgetNotFound,
    InvalidSpec,
    NotFound,
    ScheduleNotFound,
    SqlError,
    SqlTimeout,
    SqlTooLarge,
)
from igdash.domain.filter_text import parse
from igdash.domain.filters import AmbiguousField, FilterError
from igdash.domain.ports import (
    Catalogue,
    Control,
    QueryReader,
    ScheduleReader,
    SessionReader,
    SqlReader,
)
from igdash.domain.queries import SessionQuery
from igdash.domain.schedules import (
    Deed,
    Order,
    Run,
    RunPage,
    Schedule,
    ScheduleSpec,
)
from igdash.domain.sql import SqlQuery
from igdash.domain.times import now_ns
from igdash.services import timetable
from igdash.services.export_places import MANIFEST, Places
from igdash.services.queries import never

_LOOKED_AT: Final = 50
"""Newest sessions whose fields are asked whether a filter fits any of them."""
MOST_KEPT: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A schedule with its newest run and the moment (ns) of its next one."""

    schedule: Schedule
    last: Run | None
    next: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedules:
    """Looks at schedules and changes them through the collector. Thread-safe."""

    reader: ScheduleReader
    sessions: SessionReader
    queries: QueryReader
    control: Control
    places: Places
    sql: SqlReader
    catalogue: Catalogue

    def list(self) -> tuple[Standing, ...]:
        """Return all, by name."""
        return tuple(map(self._standing, self.reader.list()))

    def get(self, schedule: str) -> Standing:
        """Return one. Raises `ScheduleNotFound`."""
        return self._standing(self.reader.get(schedule))

    def resolve(self, word: str) -> str:
        """Return the id that begins with `word`, or whose schedule is named so.

        Raises `ScheduleNotFound` when that is not exactly one.
        """
        known = self.reader.list()
        for found in (
            [one.id for one in known if one.id == word or one.spec.name == word],
            [one.id for one in known if word and one.id.startswith(word)],
        ):
            if len(found) == 1:
                return found[0]
            if found:
                raise ScheduleNotFound(
                    f"{len(found)} schedules are {word[:64]!r}; give a longer ID"
                )
        raise ScheduleNotFound(f"no schedule has the ID or the name {word[:64]!r}")

    def create(self, spec: ScheduleSpec) -> Standing:
        """Store a new one. Raises `InvalidSpec`, `CollectorUnavailable`."""
        id_ = secrets.token_hex(6)
        return self._put(Deed.CREATE, id_, spec)

    def change(self, schedule: str, spec: ScheduleSpec) -> Standing:
        """Replace what is wanted. Raises `ScheduleNotFound`, `InvalidSpec`."""
        self.reader.get(schedule)
        return self._put(Deed.CHANGE, schedule, spec)

    def pause(self, schedule: str, paused: bool) -> Standing:
        """Let it rest, or go on. Raises `ScheduleNotFound`."""
        spec = replace(self.reader.get(schedule).spec, paused=paused)
        return self._standing(self._give(Deed.CHANGE, schedule, spec))

    def ask(self, schedule: str) -> Standing:
        """Have it run as soon as the exporter looks, paused or not. Raises `ScheduleNotFound`."""
        return self._standing(self._give(Deed.ASK, schedule))

    def delete(self, schedule: str) -> str:
        """Forget it, its runs and how far it was; its files stay. Raises `ScheduleNotFound`."""
        return self._give(Deed.DELETE, schedule).id

    def runs(self, schedule: str, *, limit: int = 50, offset: int = 0) -> RunPage:
        """Return its runs, newest first. Raises `ScheduleNotFound`."""
        return self.reader.runs(schedule, limit=limit, offset=offset)

    def run(self, schedule: str, run: str) -> Run:
        """Return one of its runs. Raises `ScheduleNotFound`."""
        return self.reader.run(schedule, run)

    def file(self, schedule: str, run: str, name: str) -> Path:
        """Return a file of a run. Raises `ScheduleNotFound`, `InvalidQuery` when it is elsewhere."""
        found = self.reader.run(schedule, run)
        if name not in {MANIFEST, *(file.name for file in found.files)}:
            raise ScheduleNotFound(f"run {run[:64]} has no file {name[:120]!r}")
        return self.places.file(found.place, name)

    # ------------------------------------------------------------ inside

    def _standing(self, schedule: Schedule) -> Standing:
        runs = self.reader.runs(schedule.id, limit=1).runs
        return Standing(
            schedule=schedule, last=runs[0] if runs else None, next=timetable.next_run(schedule)
        )

    def _put(self, deed: Deed, id_: str, spec: ScheduleSpec) -> Standing:
        if not spec.destination:
            words = re.sub(r"[^A-Za-z0-9]+", "-", spec.name).strip("-").lower()[:40]
            spec = replace(spec, destination=f"{words or 'export'}-{id_[:4]}")
        if problems := self.problems(spec):
            raise InvalidSpec(problems)
        schedule = self._give(deed, id_, spec)
        return Standing(
            schedule=schedule,
            last=next(iter(self.reader.runs(id_, limit=1).runs), None),
            next=timetable.next_run(schedule),
        )

    def _give(self, deed: Deed, id_: str, spec: ScheduleSpec | None = None) -> Schedule:
        return self.control.schedule(Order(deed=deed, schedule=id_, at=now_ns(), spec=spec))

    def problems(self, spec: ScheduleSpec) -> dict[str, str]:
        """Return what is wrong with a spec, by field."""
        found = timetable.problems(spec.when)
        if not spec.name.strip():
            found["name"] = "must not be empty"
        if why := self.places.problem(spec.destination):
            found["destination"] = why
        if not 0 <= spec.keep <= MOST_KEPT:
            found["keep"] = f"must be 0 (all) to {MOST_KEPT:,}"
        return found | self._what_problems(spec)

    def _what_problems(self, spec: ScheduleSpec) -> dict[str, str]:
        what, found = spec.what, {}
        others = what.sessions or what.gadget or what.namespace or what.environment or what.states
        if what.sql.strip() and (others or what.filter.strip()):
            found["what.sql"] = "stands alone: name sessions in the statement's WHERE"
        elif what.sql.strip() and (why := self._sql_problem(what.sql)):
            found["what.sql"] = why
        if what.gadget and (why := self._gadget_problem(what.gadget)):
            found["what.gadget"] = why
        for id_ in what.sessions:
            try:
                self.sessions.get(id_)
            except NotFound as error:
                found["what.sessions"] = str(error)
        if what.filter.strip() and (why := self._filter_problem(spec)):
            found["what.filter"] = why
        return found

    def _sql_problem(self, text: str) -> str:
        """Say why a statement cannot be answered; it is planned, not run."""
        try:
            self.sql.run(SqlQuery(sql=text, explain=True), never)
        except (SqlTimeout, SqlTooLarge):
            return ""  # no news of what it is; its runs will say
        except SqlError as error:
            return str(error)
        return ""

    def _gadget_problem(self, name: str) -> str:
        """Say that nobody knows a gadget. An image's reference may name any."""
        if "/" in name or self.sessions.list(SessionQuery(gadget=name, limit=1)).sessions:
            return ""
        try:
            self.catalogue.get(name)
        except GadgetNotFound as error:
            return str(error)
        return ""

    def _filter_problem(self, spec: ScheduleSpec) -> str:
        """Say why a filter is none, is ambiguous in one of the sessions there are, or fits none."""
        text, what = spec.what.filter, spec.what
        try:
            parse(text, None, self.queries.pattern_problem)
        except FilterError as error:
            return error.message
        query = SessionQuery(
            gadget=what.gadget,
            namespace=what.namespace,
            environment=what.environment,
            limit=_LOOKED_AT,
        )
        ids = what.sessions or tuple(one.id for one in self.sessions.list(query).sessions)
        why, fit = "", False
        for id_ in ids:
            try:
                fields = [f for source in self.sessions.schema(id_) for f in source.fields]
                parse(text, fields, self.queries.pattern_problem)
            except AmbiguousField as error:  # every run that meets such a session would fail
                return error.message
            except FilterError as error:
                why = why or error.message
            except NotFound:
                continue
            else:
                fit = True
        return "" if fit else why
