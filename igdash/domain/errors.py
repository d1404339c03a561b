"""Every error igdash raises on purpose.

Foreign exceptions stop at the border of the package that met them and come out as one of these,
with the cause attached. The message is what a user reads: it names what was wrong and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping


class IgdashError(Exception):
    """Something igdash was asked to do could not be done."""


class InvalidSpec(IgdashError):
    """A session cannot be started as asked; `problems` maps each wrong field to its reason.

    Field names are those of the REST body, dotted: `gadget`, `target.namespace`, `params.pid`,
    `stop_after.seconds`.
    """

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        super().__init__("; ".join(f"{field}: {why}" for field, why in problems.items()))


class InvalidQuery(IgdashError):
    """A query has a wrong parameter; `field` names it."""

    def __init__(self, field: str, why: str) -> None:
        self.field = field
        self.why = why
        super().__init__(f"{field}: {why}")


class NotFound(IgdashError):
    """There is no such thing."""


class SessionNotFound(NotFound):
    """No session has this id."""


class AmbiguousSession(IgdashError):
    """Several sessions begin with this prefix."""


class EventNotFound(NotFound):
    """The session has no event with this seq."""


class ScheduleNotFound(NotFound):
    """No schedule, or no run of it, has this id."""


class GadgetNotFound(NotFound):
    """The catalogue has no gadget of this name."""


class EnvironmentNotFound(NotFound):
    """No environment of this name is configured."""


class WrongState(IgdashError):
    """The session is not in a state in which this can be done."""


class SourceError(IgdashError):
    """A gadget could not be started, or ended with an error."""


class CollectorUnavailable(IgdashError):
    """The collector does not answer, so nothing can be started, stopped or deleted right now."""


class StoreError(IgdashError):
    """The database could not do what was asked."""


class StoreBusy(StoreError):
    """The database cannot take writes for now (locked, full, restarting); trying again may help."""


class StoreRefused(StoreError):
    """The database is not one this version may touch (newer, corrupt, foreign); it is left as is."""


class AlreadyRunning(IgdashError):
    """Another igdash collects into this store."""


class SettingsError(IgdashError):
    """A setting is unknown or has a wrong value; the message names the key and what is allowed."""


class ExportFailed(IgdashError):
    """A run of a schedule could not be written; trying again later may help."""


class QueryBusy(IgdashError):
    """Too many questions to the history are being answered; trying again in a moment helps."""


class QueryCancelled(IgdashError):
    """Nobody waits for the answer any more."""


class SqlError(IgdashError):
    """A statement of a user has no answer. `position` is the character it is about, from 1; 0 = none."""

    def __init__(self, why: str, position: int = 0) -> None:
        self.position = position
        super().__init__(why)


class SqlInvalid(SqlError):
    """The statement is wrong, or names what is not there."""


class SqlForbidden(SqlError):
    """The statement asks for more than reading the views."""


class SqlTimeout(SqlError):
    """The statement took longer than it may."""


class SqlTooLarge(SqlError):
    """The statement needed more memory than it may use."""


class SqlUnavailable(SqlError):
    """SQL cannot be answered in this installation; the message says what to do."""
