"""What the papers claim, claim by claim: their numbers, the published rows that test it, a verdict.

`papermill_runs/claims.yaml` lists them:

    papers:
      qgnet:
        title: the paper
        errors: [what is wrong in its tables]
        numbers: {voc_qgnet: [61.6, "table_I/Ours (QGNet),473,ResNet50/1shot/mean"]}
    claims:
      - {id: Q1, paper: qgnet, where: Table I, claim: what it says,
         own: ["voc_qgnet - voc_pfenet = 0.8"], rule: higher, ours: ["qgnet/qgnet - qgnet/pfenet"],
         text: a paragraph}

A number has its value in percent and the place in the paper's tables. `own` says what must be true
of them: sums and differences beside `>`, `=` or `!=`. `ours` are differences of published rows
(`STUDY/ROW`, then `:fb_iou` or `:MAP.auroc` for another score than mIoU; a number is itself), which
the rule wants positive. Two rows with episodes on one list are compared in pairs
(`runs.differences`); any others by the intervals of each, which is less sure, and is said, and with
the seeds that all have, if there are any. Only folds that all rows of a difference have count.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from fsslib.config import ConfigError, require_known, strict
from fsslib.files import runs_folder
from fsslib.runs.claim_rules import CONTRADICTED, OPEN, Measured, Rule, Verdict, states, verdict
from fsslib.runs.claim_scores import Term, measure
from fsslib.runs.study import Study, load_study

RELATION = re.compile(r" (>|=|!=) ")


@dataclass(frozen=True)
class Paper:
    """A paper's numbers, and what is wrong with them."""

    title: str
    numbers: dict
    errors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, entry in self.numbers.items():
            fits = isinstance(entry, list) and len(entry) == 2 and isinstance(entry[1], str)
            if not fits or not isinstance(entry[0], int | float):
                raise ConfigError(
                    f"number {name!r}: {entry!r}; expected [value, place]: [61.6, 'Table I']"
                )

    def value(self, name: str) -> float:
        """A number of the paper's, or one that is written as such."""
        return float(self.numbers[name][0]) if name in self.numbers else float(name)


@dataclass(frozen=True)
class Claim:
    """One claim, as the file has it."""

    id: str
    paper: str
    where: str
    claim: str
    own: tuple[str, ...] = ()
    rule: Rule = "higher"
    margin: float = 0.0
    ours: tuple[str, ...] = ()
    text: str = ""

    def __post_init__(self) -> None:
        if (self.margin > 0) == (self.rule == "higher"):
            raise ConfigError(
                f"claim {self.id!r}: margin={self.margin} with rule {self.rule!r}; 'equal' and "
                "'not_lower' need one above 0, 'higher' has none"
            )
        for statement in self.own:
            if len(RELATION.split(statement)) != 3:
                raise ConfigError(
                    f"claim {self.id!r}: own: {statement!r}; expected two sides with ' > ', ' = ' "
                    "or ' != ' between them"
                )


@dataclass(frozen=True)
class Judged:
    """A claim with what there is to say of it."""

    claim: Claim
    numbers: tuple[str, ...]
    """The paper's statements, with their numbers put in."""
    wrong: tuple[str, ...]
    """Those of them that its numbers do not bear out."""
    measured: dict[str, Measured | str]
    """Our differences, or why there is none."""
    verdict: Verdict


@dataclass(frozen=True)
class Claims:
    """The whole file, checked."""

    papers: dict
    claims: list

    @cached_property
    def of(self) -> dict[str, Paper]:
        return {name: strict(Paper, content) for name, content in self.papers.items()}

    @cached_property
    def all(self) -> tuple[Claim, ...]:
        """The claims.

        Raises:
            ConfigError: an unknown paper, number, study or row, or an id that is there twice.
        """
        made, studies = tuple(strict(Claim, content) for content in self.claims), {}
        for place, claim in enumerate(made):
            if claim.id in {other.id for other in made[:place]}:
                raise ConfigError(f"claim {claim.id!r} is there twice; give one another id")
            require_known(f"claim {claim.id!r}: paper", claim.paper, list(self.of))
            for statement in claim.own:
                self._require_numbers(claim, statement)
            for difference in claim.ours:
                _require_rows(difference, studies)
        return made

    def _require_numbers(self, claim: Claim, statement: str) -> None:
        left, _, right = RELATION.split(statement)
        for _, name in (*signed_terms(left), *signed_terms(right)):
            if not _is_number(name):
                known = list(self.of[claim.paper].numbers)
                require_known(f"claim {claim.id!r}: number", name, known)


def read_claims(path: Path | None = None) -> Claims:
    """The claims of a file, `papermill_runs/claims.yaml` by default, all checked.

    Raises:
        ConfigError: it cannot be read, or names what there is not.
    """
    path = path or runs_folder() / "claims.yaml"
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path.name} cannot be read ({error}); expected YAML") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path.name} holds {content!r}; expected papers: and claims:")
    claims = strict(Claims, content)
    _ = claims.of, claims.all
    return claims


def judged(claims: Claims) -> list[Judged]:
    """Every claim with its verdict, by what is published now."""
    return [judge(claim, claims.of[claim.paper]) for claim in claims.all]


def judge(claim: Claim, paper: Paper) -> Judged:
    """One claim. What the paper's own numbers deny is denied, whatever ours are; a difference that
    cannot be measured leaves the claim open."""
    wrong = tuple(shown(s, paper) for s in claim.own if not _is_so(s, paper))
    measured = {difference: _measured(difference) for difference in claim.ours}
    known = [each for each in measured.values() if isinstance(each, Measured)]
    whole = len(known) == len(measured)
    outcome = verdict(claim.rule, known, claim.margin) if whole else OPEN
    numbers = tuple(shown(statement, paper) for statement in claim.own)
    return Judged(claim, numbers, wrong, measured, CONTRADICTED if wrong else outcome)


def signed_terms(text: str) -> list[tuple[int, str]]:
    """`a - b + c` as signs and names, which may hold `+` and `-` but no spaces.

    Raises:
        ConfigError: it is no sum of names.
    """
    words = text.split()
    signs = ["+", *words[1::2]]
    if len(words) % 2 == 0 or not set(signs) <= {"+", "-"}:
        raise ConfigError(f"{text!r}: expected names with ' - ' or ' + ' between them")
    return [(1 if sign == "+" else -1, name) for sign, name in zip(signs, words[::2], strict=True)]


def shown(statement: str, paper: Paper) -> str:
    """A statement with its numbers in the place of their names."""
    words = [
        f"{paper.value(word):g}" if word in paper.numbers else word for word in statement.split()
    ]
    return " ".join(words).replace("!=", "≠")


def _is_so(statement: str, paper: Paper) -> bool:
    left, relation, right = RELATION.split(statement)
    sides = (
        sum(sign * paper.value(name) for sign, name in signed_terms(side)) for side in (left, right)
    )
    return states(next(sides), relation, next(sides))


def _measured(difference: str) -> Measured | str:
    return measure([(sign, Term.parse(name)) for sign, name in signed_terms(difference)])


def _require_rows(difference: str, studies: dict[str, Study]) -> None:
    """ConfigError for a row that there is not; studies are read once, into `studies`."""
    for _, name in signed_terms(difference):
        term = Term.parse(name)
        if term.constant is None:
            if term.study not in studies:
                studies[term.study] = load_study(term.study)
            studies[term.study].require(term.row)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
