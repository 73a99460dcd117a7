"""Small files that people and programs write: YAML, JSON, lists, journals, .mat labels."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import toy
import trees

from fsslib.data.areas import cached_areas
from fsslib.data.episode_files import read_episode_file
from fsslib.data.folder import FolderBenchmark
from fsslib.data.protocol import Protocol
from fsslib.data.voc_files import read_list, read_sbd_mat
from fsslib.encoders.weights import card_beside
from fsslib.files import read_json
from fsslib.runs.__main__ import main
from fsslib.runs.config import parse
from fsslib.runs.status import require_own
from fsslib.training.journal import Journal
from fsslib.training.pretraining.captioned import ImageTextFolder
from hostile.annotations import mutated
from hostile.judge import Case
from hostile.weights import spoilt

Act = Callable[[Path], object]

TEXTS: dict[str, bytes] = {
    "empty": b"",
    "space": b" \n\n",
    "not_utf8": b"\xff\xfe\x00abc",
    "utf16": "base: [cat]".encode("utf-16"),
    "zero_bytes": b"\0" * 64,
    "deep": b"[" * 50_000,
    "deep_yaml": b"a: " * 5_000,
    "digits": b"9" * 5_000,
    "tag": b"!!python/object/apply:os.mkdir [executed]",
    "tag_name": b"base: !!python/name:os.system",
    "tag_new": b"!!python/object/new:os.mkdir ['executed']",
    "date": b"2001-99-99",
    "anchors": b"a: &a [x]\nb: [*a, *c]",
    "number": b"7",
    "list": b"[1, 2]",
    "null": b"null",
    "text": b"word",
    "nan": b"NaN",
    "tab": b"base:\n\t- cat",
    "twice": b'{"a": 1, "a": {"b": []}}',
    "brace": b"{",
    "pickle": b"\x80\x04\x95cos\nsystem\n(S'mkdir executed'\ntR.",
}
STATUS = {"state": "finished", "pid": 1, "host": "a", "started": 1.0, "heartbeat": 1.0}
RESULT = {
    **{"run": "r", "miou": 0.3, "fb_iou": 0.5, "episodes": 4},
    **{"miou_interval": [0.2, 0.4], "fb_iou_interval": [0.4, 0.6]},
}
CARD = {"protocol": {"benchmark": "scenes10i", "fold": 0}, "config": {"method": "pfenet"}}
PARAMETERS = {"template": "evaluate", "fold": 1, "method": "prototype", "machine": "auto"}


def written(name: str, read: Act) -> Callable[[bytes], Act]:
    """From a file's content to a case that reads it under this name."""

    def of(content: bytes) -> Act:
        def act(folder: Path) -> object:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            return read(path)

        return act

    return of


def _classes(path: Path) -> object:
    trees.write_folder(path.parent)
    return FolderBenchmark(path.parent)


def _captions(path: Path) -> object:
    trees.write_jpeg(path.with_suffix(".jpg"))
    return ImageTextFolder(path.parent, 32).vocabulary()


def _episodes(path: Path) -> object:
    protocol = Protocol("folder", episodes=3, minimum_object_pixels=0)
    return read_episode_file(path, toy.crowded(), protocol)


def _command(*words: str) -> Act:
    """A command over the folder that a file lies in; foreign files are told of, one line each."""

    def read(path: Path) -> None:
        status = main([*words, str(path.parent)])
        if status not in (0, 1):
            raise AssertionError(f"exit status {status}")

    return read


def _own(path: Path) -> None:
    require_own(path.parent, parse("evaluate", {"fold": 1}))


def _areas(path: Path) -> object:
    label = path.parent / "label.png"
    trees.write_index_png(label, np.ones((4, 4), np.uint8))
    return cached_areas([label], [label], lambda _: np.ones(256, np.int64), 3, path)


EPISODES = {
    "benchmark": "toy",
    "split": "val",
    "episodes": [{"query": "val/0", "classes": ["class1"], "supports": [["val/20"]]}] * 3,
}
JSON_FILES: dict[str, tuple[Callable[[bytes], Act], object]] = {
    "status": (written("run/status.json", _command("status")), STATUS),
    "results": (written("run/results.json", _command("table")), RESULT),
    "card": (written("head.json", lambda path: card_beside(path.with_suffix(".pth"))), CARD),
    "parameters": (written("run/params.yaml", _own), PARAMETERS),
    "episodes": (written("episodes.json", _episodes), EPISODES),
}
TEXT_FILES: dict[str, Callable[[bytes], Act]] = {
    **{name: of for name, (of, _) in JSON_FILES.items()},
    "json": written("a.json", lambda path: read_json(path, dict)),
    "classes": written("classes.yaml", _classes),
    "captions": written("one.txt", _captions),
    "image_list": written("train.txt", read_list),
    "journal": written("metrics.jsonl", lambda path: Journal(path, 3)),
    "mat": written("label.mat", read_sbd_mat),
    "areas": written("areas.npz", _areas),
}


def _mat() -> bytes:
    buffer = io.BytesIO()
    trees.savemat(buffer, {"GTcls": {"Segmentation": trees.object_label(3, border=False)}})
    return buffer.getvalue()


def _npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, areas=np.ones((1, 3), np.int64), manifest=np.array("x"))
    return buffer.getvalue()


def _npz_objects() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, areas=np.array([None, {}], object), manifest=np.array("x"))
    return buffer.getvalue()


def cases() -> Iterator[Case]:
    for kind, of in TEXT_FILES.items():
        for name, content in TEXTS.items():
            yield Case("texts", f"{kind}_{name}", of(content))
    rng = np.random.default_rng(3)
    for kind, (of, content) in JSON_FILES.items():
        for number in range(16):
            text = json.dumps(mutated(content, rng)).encode()
            yield Case("texts", f"{kind}_any_{number}", of(text))
    for number in range(16):
        mat = TEXT_FILES["mat"](spoilt(_mat(), rng))
        yield Case("texts", f"mat_spoilt_{number}", mat)
        yield Case("texts", f"areas_spoilt_{number}", TEXT_FILES["areas"](spoilt(_npz(), rng)))
        rows = b"".join(b'{"step": %d, "loss": 0.5}\n' % step for step in range(6))
        yield Case("texts", f"journal_spoilt_{number}", TEXT_FILES["journal"](spoilt(rows, rng)))
    yield Case("texts", "areas_objects", TEXT_FILES["areas"](_npz_objects()), "handled")
    for name in ("tag", "tag_name", "tag_new"):
        yield Case(
            "texts", f"classes_{name}_refused", TEXT_FILES["classes"](TEXTS[name]), "refused"
        )
