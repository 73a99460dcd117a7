"""Small random things for tests: a backbone of a few channels, episodes of noise."""

import torch
from torchvision.models.resnet import Bottleneck

from fsslib.data.episode import Episode
from fsslib.encoders.resnet import ResNet


def tiny_backbone(seed: int = 0) -> ResNet:
    """A frozen dilated ResNet of 4 to 32 times 4 channels with random weights."""
    torch.manual_seed(seed)
    return ResNet(Bottleneck, (1, 1, 1, 1), width=4).freeze()


def random_episodes(batch: int, shot: int, size: int, way: int = 1, seed: int = 0) -> Episode:
    """Episodes of uniform noise with random masks in {0, 1, 255}."""
    generator = torch.Generator().manual_seed(seed)

    def bytes_(*shape: int) -> torch.Tensor:
        return torch.randint(256, shape, generator=generator, dtype=torch.uint8)

    def mask(*shape: int) -> torch.Tensor:
        values = torch.tensor([0, 1, 255], dtype=torch.uint8)
        return values[torch.randint(3, shape, generator=generator)]

    return Episode(
        query_image=bytes_(batch, 3, size, size),
        query_mask=mask(batch, size, size),
        support_images=bytes_(batch, way, shot, 3, size, size),
        support_masks=mask(batch, way, shot, size, size),
        class_ids=torch.arange(1, way + 1).repeat(batch, 1),
        class_names=tuple(tuple(f"class{c}" for c in range(way)) for _ in range(batch)),
        ids=tuple((f"query{b}",) for b in range(batch)),
    )
