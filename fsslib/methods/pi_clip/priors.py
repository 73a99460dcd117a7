"""PI-CLIP's priors for an episode (Wang, Zhang, Pang, Chen, Liu; CVPR 2024).

What a frozen CLIP says of the query: from a word (VTP, refined by PIR) and from the supports (VVP).
Nothing is trained.

Paper and released code differ; presets name the two. The code reads the query's *labels* at
inference: its softmax is over the classes that are in the picture (`candidate_classes="oracle"`).
The default knows only the target's word. Where the code returns a constant map because a query's
labels lack its own class, the target's two prompts are used here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, UInt8
from PIL.Image import Resampling
from torch import Tensor, nn
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import pil_to_tensor, resize, to_pil_image

from fsslib.data.episode import Episode
from fsslib.encoders.clip import ClipEncoder, Norm
from fsslib.encoders.clip_gradients import Trunk, class_gradients, trunk
from fsslib.encoders.clip_vit import ClipViT
from fsslib.encoders.pass_cache import Cache, PassCache
from fsslib.encoders.proxy import require_clip_norm
from fsslib.layers.resize import resize as resize_maps
from fsslib.methods.base import foreground
from fsslib.methods.pi_clip.config import ClipMaps, ClipPriorConfig
from fsslib.methods.pi_clip.prompts import Prompts
from fsslib.priors.gradcam import grad_cam
from fsslib.priors.refinement import box_mask, high_order, refine, sinkhorn
from fsslib.priors.similarity import min_max, similarity_maps

_BICUBIC = InterpolationMode.BICUBIC


class ClipPriors(nn.Module):
    """Episodes -> `ClipMaps`.

    Args:
        encoder: frozen; OpenAI's as in the released code with `positions="bilinear"`.
        names: all classes of the benchmark, for `candidate_classes="all"`.
        cache: for passes of pictures that are seen again.
    """

    def __init__(
        self,
        encoder: ClipEncoder,
        config: ClipPriorConfig | None = None,
        names: Sequence[str] = (),
        cache: Cache | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(encoder, ClipViT):
            raise TypeError(
                f"{type(encoder).__name__}: PI-CLIP reads attention maps; load a ViT, such as "
                "load_clip('scenes-clip-vit')"
            )
        self.config = config or ClipPriorConfig()
        require_clip_norm(encoder.last, "vvp_norm", self.config.vvp_norm)
        self.encoder, self.cache = encoder, cache or PassCache()
        self.text = Prompts(encoder, self.config.candidate_classes, self.config.words, names)

    def channels(self, shots: int, repeat_vtp: int = 1, layers: int = 2) -> int:
        """How many maps an episode of `shots` supports gets."""
        config = self.config
        return repeat_vtp * config.vtp + config.vvp * shots * (config.vvp_layers or layers)

    @torch.no_grad()
    def forward(self, episodes: Episode, layers: int = 2) -> ClipMaps:
        """The maps, in fp32 under autocast too; `layers` of the VVP unless the config has them."""
        with torch.autocast(episodes.query_image.device.type, enabled=False):
            return self._maps(episodes, self.config.vvp_layers or layers)

    def _maps(self, episodes: Episode, layers: int) -> ClipMaps:
        config, tokens, mean = self.config, None, None
        vtp = cam = boxes = vvp = None
        states = None
        if config.vtp:
            pictures = self._vtp_pictures(episodes)
            states = self._trunk(pictures, config.blocks)
            scale, text = config.scale or self.encoder.logit_scale, self.text(episodes)
            gradients = class_gradients(self.encoder, states, text, scale, pictures)
            cam = grad_cam(gradients.activations, gradients.gradients)
            tokens, mean = gradients.tokens, gradients.attention
            boxes = box_mask(cam, config.threshold)
            vtp = self._refined(cam, mean, boxes) if config.refine_vtp else cam
            vtp = self._at_original(vtp[:, None], episodes)
        if config.vvp:
            vvp = self._vvp(episodes, states, tokens, mean, layers)
        return ClipMaps(vtp, vvp, cam, boxes)

    def _vtp_pictures(self, episodes: Episode) -> UInt8[Tensor, "b 3 h w"]:
        """The queries, their sides rounded up to whole patches."""
        pictures, patch = episodes.query_image, self.encoder.stride
        original = self._original(episodes)
        size = [-(-side // patch) * patch for side in original or pictures.shape[-2:]]
        if size != list(pictures.shape[-2:]):
            pictures = _pillow(pictures, size) if original else resize(pictures, size, _BICUBIC)
        return pictures

    def _original(self, episodes: Episode) -> tuple[int, int] | None:
        """Size that the code takes for the photographs' of a batch, where the VTP wants it."""
        if self.config.vtp_size == "input":
            return None
        masks = [mask for mask in episodes.original_mask or () if mask is not None]
        if self.config.vtp_size == "tensor" or not masks:  # augmented pictures have no photograph
            return tuple(episodes.query_image.shape[-2:])
        sizes = sorted({tuple(mask.shape) for mask in masks})
        if len(sizes) > 1:
            raise ValueError(
                f"vtp_size='original' with photographs of sizes {sizes[:4]} in one batch; "
                "use batch_size=1"
            )
        return sizes[0]

    def _at_original(
        self, vtp: Float[Tensor, "b 1 h w"], episodes: Episode
    ) -> Float[Tensor, "b 1 rows columns"]:
        """The code resizes the map to the photograph before it goes to the network's grid."""
        if (original := self._original(episodes)) is None:
            return vtp
        return F.interpolate(vtp, original, mode="bilinear", align_corners=False)

    def _vvp(
        self,
        episodes: Episode,
        states: Trunk | None,
        tokens: Tensor | None,
        mean: Tensor | None,
        layers: int,
    ) -> Float[Tensor, "b kl h w"]:
        """One map per layer and shot. Supports are masked before CLIP sees them: their background
        becomes the mean colour, zero after normalisation."""
        config, shots = self.config, episodes.shot
        shared = config.shared_pass and states is not None
        if not shared:
            # Attention is only made where it will be read.
            blocks = config.blocks if config.refine_vvp else 1
            states = self._trunk(episodes.query_image, blocks, config.vvp_norm, whole=True)
            tokens, mean = states.tokens, states.attention / blocks
        masks = episodes.support_masks[:, 0]
        pictures = rearrange(episodes.support_images, "b 1 k c h w -> (b k) c h w")
        shown = foreground(masks).flatten(0, 1)[:, None]
        size = [rows * self.encoder.stride for rows in states.grid] if shared else None
        norm = "clip" if shared else config.vvp_norm  # what the query's pass had
        supports = self._trunk(pictures, 1, norm, shown, size, whole=True)
        pairs = [(tokens, supports.tokens), (states.hidden, supports.hidden)]
        maps = [
            similarity_maps(
                _cells(query, states.grid),
                _cells(support, supports.grid).unflatten(0, (-1, shots)),
                masks,
                config.stretch,
            )
            for query, support in pairs[:layers]
        ]
        vvp = torch.cat(maps, 1)
        return self._refined_each(vvp, mean) if config.refine_vvp else vvp

    def _trunk(
        self,
        pictures: UInt8[Tensor, "b 3 h w"],
        attention: int,
        norm: Norm = "clip",
        shown: Float[Tensor, "b 1 h w"] | None = None,
        size: Sequence[int] | None = None,
        whole: bool = False,
    ) -> Trunk:
        """A pass, from the cache where it can be. `shown` is 1 where a picture is not blanked."""
        inputs = self.encoder.preprocess(pictures, norm)
        if shown is not None:
            inputs = inputs * shown
        if size is not None and list(inputs.shape[-2:]) != list(size):
            inputs = resize_maps(inputs, size)
        grid = self.encoder.grid(inputs.shape[-2:])

        def make(part: Tensor) -> tuple[Tensor, ...]:
            states = trunk(self.encoder, part, True, attention, whole)
            return (states.hidden, states.attention, states.tokens)[: 3 if whole else 2]

        def kind() -> str:
            return f"{'whole' if whole else 'trunk'}{attention}-{self.encoder.digest}"

        hidden, maps, *tokens = self.cache.collect(kind, inputs, make)
        return Trunk(hidden, maps, attention, grid, *tokens)

    def _refined(
        self, prior: Float[Tensor, "b h w"], mean: Tensor, boxes: Tensor
    ) -> Float[Tensor, "b h w"]:
        """PIR, stretched to 0..1."""
        affinity = mean[:, 1:, 1:]  # without the class token
        matrix = high_order(sinkhorn(affinity, self.config.rounds), self.config.square)
        return min_max(refine(prior, matrix, boxes, self.config.box_on))

    def _refined_each(
        self, vvp: Float[Tensor, "b m h w"], mean: Tensor
    ) -> Float[Tensor, "b m h w"]:
        maps = vvp.shape[1]
        flat = min_max(vvp.flatten(0, 1))
        boxes = box_mask(flat, self.config.threshold)
        return self._refined(flat, mean.repeat_interleave(maps, 0), boxes).unflatten(0, (-1, maps))


def _pillow(
    pictures: UInt8[Tensor, "b 3 h w"], size: Sequence[int]
) -> UInt8[Tensor, "b 3 rows columns"]:
    """Pillow's bicubic, one picture after the other, as the released code has it; torchvision's is
    off by one level here and there, which a class activation map magnifies to 5 in 1,000."""
    resized = [
        pil_to_tensor(to_pil_image(picture.cpu()).resize(size[::-1], Resampling.BICUBIC))
        for picture in pictures
    ]
    return torch.stack(resized).to(pictures.device)


def _cells(tokens: Float[Tensor, "b n c"], grid: Sequence[int]) -> Float[Tensor, "b c h w"]:
    """Patch tokens as a map; the class token is dropped."""
    return tokens[:, 1:].transpose(1, 2).unflatten(2, tuple(grid))
