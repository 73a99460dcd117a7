"""`fsslib claims`: every claim of the papers, what ours say of it, and the verdict, as a table."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fsslib.command_line import add_command

if TYPE_CHECKING:  # what reads results is imported when there are some to read
    from fsslib.runs.claims import Judged

UNPAIRED = "°"


def add_commands(commands: argparse._SubParsersAction) -> None:
    """`claims` among the subcommands."""
    parser = add_command(
        commands,
        "claims",
        "what the papers claim, and what the published rows say of it",
        "fsslib claims",
        "fsslib claims qgnet",
    )
    parser.add_argument("paper", nargs="?", help="one of them (default: all)")
    parser.set_defaults(command=claims_command)


def claims_command(options: argparse.Namespace) -> int:
    """Print the table; ConfigError for a paper that there is not, or a file that cannot be read."""
    from fsslib.config import require_known
    from fsslib.runs.claims import judged, read_claims

    claims = read_claims()
    if options.paper is not None:
        require_known("paper", options.paper, list(claims.of))
    known = [each for each in judged(claims) if options.paper in (None, each.claim.paper)]
    print(claims_table(known))
    return 0


def claims_table(known: Sequence[Judged]) -> str:
    """A Markdown table, what its signs mean, and how many claims have which verdict."""
    from fsslib.runs.results import markdown_lines

    heads, rows = ["", "where", "the paper says", "its numbers", "ours", "verdict"], []
    for each in known:
        claim = each.claim
        numbers = _numbers(each)
        cells = [claim.id, claim.where, claim.claim, numbers, ours(each), f"**{each.verdict}**"]
        rows.append(cells)
    counts = Counter(each.verdict for each in known)
    total = ", ".join(f"{number} {name}" for name, number in counts.most_common())
    lines = [*markdown_lines(heads, rows), "", f"{len(known)} claims: {total}.", "", EXPLAINED]
    return "\n".join(lines)


EXPLAINED = (
    "Ours: differences in points with 95 % intervals, positive as the claim has it; without a "
    f"mark paired, episode by episode; {UNPAIRED}: rows without episodes, or of other lists: the "
    "interval is that of two independent scores and wider than need be. A claim holds if all of "
    "its differences do at 95 %, fails if one contradicts it (corrected for their number), and "
    "cannot be told in between, or where a row is not published."
)


def claim_paragraphs(known: Sequence[Judged]) -> str:
    """The same in Markdown, a paragraph a claim, with the names of the rows that are compared."""
    return "\n\n".join(_paragraph(each) for each in known)


def _numbers(each: Judged) -> str:
    """The paper's numbers, those marked that do not say what its text says."""
    return "; ".join(f"**{n} is not so**" if n in each.wrong else n for n in each.numbers)


def _paragraph(each: Judged) -> str:
    claim, numbers = each.claim, _numbers(each) or "none"
    rows = [f"`{name}`: {_shown(measured)}" for name, measured in each.measured.items()]
    lines = [
        f"**{claim.id} · {claim.where}. {claim.claim}** Verdict: **{each.verdict}**.",
        f"- its numbers: {numbers}",
        f"- ours: {'; '.join(rows) or 'no row tests it'}",
    ]
    return "\n".join(lines) + f"\n\n{claim.text}"


def ours(each: Judged) -> str:
    """Our differences on a claim, or why there are none."""
    if not each.measured:
        return "no row tests it"
    return "; ".join(_shown(measured) for measured in each.measured.values())


def _shown(measured: object) -> str:
    if isinstance(measured, str):
        return measured
    from fsslib.runs.differences import points_text

    text = points_text(measured.estimate, *measured.interval())
    return text if measured.paired else text + UNPAIRED
