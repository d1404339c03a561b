"""The catalogue says what a real daemon said."""

from __future__ import annotations

import pytest

from igdash.domain.errors import GadgetNotFound
from igdash.domain.gadgets import Category, Delivery
from igdash.sources.catalogue import load_catalogue

CATALOGUE = load_catalogue()


def test_all_gadgets_by_category_then_name() -> None:
    gadgets = CATALOGUE.all()
    order = list(Category)
    assert len(gadgets) == 45
    assert [(order.index(g.category), g.name) for g in gadgets] == sorted(
        (order.index(g.category), g.name) for g in gadgets
    )


@pytest.mark.parametrize("gadget", CATALOGUE.all(), ids=lambda g: g.name)
def test_every_gadget_is_fit_for_a_form_and_a_table(gadget) -> None:
    assert gadget.description[0].isupper()
    assert gadget.description.endswith(".")
    assert gadget.sources
    assert all(f.description and f.kind for s in gadget.sources for f in s.fields)
    assert all(len({f.name for f in s.fields}) == len(s.fields) for s in gadget.sources)
    assert all(p.description and p.title for p in gadget.params)
    assert len({p.key for p in gadget.params}) == len(gadget.params)
    assert len({p.name for p in gadget.params}) == len(gadget.params)


@pytest.mark.parametrize(
    ("name", "title", "delivery", "array"),
    [
        ("trace_tcp", "Trace TCP", Delivery.STREAM, False),
        ("trace_sni", "Trace SNI", Delivery.STREAM, False),
        ("trace_dns", "Trace DNS", Delivery.STREAM, False),
        ("trace_exec", "Trace exec", Delivery.STREAM, False),
        ("top_tcp", "Top TCP", Delivery.INTERVAL, True),
        ("profile_cpu", "Profile CPU", Delivery.INTERVAL, True),
        ("snapshot_process", "Snapshot process", Delivery.ONCE, True),
        ("advise_seccomp", "Advise seccomp", Delivery.AT_STOP, True),
        ("traceloop", "Traceloop", Delivery.AT_STOP, False),
    ],
)
def test_titles_and_deliveries(name: str, title: str, delivery: Delivery, array: bool) -> None:
    gadget = CATALOGUE.get(name)
    assert (gadget.title, gadget.delivery, gadget.is_array) == (title, delivery, array)


def test_trace_tcp_as_kubernetes_shows_it() -> None:
    gadget = CATALOGUE.get("trace_tcp")
    (source,) = gadget.sources
    assert source.name == "tracetcp"
    assert [f.name for f in source.fields if not f.hidden] == [
        "k8s.node", "k8s.namespace", "k8s.podName", "k8s.containerName",
        "proc.comm", "proc.pid", "proc.tid", "src", "dst", "type", "error",
    ]  # fmt: skip
    fields = {f.name: f for f in source.fields}
    assert fields["type"].one_of == ("connect", "accept", "close")
    assert fields["dst"].template == "l4endpoint"
    assert not fields["dst.endpoint"].in_json
    assert fields["timestamp_raw"].kind == "Uint64"
    assert "k8s" not in fields
    assert "src.addr_raw" not in fields
    assert [p.name for p in gadget.params if not p.advanced and not p.target] == [
        "accept-only", "connect-only", "failure-only", "comm", "pid", "tid", "uid", "gid",
    ]  # fmt: skip
    assert gadget.param("pid").default == "0"
    assert gadget.param("k8s-namespace").target
    assert gadget.param("F").advanced


def test_arrays_of_numbers_keep_their_kind() -> None:
    kinds = {f.kind for g in CATALOGUE.all() for s in g.sources for f in s.fields}
    assert "Uint32[]" in kinds
    assert not any(kind.isdigit() for kind in kinds)


def test_an_unknown_gadget_names_near_ones() -> None:
    with pytest.raises(GadgetNotFound, match=r"no gadget 'trace_tpc'; did you mean trace_tcp or"):
        CATALOGUE.get("trace_tpc")
    with pytest.raises(GadgetNotFound, match=r"no gadget 'zzz'$"):
        CATALOGUE.get("zzz")
