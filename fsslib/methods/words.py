"""Masks from a word instead of an annotation: what LFSS starts from, and any method can be given.

A CLIP says of every cell which of the benchmark's names fits best; the cells that go to the
episode's class are its pseudo mask (MaskCLIP; LFSS Sec. 3.3). All names take part, those of novel
classes too, also in training: that is what "language-guided" means in this setting.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize

from fsslib.config import Bound
from fsslib.data.episode import Episode
from fsslib.encoders.clip import ClipEncoder, Norm
from fsslib.encoders.clip_dense import score_map
from fsslib.encoders.pass_cache import Cache, PassCache
from fsslib.encoders.prompts import BACKGROUND_NAMES, class_words
from fsslib.encoders.proxy import require_clip_norm
from fsslib.methods.base import Around, FewShotSegmenter, Prediction
from fsslib.methods.features import EpisodeFeatures
from fsslib.methods.prior_source import PRIORS, Maps, PriorSource, require_episodes
from fsslib.priors.word_masks import WordMask, word_mask
from fsslib.settings import Pixels, Settings

Backgrounds = Literal["none", "names"]


@dataclass(frozen=True)
class WordConfig(Settings):
    """How a word becomes a mask."""

    templates: str = "maskclip"
    """A key of `prompts.TEMPLATES`; the paper's are MaskCLIP's 85."""
    words: str = "maskclip"
    """What classes are called, a key of `prompts.CLASS_WORDS`."""
    background: Backgrounds = "none"
    """Whether names of what is no object take part (`prompts.BACKGROUND_NAMES`)."""
    size: Pixels | None = 416
    """Side of the pictures that CLIP sees, in pixels; None: as they are. The paper's 400 loses the
    last of 25 rows and columns when layer4 pools."""
    norm: Norm = "clip"
    """Statistics of the pictures; MaskCLIP's code uses ImageNet's."""
    among: Annotated[int, Bound(least=2)] | None = None
    """How many of the benchmark's names compete, the asked one among them, drawn for each name once
    and for all; None: all (the paper's figures have few, its tables all)."""

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`paper`: LFSS's size. `official`: MaskCLIP's statistics as well. `scenes`: the embedded
        benchmark, whose pictures have the size that its CLIPs were trained at."""
        return {
            "paper": {"size": 400},
            "official": {"size": 400, "norm": "imagenet"},
            "scenes": {"size": 96},
        }


class WordMasks(nn.Module):
    """Pictures and a name each -> pseudo masks. Nothing is trained.

    Args:
        encoder: frozen, of either family.
        names: all classes of the benchmark.
        benchmark: whose background names take part, if any do.
        cache: for the scores of pictures that are seen again.
    """

    def __init__(
        self,
        encoder: ClipEncoder,
        names: Sequence[str],
        config: WordConfig | None = None,
        benchmark: str = "scenes10i",
        cache: Cache | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.config = encoder, config or WordConfig()
        require_clip_norm(getattr(encoder, "last", None), "norm", self.config.norm)
        self.names, self.cache = tuple(names), cache or PassCache()
        words = class_words(self.names, self.config.words)
        if self.config.background == "names":
            if benchmark not in BACKGROUND_NAMES:
                raise ValueError(
                    f"background='names': none are known for {benchmark!r}, only for "
                    f"{sorted(BACKGROUND_NAMES)}; use background='none'"
                )
            words += BACKGROUND_NAMES[benchmark]
        self.words = tuple(words)
        self.register_buffer("rivals", self._rivals(), persistent=False)

    @property
    def text(self) -> Float[Tensor, "names d"]:
        """Embeddings of all names."""
        make = partial(self.encoder.encode_text, self.words, self.config.templates)
        return self.encoder.while_unchanged(f"{self.words} {self.config.templates}", make)

    def _rivals(self) -> Bool[Tensor, "names all"] | None:
        """Which names compete with each name, itself among them, and always those of the
        background; None: all."""
        if self.config.among is None or self.config.among >= len(self.names):
            return None
        rivals = torch.zeros(len(self.names), len(self.words), dtype=torch.bool)
        rivals[:, len(self.names) :] = True
        for own, name in enumerate(self.names):
            others = [other for other in range(len(self.names)) if other != own]
            others.sort(key=lambda other: hashlib.sha256(f"{name} {other}".encode()).digest())
            rivals[own, [own, *others[: self.config.among - 1]]] = True
        return rivals

    def _kind(self) -> str:
        """What scores depend on besides the picture."""
        settings = asdict(self.config) | {"among": None}  # scores are of all names
        about = json.dumps([self.encoder.digest, self.words, settings])
        return f"scores-{hashlib.sha256(about.encode()).hexdigest()[:24]}"

    @torch.no_grad()
    def scores(self, images: Shaped[Tensor, "b 3 h w"]) -> Float[Tensor, "b names rows columns"]:
        """Cosine of every cell with every name, background names last. Images are uint8 RGB."""
        return self.cache.collect(self._kind, images, self._scores)[0]

    def _scores(self, images: Tensor) -> tuple[Tensor]:
        size = self.config.size
        if size is not None and images.shape[-2:] != (size, size):
            images = resize(images, [size, size], InterpolationMode.BICUBIC)
        inputs = self.encoder.preprocess(images, self.config.norm)
        dense = self.encoder.dense(inputs, normalised=True)
        return (score_map(dense, self.text.to(dense.device)),)

    def forward(
        self, images: Shaped[Tensor, "b 3 h w"], names: Sequence[str], size: tuple[int, int]
    ) -> WordMask:
        """Pseudo masks of `names`, one for each picture, on a grid of `size` cells.

        Raises:
            ValueError: a name that is not one of the benchmark's.
        """
        if unknown := sorted(set(names) - set(self.names)):
            raise ValueError(f"names {unknown}: expected some of {list(self.names[:5])}, …")
        target = torch.tensor([self.names.index(name) for name in names])
        target = target.to(images.device, non_blocking=True)
        scores = self.scores(images)
        if self.rivals is not None:
            out = ~self.rivals[target][..., None, None]
            scores = scores.masked_fill(out, torch.finfo(scores.dtype).min)
        return word_mask(scores, target, size)


PSEUDO = "support_pseudo_masks"


class WordGuided(Around):
    """Any method with pseudo masks in the place of the supports' annotation ("I" in LFSS's tables).

    Training still minimises the method's loss on the query's true mask, as IMR-HSNet does. The
    masks are among the maps, as `support_pseudo_masks` (B,N,K,H,W).
    """

    frozen = ("words",)

    def __init__(self, method: FewShotSegmenter, words: WordMasks) -> None:
        super().__init__(method)
        self.words, self.reads_masks = words, False

    def forward(self, episodes: Episode) -> Prediction:
        masks, images = episodes.support_masks, episodes.support_images.flatten(0, 2)  # (BNK, …)
        names = [
            name
            for classes in episodes.class_names
            for name in classes
            for _ in range(masks.shape[2])
        ]
        pseudo = self.words(images, names, tuple(masks.shape[-2:])).mask.byte().view_as(masks)
        prediction = self.method(replace(episodes, support_masks=pseudo))
        return replace(prediction, maps=prediction.maps | {PSEUDO: pseudo})

    def loss(self, prediction: Prediction, episodes: Episode) -> dict[str, Float[Tensor, ""]]:
        """The method's, which must not see the supports' annotation either (PANet aligns with
        their masks)."""
        guided = replace(episodes, support_masks=prediction.maps[PSEUDO])
        return self.method.loss(prediction, guided)


@PRIORS.register("word")
class WordPrior(PriorSource):
    """The pseudo mask of the query as a map: what the episode's word alone says."""

    parts: ClassVar = {"words": WordMasks}
    frozen = ("words",)
    reads_names = True

    def __init__(self, words: WordMasks) -> None:
        super().__init__()
        self.words = words

    def channels(self, shot: int) -> int:
        return 1

    @torch.no_grad()
    def forward(self, episodes: Episode | None, features: EpisodeFeatures) -> Maps:
        episodes = require_episodes(episodes, self)
        names = [name for (name,) in episodes.class_names]
        mask = self.words(episodes.query_image, names, features.grid).mask
        return {"word_mask": mask[:, None]}
