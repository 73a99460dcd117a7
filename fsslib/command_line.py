"""What all commands of the console share: every one explains itself, with examples.

Nothing heavy is imported where arguments are declared: an answer to `--help`, or to a wrong
argument, should not wait for torch. What a command needs, it imports when it is carried out.
"""

from __future__ import annotations

import argparse
from typing import Any


def add_command(
    commands: argparse._SubParsersAction,
    name: str,
    about: str,
    *examples: str,
    more: str = "",
    **options: Any,
) -> argparse.ArgumentParser:
    """A subcommand whose `--help` says what it does, and shows it.

    Args:
        about: one clause, as the list of commands has it.
        examples: whole command lines.
        more: what else there is to say, before the examples.
        options: of `argparse.ArgumentParser`.
    """
    shown = "\n".join(["examples:", *(f"  {example}" for example in examples)])
    return commands.add_parser(
        name,
        help=about,
        description=f"{about[:1].upper()}{about[1:]}.",
        epilog="\n\n".join(part for part in (more, shown) if part),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **options,
    )
