"""The command line: `parser` knows the words, each other module runs a few of the commands.

Commands that read open the store; commands that change something ask the running collector.
Modules are imported when their command runs, so that `igdash --help` stays quick.
"""

from __future__ import annotations
