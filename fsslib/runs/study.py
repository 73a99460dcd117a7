"""A study: which runs a paper's claims are checked with, as a YAML file of `papermill_runs/sweeps`
lists them, a row a kind of run, of which there is one a fold and seed.

    about: what is compared
    always: {feature_cache: 40}      # parameters of every row
    folds: [0, 1, 2, 3]
    seeds: [0]
    rows:
      pfenet: {method: pfenet}       # template `train` unless said otherwise
      frozen: {template: evaluate, method: prototype, folds: [0]}
      tested: {template: evaluate, method: pfenet, head: "@pfenet/head.safetensors"}

`reference: pfenet`, of the study or of a row, names the row that tables show its difference to.
"@row/file" is a file in the folder of another row's run, of the same fold and seed. Where nothing
is trained, seeds are those of the episodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from fsslib.config import ConfigError, cast, require_known, require_parameters, strict
from fsslib.data.folds import FOLDS
from fsslib.files import sweeps_folder
from fsslib.runs.config import CONFIGS
from fsslib.runs.job import Job, needs_first
from fsslib.runs.run_config import RunConfig

ABOUT = ("template", "folds", "seeds", "reference")
"""What a row says beside its template's parameters."""


@dataclass(frozen=True)
class Page:
    """What is on a study's page; see `study_page`."""

    title: str
    text: str = ""
    tables: dict = field(default_factory=dict)
    absence: dict = field(default_factory=dict)
    maps: dict = field(default_factory=dict)
    sizes: dict = field(default_factory=dict)
    front: tuple[str, ...] = ()
    """Rows that README.md shows, too."""
    findings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """A study as its file has it."""

    name: str
    about: str
    rows: dict
    always: dict = field(default_factory=dict)
    folds: tuple[int, ...] = (0, 1, 2, 3)
    seeds: tuple[int, ...] = (0,)
    reference: str | None = None
    page: dict = field(default_factory=dict)
    """What `study_page` writes."""

    def __post_init__(self) -> None:
        """ConfigError for what would be dropped without a word, or cannot be read."""
        if not self.rows:
            raise ConfigError(f"study {self.name!r}: rows={self.rows!r}, expected one at least")
        known: set[str] = set()
        for row, parameters in self.rows.items():
            if not isinstance(parameters, dict):
                raise ConfigError(
                    f"row {row!r}: {parameters!r}, expected such as {{method: pfenet}}"
                )
            known |= self._config(row).accepts()
            if not set(self.of(row, "folds")) <= set(range(FOLDS)):
                folds = list(self.of(row, "folds"))
                raise ConfigError(f"row {row!r}: folds={folds}: expected some of 0, 1, 2 and 3")
            self.of(row, "seeds")
        for name in filter(None, {self.reference, *self.references().values()}):
            require_known("reference", name, list(self.rows))
        require_parameters(self.always, known, "always: ")

    def jobs(self, rows: Sequence[str] = ()) -> Iterator[Job]:
        """The runs of some rows, or of all, fold by fold, so that a table fills evenly; each after
        those whose files it reads.

        Raises:
            ConfigError: an unknown row, or seeds that change nothing.
        """
        for row in rows:
            self.require(row)
        made: dict[tuple[str, str], str] = {}
        combinations = self._asked(rows or list(self.rows))
        for job in needs_first([self.job(row, fold, seed) for row, fold, seed in combinations]):
            same = made.setdefault((job.row, repr(job.parameters)), job.name)
            if same != job.name:
                raise ConfigError(
                    f"{job.name} would be {same} once more: what it reads has no such seed; give "
                    "that row the seeds too, or this one an episode_seed"
                )
            yield job

    def _asked(self, rows: Sequence[str]) -> Iterator[tuple[str, int, int]]:
        """Row, fold and seed of each run, in the order of `jobs`."""
        for seed in sorted({seed for row in self.rows for seed in self.of(row, "seeds")}):
            for fold in range(FOLDS):
                for row in rows:
                    if fold in self.of(row, "folds") and seed in self.of(row, "seeds"):
                        yield row, fold, seed

    def references(self) -> dict[str, str]:
        """Row -> the one that it is compared with."""
        named = {
            row: parameters.get("reference", self.reference)
            for row, parameters in self.rows.items()
        }
        return {row: reference for row, reference in named.items() if reference}

    def require(self, row: str) -> None:
        """ConfigError if there is no such row."""
        require_known("row", row, list(self.rows))

    def of(self, row: str, name: str) -> Sequence[int]:
        """Folds or seeds of a row; ConfigError unless they are a list of whole numbers."""
        value = self.rows[row].get(name, getattr(self, name))
        if not (numbers := cast(value, tuple[int, ...], f"row {row!r}: {name}")):
            raise ConfigError(f"row {row!r}: {name}={value!r}: expected one at least")
        return numbers

    def _config(self, row: str) -> type[RunConfig]:
        """The parameters of a row's template."""
        template = self.rows[row].get("template", "train")
        require_known(f"row {row!r}: template", template, sorted(CONFIGS))
        return CONFIGS[template]

    def job(self, row: str, fold: int, seed: int, readers: tuple[str, ...] = ()) -> Job:
        """A row's run on a fold; of `always` what the row's template does not have is left out.

        Args:
            readers: rows whose runs need this one, in their order.

        Raises:
            ConfigError: the row needs its own file.
        """
        if row in readers:
            raise ConfigError(
                f"row {row!r} reads its own file ({' reads '.join((*readers, row))}); name a file "
                "of another row"
            )
        settings = {k: v for k, v in self.rows[row].items() if k not in ABOUT}
        template, kind = self.rows[row].get("template", "train"), self._config(row)
        own = kind.__dataclass_fields__
        usual = {k: v for k, v in self.always.items() if k in kind.accepts()}
        if "fold" in own:
            usual["fold"] = fold
        if "seed" in own:
            usual["seed"] = seed
        elif "head" not in settings and "episode_seed" in kind.accepts():
            usual["episode_seed"] = seed  # what is not trained can only see other episodes
        parameters, needs = {**usual, **settings}, []
        for name, value in parameters.items():
            if isinstance(value, str) and value.startswith("@"):
                source, _, file = value[1:].partition("/")
                needed = self._source(source, fold, seed, (*readers, row))
                needs.append(needed.name)
                parameters[name] = str(needed.folder / file)
        return Job(row, fold, seed, template, parameters, tuple(needs))

    def _source(self, row: str, fold: int, seed: int, readers: tuple[str, ...]) -> Job:
        """A row's run on this fold and seed, or on its first ones."""
        self.require(row)
        folds, seeds = self.of(row, "folds"), self.of(row, "seeds")
        fold, seed = fold if fold in folds else folds[0], seed if seed in seeds else seeds[0]
        return self.job(row, fold, seed, readers)


def load_study(name: str) -> Study:
    """The study of a name.

    Raises:
        ConfigError: there is none of that name, or its file says what no study can mean.
    """
    require_known("study", name, sorted(path.stem for path in sweeps_folder().glob("*.yaml")))
    return read_study(sweeps_folder() / f"{name}.yaml")


def read_study(path: Path) -> Study:
    """The study that a file describes, wherever it lies.

    Raises:
        ConfigError: it cannot be read, or says what no study can mean.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({error}); expected a YAML file") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds {content!r}; expected about: and rows:, and so on")
    return strict(Study, {"name": path.stem} | content)
