"""Questions, answers, news and errors as bytes between the web process and a query worker."""

from __future__ import annotations

import logging
from typing import Final, cast

import msgspec

from igdash.domain import errors
from igdash.domain.filters import FilterError
from igdash.domain.queries import QueryPage, Scope
from igdash.services.merge import MergedPage
from igdash.services.query_asks import ANSWERS, Answer, Answerer, Ask
from igdash.services.query_worker import Hearing

log = logging.getLogger(__name__)


class Failure(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An error on its way: `kind` is the name of its class, the rest what it is made of."""

    kind: str
    message: str
    field: str = ""
    position: int = 0
    end: int = 0
    suggestions: tuple[str, ...] = ()


_PLAIN: Final = {
    kind.__name__: kind
    for kind in (
        errors.SessionNotFound,
        errors.EventNotFound,
        errors.StoreBusy,
        errors.StoreError,
        errors.StoreRefused,
        errors.QueryBusy,
        errors.QueryCancelled,
    )
}
_TEXTS: Final = (QueryPage, MergedPage)
"""Answers that are mostly JSON texts: as JSON they would be quoted once more. The others are JSON,
which has integers of any size."""
_OK: Final = b"\0"
_FAILED: Final = b"\1"
_ask = msgspec.msgpack.Decoder(Ask)
_scope = msgspec.msgpack.Decoder(Scope)
_failure = msgspec.msgpack.Decoder(Failure)
encode_ask: Final = msgspec.msgpack.Encoder().encode


def respond(answerer: Answerer, question: bytes, hearing: Hearing) -> bytes:
    """Answer a question in the worker. Never raises."""
    try:
        ask = _ask.decode(question)
        answer = answerer.answer(
            ask, hearing.cancelled, lambda scope: hearing.tell(msgspec.msgpack.encode(scope))
        )
        return _OK + _encode(answer)
    except errors.IgdashError as error:
        return _FAILED + msgspec.msgpack.encode(pack(error))
    except Exception as error:
        log.exception("a question could not be answered")
        return _FAILED + msgspec.msgpack.encode(pack(error))


def read_news(text: bytes) -> Scope:
    """Return what is covered so far."""
    return _scope.decode(text)


def read_answer(ask: Ask, text: bytes) -> Answer:
    """Return the answer. Raises the error that stands in its place."""
    if text[:1] != _OK:
        raise unpack(_failure.decode(text[1:]))
    kind = ANSWERS[type(ask)]
    decode = msgspec.msgpack.decode if kind in _TEXTS else msgspec.json.decode
    return cast("Answer", decode(text[1:], type=kind))


def _encode(answer: Answer) -> bytes:
    encode = msgspec.msgpack.encode if type(answer) in _TEXTS else msgspec.json.encode
    return encode(answer)


def pack(error: Exception) -> Failure:
    """Return what is sent for an error."""
    kind, message = type(error).__name__, str(error)
    if isinstance(error, FilterError):
        return Failure(
            kind=FilterError.__name__,
            message=error.message,
            position=error.position,
            end=error.end,
            suggestions=error.suggestions,
        )
    if isinstance(error, errors.InvalidQuery):
        return Failure(kind=kind, message=error.why, field=error.field)
    if kind in _PLAIN:
        return Failure(kind=kind, message=message)
    if isinstance(error, errors.StoreError):
        return Failure(kind="StoreError", message=message)
    return Failure(kind="IgdashError", message="the question could not be answered; see the log")


def unpack(failure: Failure) -> Exception:
    """Return the error that was sent."""
    if failure.kind == "FilterError":
        return FilterError(failure.message, failure.position, failure.end, failure.suggestions)
    if failure.kind == "InvalidQuery":
        return errors.InvalidQuery(failure.field, failure.message)
    return _PLAIN.get(failure.kind, errors.IgdashError)(failure.message)
