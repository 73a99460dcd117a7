"""Test episodes from a file, so that a number can be scored again on its own episodes.

Five layouts, told apart by their content (`fsslib.data.episode_layouts`). Pictures are named by
file name, with or without folders and suffix. A list that holds pictures only leads to a released
code's own episodes (`fsslib.data.official_lists`), drawn with the protocol's `seed` and `shot`, as
many as its `episodes`:

    2007_000033__01                         HSNet's PASCAL list: picture and class number from 1
    {"0": ["val2014/COCO_….jpg", …], …}     HSNet's COCO list as JSON, by class number from 0
    JPEGImages/….jpg Segmentation…/….png    PFENet's list: picture and label
    query support … class                   an episode a line; class by number from 1 or by name,
                                            last or after the query; label files are skipped
    {"episodes": [{"query": …, "classes": […], "supports": [[…], …]}, …], …}    this package's own

HSNet's COCO lists are published as pickles, which may run any code when opened and are not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fsslib.config import ConfigError
from fsslib.data.benchmark import Benchmark
from fsslib.data.episode_layouts import JsonLayout, LineLayout
from fsslib.data.protocol import Protocol
from fsslib.data.sampler import EpisodeSpec, list_hash, put_question
from fsslib.files import write_json


def read_episode_file(
    path: Path | str, benchmark: Benchmark, protocol: Protocol
) -> list[EpisodeSpec]:
    """The episodes of a file, all checked against the benchmark and the protocol.

    `list_hash` of them names the list in results. Supports of an episode may repeat each other, as
    HSNet's do; none is the query.

    Raises:
        ConfigError: no such layout; an unknown picture (with the nearest names) or class; a class
            that is not novel in the protocol's fold, or not in a picture; another way, shot or
            number of episodes than the protocol's. Says which line or episode.
        FileNotFoundError: no such file.
    """
    path = Path(path).expanduser()
    text = _text(path)
    layout = JsonLayout if text.lstrip()[:1] in ("{", "[") else LineLayout
    specs = layout(path, benchmark, protocol).read(text)
    if protocol.queries != "present":
        raise ConfigError(
            f"{path} with queries={protocol.queries!r}: files hold queries that show an object; "
            "leave one of the two out"
        )
    if len(specs) != protocol.episodes:
        raise ConfigError(
            f"{path} holds {len(specs):,} episodes, the protocol {protocol.episodes:,}; write "
            f"episodes={len(specs)}"
        )
    return put_question(benchmark, protocol, specs)


def write_episode_file(
    path: Path | str, benchmark: Benchmark, protocol: Protocol, episodes: Sequence[EpisodeSpec]
) -> None:
    """Write episodes of one split by picture and class names; `read_episode_file` reads them."""
    if (protocol.question, protocol.queries) != ("as_drawn", "present"):
        raise ConfigError(
            f"question={protocol.question!r}, queries={protocol.queries!r}: a file holds episodes "
            "as they are drawn; write it without, and put the question when it is read"
        )
    (split,) = {episode.split for episode in episodes}
    ids = benchmark.picture_ids(split)
    rows = [
        {
            "query": ids[episode.query],
            "classes": [benchmark.name_of(c) for c in episode.classes],
            "supports": [[ids[index] for index in row] for row in episode.supports],
        }
        for episode in episodes
    ]
    about = {"benchmark": benchmark.name, "split": split, "list_hash": list_hash(episodes)}
    write_json(Path(path), {**about, "protocol": protocol.to_dict(), "episodes": rows})


def _text(path: Path) -> str:
    content = path.read_bytes()
    if content[:1] == b"\x80" or path.suffix in (".pkl", ".pickle"):
        raise ConfigError(
            f"{path} is a pickle, which may run any code when opened and is not read; where you "
            "trust it, write it as JSON with `json.dump(pickle.load(open(PATH, 'rb')), ...)`"
        )
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no text file; expected a list of episodes") from error
