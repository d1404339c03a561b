"""Inspektor Gadget natively: its gRPC service, on a host's daemon or on every node of a cluster."""

from __future__ import annotations
