"""Inspektor Gadget's messages, generated from `proto/igdash_wire/ig.proto` by `make proto`."""

from __future__ import annotations
