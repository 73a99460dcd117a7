"""Small random things for tests: a backbone of a few channels, episodes of noise."""

import torch
from torch import nn
from torchvision.models.resnet import Bottleneck

from fsslib.data.episode import Episode
from fsslib.encoders.resnet import ResNet
from fsslib.encoders.stages import StageBackbone
from fsslib.methods.base import Prediction
from fsslib.methods.pfenet import PFENet


def tiny_backbone(seed: int = 0, dilated: bool = True) -> ResNet:
    """A frozen ResNet of 4 to 32 times 4 channels with random weights."""
    torch.manual_seed(seed)
    return ResNet(Bottleneck, (1, 1, 1, 1), width=4, dilated=dilated).freeze()


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


class StandIn(StageBackbone):
    """The convolutions that replaced layer0 to layer4 when the golden numbers were recorded."""

    def __init__(self, layers: list[nn.Module], channels: tuple[int, int, int]) -> None:
        super().__init__()
        self.stem, self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.channels = channels


def relu(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers, nn.ReLU())


def official_episodes(case: dict) -> Episode:
    """Only the masks: images come normalised in the golden files."""
    masks = case["s_y"].to(torch.uint8)
    return Episode(
        query_image=torch.zeros(*case["x"].shape, dtype=torch.uint8),
        query_mask=case["y"].to(torch.uint8),
        support_images=torch.zeros(*case["s_x"].shape, dtype=torch.uint8)[:, None],
        support_masks=masks[:, None],
        class_ids=torch.ones(len(masks), 1, dtype=torch.int64),
        class_names=(),
        ids=(),
    )


def assert_head_equals(
    case: dict, model: PFENet, prediction: Prediction
) -> dict[str, torch.Tensor]:
    """Assert that a recorded head predicted the same; its loss terms."""
    torch.testing.assert_close(prediction.logits, case["logits"], atol=1e-4, rtol=0)
    for level, logits in enumerate(prediction.auxiliary_logits):
        torch.testing.assert_close(logits, case[f"inner_out{level}"], atol=1e-4, rtol=0)
    assert torch.equal(prediction.mask.long(), case["pred"])
    loss = model.loss(prediction, official_episodes(case))
    torch.testing.assert_close(loss["main"], case["main_loss"], atol=1e-4, rtol=0)
    torch.testing.assert_close(loss["auxiliary"], case["aux_loss"], atol=1e-4, rtol=0)
    return loss
