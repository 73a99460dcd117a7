"""Pictures with sentences: scenes of an album, or any folder of pictures with captions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from fsslib.data.pictures import read_image
from fsslib.data.scenes.album import Album
from fsslib.data.scenes.classes import CLASS_NAMES, noun_phrase
from fsslib.encoders.prompts import NON_TARGET_TEMPLATE, TEMPLATES
from fsslib.encoders.tokenizer import vocabulary_of

_SIDES = {"left": "right", "right": "left"}
_PLAIN, _TEMPLATED, _APPENDED, _NEGATED = 0.40, 0.65, 0.68, 0.71


class Captioned(Protocol):
    """Pictures and what can be said of each."""

    def __len__(self) -> int: ...

    def image(self, index: int) -> UInt8[np.ndarray, "h w 3"]: ...

    def caption(self, index: int, rng: np.random.Generator, only: str | None = None) -> str:
        """One of its captions; `only`: one that does no more than name this class of it."""

    def vocabulary(self) -> tuple[str, ...]: ...

    def names(self, index: int) -> list[str]:
        """The classes it shows; [] where that is not known."""

    def singles(self) -> dict[str, list[int]]:
        """Per class, the pictures that show nothing else; {} where that is not known."""


class CaptionedScenes:
    """Scenes of an album, and their captions in more wordings than the album has.

    Most captions only name the objects, plainly or in CLIP's own templates: prompts are then words
    the model has met, and nothing but the objects tells such captions apart (with colours and
    grounds in every caption, 77,000 of them taught it colours and grounds, and hardly an object).
    Some say what is *not* there, as PI-CLIP's second prompt does.
    """

    def __init__(self, album: Album) -> None:
        self.album = album

    def __len__(self) -> int:
        return len(self.album)

    def image(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        return self.album.image(index)

    def caption(self, index: int, rng: np.random.Generator, only: str | None = None) -> str:
        kind = rng.random() * (_TEMPLATED if only else 1)
        names = [only] if only else self.album.names(index)
        if kind < _TEMPLATED:
            names = [names[i] for i in rng.permutation(len(names))]
            if kind < _PLAIN:
                return " and ".join(noun_phrase(name) for name in names)
            template = TEMPLATES["maskclip"][int(rng.integers(len(TEMPLATES["maskclip"])))]
            return template.format(" and ".join(names))
        absent = CLASS_NAMES[int(rng.integers(len(CLASS_NAMES)))]
        captions = self.album.captions(index)
        caption = captions[int(rng.integers(len(captions)))]
        if kind >= _NEGATED or absent in names:
            return caption
        if kind < _APPENDED:
            return f"{caption} without {noun_phrase(absent)}"
        return NON_TARGET_TEMPLATE.format(absent)

    def names(self, index: int) -> list[str]:
        return self.album.names(index)

    def singles(self) -> dict[str, list[int]]:
        alone: dict[str, list[int]] = {name: [] for name in CLASS_NAMES}
        for index in range(len(self.album)):
            if len(names := self.album.names(index)) == 1:
                alone[names[0]].append(index)
        return {name: indices for name, indices in alone.items() if indices}

    def vocabulary(self, sample: int = 20_000) -> tuple[str, ...]:
        """The words of the first `sample` scenes' captions, of class names and all templates."""
        scenes = range(min(sample, len(self.album)))
        captions = [text for index in scenes for text in self.album.captions(index)]
        captions += [mirrored(text) for text in captions]
        prompts = [template.format("") for group in TEMPLATES.values() for template in group]
        nouns = [noun_phrase(name) for name in CLASS_NAMES]
        return vocabulary_of([*captions, *prompts, *nouns])


class ImageTextFolder:
    """Pictures in a folder, each with a `.txt` of the same name: one caption a line.

    Raises:
        ValueError: no picture, or pictures without captions (names the first few).
    """

    def __init__(self, folder: Path | str, size: int) -> None:
        self.size = size
        pictures = sorted(
            path
            for path in Path(folder).rglob("*")
            if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp")
        )
        if not pictures:
            raise ValueError(f"{folder} holds no .jpg, .png or .webp; expected pictures with .txt")
        lost = [path.name for path in pictures if not path.with_suffix(".txt").is_file()]
        if lost:
            raise ValueError(
                f"{len(lost)} pictures of {folder} have no .txt beside them, such as {lost[:3]}; "
                "write one caption a line into a file of the same name"
            )
        self.pictures = pictures
        self.lines = [_lines(path.with_suffix(".txt")) for path in pictures]

    def __len__(self) -> int:
        return len(self.pictures)

    def image(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """The middle square, resized to `size` (bicubic, antialiased)."""
        fix = "Save it again, or move it away with its captions"
        picture = Image.fromarray(read_image(self.pictures[index], fix))
        side = min(picture.size)
        left, top = ((length - side) / 2 for length in picture.size)
        box = (left, top, left + side, top + side)
        return np.asarray(
            picture.resize((self.size, self.size), Image.Resampling.BICUBIC, box, reducing_gap=2.0)
        )

    def caption(self, index: int, rng: np.random.Generator, only: str | None = None) -> str:
        return self.lines[index][int(rng.integers(len(self.lines[index])))]

    def vocabulary(self) -> tuple[str, ...]:
        """Every word of the captions (an embedded CLIP knows no others)."""
        captions = [line for lines in self.lines for line in lines]
        return vocabulary_of([*captions, *map(mirrored, captions)])

    def names(self, index: int) -> list[str]:
        return []

    def singles(self) -> dict[str, list[int]]:
        return {}


def mirrored(text: str) -> str:
    """A caption of the mirrored picture: "left" and "right" swapped."""
    return re.sub(r"\b(left|right)\b", lambda word: _SIDES[word[0]], text)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8 ({error.reason}); save it as that") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise ValueError(f"{path} is empty; write one caption a line")
    return lines
