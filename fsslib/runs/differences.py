"""From results on disk to paired differences: of two rows, or of a table's rows to one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fsslib.config import ConfigError, shown
from fsslib.evaluation import Comparison, Difference, EpisodeTable, compare, holm, read_table
from fsslib.files import local_path
from fsslib.runs.results import episodes_beside, markdown_lines, table
from fsslib.runs.staleness import legend, marked

Results = Sequence[dict[str, Any]]
NEEDS_NEW = "needs a new evaluation"
NO_SUCH_OBJECTS = "no such objects"
EXPLAINED = (
    "Differences are paired, on the folds that both rows have, with 95 % intervals over query "
    "pictures; p is corrected for all of a table's differences (Holm)."
)


class NoEpisodes(ConfigError):
    """A result of an older version, which kept no episodes."""


class NothingLeft(ConfigError):
    """No episode of a fold has an object of the size asked for."""


def difference(
    a: Results,
    b: Results,
    same_supports: bool = True,
    sizes: tuple[float, float] | None = None,
) -> Comparison:
    """How much better the runs `a` are than `b`, on the folds that both have. Of trainings those
    count whose seeds both have; a run that trained nothing stands beside several.

    Args:
        a, b: results of one row each, with their `file`.
        sizes: only episodes whose objects take a fraction of the query from the first up to the
            second; None: all.

    Raises:
        NoEpisodes: a result has no table of episodes beside it.
        NothingLeft: no episode has an object of these sizes.
        ConfigError: nothing in common, or other lists; says where they part.
    """
    folds = {_fold(result) for result in a} & {_fold(result) for result in b}
    if not folds:
        both = [sorted({_fold(result) for result in each}) for each in (a, b)]
        raise ConfigError(f"folds {both[0]} beside {both[1]}: expected one in common at least")
    try:
        tables = (_tables(each, sizes) for each in _comparable(a, b, folds))
        return compare(*tables, same_supports=same_supports)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _comparable(a: Results, b: Results, folds: set[int]) -> list[list[dict[str, Any]]]:
    """What of two rows is paired: all of these folds, but only the seeds that both have where both
    were trained or have several, or where seeds are those of the episodes; if there are any."""
    rows: list[list[dict[str, Any]]] = [[], []]
    for fold in folds:
        own = [[result for result in each if _fold(result) == fold] for each in (a, b)]
        seeds = [{_seed(result) for result in runs} for runs in own]
        shared = seeds[0] & seeds[1]
        lists = max(len({r.get("protocol", {}).get("seed") for r in runs}) for runs in own)
        trained = all("training" in result for runs in own for result in runs)
        if shared and (trained or lists > 1 or min(map(len, seeds)) > 1):
            own = [[result for result in runs if _seed(result) in shared] for runs in own]
        for row, runs in zip(rows, own, strict=True):
            row.extend(runs)
    return rows


def _tables(
    results: Results, sizes: tuple[float, float] | None = None
) -> dict[tuple[int, int], EpisodeTable]:
    tables = {}
    for result in results:
        path, key = episodes_beside(Path(result["file"])), (_fold(result), _seed(result))
        if not path.is_file():
            raise NoEpisodes(
                f"{Path(result['file']).name} has no table of episodes beside it (it was made "
                "before evaluations kept them): a paired difference needs a new evaluation"
            )
        if key in tables:
            raise ConfigError(
                f"two results of fold {key[0]} and seed {key[1]}; name the folder of one row's runs"
            )
        tables[key] = read_table(path)
        if sizes:
            of_each = tables[key].sizes()
            tables[key] = tables[key].subset((sizes[0] <= of_each) & (of_each < sizes[1]))
            if not len(tables[key]):
                raise NothingLeft(
                    f"fold {key[0]}: no object takes {sizes[0]} to {sizes[1]} of a query"
                )
    return tables


def _fold(result: Mapping[str, Any]) -> int:
    return result.get("fold", result.get("protocol", {}).get("fold", 0))


def _seed(result: Mapping[str, Any]) -> int:
    """Of the training; of the episodes where nothing was trained."""
    if "seed" in result:
        return result["seed"]
    return result.get("training", result.get("protocol", {})).get("seed", 0)


def share_supports(a: Results, b: Results) -> bool:
    """Whether two rows have the same supports on the same queries: not with other numbers of shots,
    nor where one has strangers in their place."""
    protocols = [result.get("protocol", {}) for result in (*a, *b)]
    kinds = {(p.get("shot"), p.get("question") == "stranger") for p in protocols}
    return len(kinds) == 1


def ahead_text(a: Results, b: Results) -> str:
    """In how many pairs of trainings of one fold and seed `a` has the higher mIoU, which is what
    another seed does and no interval over queries holds: `higher in 7 of 8 pairs of trainings`;
    empty where no fold and seed is in both."""
    first, second = ({(_fold(one), _seed(one)): one["miou"] for one in row} for row in (a, b))
    pairs = first.keys() & second.keys()
    higher = sum(first[pair] > second[pair] for pair in pairs)
    return f"higher in {higher} of {len(pairs)} pairs of trainings" if pairs else ""


def difference_cells(
    rows: Mapping[str, Results], references: Mapping[str, str]
) -> dict[str, list[str]]:
    """Cells of each row: mIoU's difference to its reference with the interval, and p; empty for a
    reference itself, and where there is none."""
    compared: dict[str, Comparison | str] = {}
    for row, results in rows.items():
        reference = references.get(row)
        if reference in (None, row) or reference not in rows:
            continue
        try:
            supports = share_supports(results, rows[reference])
            compared[row] = difference(results, rows[reference], supports)
        except NoEpisodes:
            compared[row] = NEEDS_NEW
        except ConfigError as error:
            compared[row] = str(error).partition(";")[0]
    known = [row for row, one in compared.items() if isinstance(one, Comparison)]
    p_values = dict(zip(known, holm([compared[row].miou.p_value for row in known]), strict=True))
    return {
        row: [signed(one.miou), p_text(p_values[row])]
        if isinstance(one := compared.get(row, ""), Comparison)
        else [one, ""]
        for row in rows
    }


def signed(score: Difference) -> str:
    """`+3.2 [−2.1, 8.5]`, in points."""
    return points_text(100 * score.difference, *(100 * bound for bound in score.interval))


def points_text(difference: float, low: float, high: float) -> str:
    """Points and the ends of their interval as text: `+3.2 [−2.1, 8.5]`. No zero has a sign."""
    difference, low, high = (round(value, 1) + 0.0 for value in (difference, low, high))
    return f"{difference:+.1f} [{low:.1f}, {high:.1f}]".replace("-", "\N{MINUS SIGN}")


def p_text(value: float) -> str:
    """`0.012`, or `< 0.001`."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def comparison_table(comparison: Comparison, a: str, b: str) -> str:
    """A Markdown table of both scores in percent, and what it is made of in a sentence."""
    heads, rows = ["score", a, b, "difference", "P(improvement)", "p", "over seeds"], []
    for name, one in (("mIoU", comparison.miou), ("FB-IoU", comparison.fb_iou)):
        scores = [f"{100 * one.a:.1f}", f"{100 * one.b:.1f}", signed(one)]
        over = one.seeds_interval
        seeds = f"[{100 * over[0]:.1f}, {100 * over[1]:.1f}]" if over else ""
        rows.append([name, *scores, f"{100 * one.probability:.1f} %", p_text(one.p_value), seeds])
    folds, count = ", ".join(map(str, comparison.folds)), len(comparison.seeds)
    hint = "" if comparison.miou.seeds_interval else " (from three on, their spread is shown, too)"
    lines = [
        *markdown_lines(heads, rows),
        "",
        f"Paired over {comparison.episodes} episodes of {comparison.pictures} query pictures; "
        f"folds {folds}; {count} seed{'s' * (count > 1)}{hint}. {a} is the better one on "
        f"{100 * comparison.pictures_won:.1f} % of pictures, ties counted half.",
    ]
    return "\n".join(lines)


def listing(results: Results, reference: str | None = None) -> str:
    """The table of any runs, with stale ones marked.

    Args:
        reference: name or folder of the run that all others are compared with, on its fold.

    Raises:
        ConfigError: there is no such run, or more than one.
    """
    runs = {str(result["folder"]): [result] for result in results}
    labels = [marked(result["run"], [result]) for result in results]
    if reference is None:
        return "\n".join([table(results, labels), *legend(_by_name(results))])
    path = str(local_path(reference))
    chosen = [f for f, (r,) in runs.items() if reference == r["run"] or path == f]
    if len(chosen) != 1:
        raise ConfigError(
            f"reference={shown(reference)}: {len(chosen)} of these runs have this name; expected "
            "one, by its name or by its folder"
        )
    cells = difference_cells(runs, dict.fromkeys(runs, chosen[0]))
    more = [[f"mIoU to {reference}", "p"], *(cells[folder] for folder in runs)]
    lines = [table(results, labels, more), *legend(_by_name(results)), "", EXPLAINED]
    return "\n".join(lines)


def _by_name(results: Results) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        rows.setdefault(result["run"], []).append(result)
    return rows
