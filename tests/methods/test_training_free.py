"""FSSDINO, INSID3, GF-SAM, Matcher and PerSAM as methods: ways, shots, edges, presets, refusals."""

from dataclasses import replace

import pytest
import torch
from golden import assert_near
from stand_ins import random_episodes

from fsslib.config import ConfigError
from fsslib.data.protocol import Protocol
from fsslib.encoders.grid_encoders import build_grid_encoder
from fsslib.encoders.weights import WeightsError
from fsslib.evaluation.evaluator import at_original
from fsslib.methods import METHODS, build_method
from fsslib.methods.fssdino import one_hot
from fsslib.methods.grid_method import GridMethod, together
from fsslib.methods.mask_makers import FeatureClusters, MaskMaker, SamMasks, build_mask_maker
from fsslib.methods.n_way import any_way
from fsslib.priors import fssdino, gfsam, insid3
from fsslib.priors.agglomerative import agglomerate
from fsslib.priors.grid_masks import half_mask, soft_mask
from fsslib.priors.positional_basis import debias, plain_features, positional_basis

FREE = tuple(name for name in METHODS.names() if issubclass(METHODS.get(name), GridMethod))
SIZE = 64


@pytest.fixture(scope="module")
def encoder():
    return build_grid_encoder("scenes-clip-vit")


def make(name, encoder, **options):
    parts = {"masks": build_mask_maker("clusters")} if "masks" in METHODS.get(name).parts else {}
    options.setdefault("preset", "scenes")
    return build_method(name, encoder=encoder, **parts, **options)


def episodes_of(way=1, shot=1, batch=2):
    """Noise, rectangles and a line of 255."""
    noise = random_episodes(batch, shot, SIZE, way)
    masks = noise.support_masks * 0
    masks[..., 12:44, 8:40] = 1
    masks[..., :6, :] = 255
    return replace(noise, support_masks=masks)


@pytest.mark.parametrize("name", FREE)
@pytest.mark.parametrize(("way", "shot"), [(1, 1), (1, 3), (2, 2)])
def test_every_way_and_shot(name, way, shot, encoder):
    method = any_way(make(name, encoder), way)
    prediction = method(episodes_of(way, shot))
    assert prediction.logits.shape == (2, 1 + way, SIZE, SIZE)
    assert prediction.logits.isfinite().all()
    assert all(len(value) == 2 and value.isfinite().all() for value in prediction.maps.values())
    assert not method.head_state() and not method.trainable


@pytest.mark.parametrize("name", FREE)
def test_a_batch_is_its_episodes(name, encoder):
    method, batch = make(name, encoder), episodes_of(shot=2)
    whole = method(batch)
    second = {
        field: getattr(batch, field)[1:]
        for field in ("query_image", "query_mask", "support_images", "support_masks", "class_ids")
    }
    alone = method(replace(batch, **second))
    assert_near(whole.logits[1:], alone.logits, 1e-3)


@pytest.mark.parametrize("name", FREE)
def test_the_query_mask_is_never_read(name, encoder):
    method, batch = make(name, encoder), episodes_of()
    other = replace(batch, query_mask=255 - batch.query_mask)
    assert torch.equal(method(batch).logits, method(other).logits)


@pytest.mark.parametrize("name", FREE)
def test_an_empty_support_mask_is_no_error(name, encoder):
    batch = episodes_of()
    empty = replace(batch, support_masks=batch.support_masks * 0)
    prediction = make(name, encoder)(empty)
    assert not prediction.logits.isnan().any() and prediction.logits[:, 0].isfinite().all()


def test_a_class_that_fssdino_can_see_nowhere_wins_nowhere_at_another_size(encoder):
    method, batch = make("fssdino", encoder, preset="official", size=None), episodes_of()
    logits = method(replace(batch, support_masks=batch.support_masks * 0)).logits
    protocol = Protocol.preset("scenes10i", image_size=SIZE)
    for size in ((2 * SIZE, 100), (SIZE - 7, 50)):
        larger = at_original(logits[0], size, replace(protocol, fit="stretch"))
        assert larger.isfinite().all() and not larger.argmax(0).any()


def test_insid3_of_an_empty_mask_is_empty(encoder):
    batch = episodes_of()
    empty = replace(batch, support_masks=batch.support_masks * 0)
    assert not make("insid3", encoder)(empty).mask.any()


@pytest.mark.parametrize("name", FREE)
def test_presets_are_there_and_build(name, encoder):
    kind = METHODS.get(name)
    for preset in kind.config_class.presets():
        assert kind.config_class.preset(preset) is not None
    assert issubclass(kind, GridMethod) and kind.usual_preset == "official"


def test_defaults_are_as_released():
    released = METHODS.get("insid3").config_class()
    assert (released.components, released.tau, released.alpha) == (500, 0.6, 0.2)
    assert released.blank == "black" and released.forward and released.area_weight
    assert METHODS.get("gfsam").config_class().channel_norm
    assert METHODS.get("fssdino").config_class().prototypes == 5
    paper = METHODS.get("insid3").config_class.preset("paper")
    assert paper.blank == "noise" and not (paper.forward or paper.area_weight or paper.strict)
    equation = METHODS.get("gfsam").config_class.preset("paper")
    assert equation.relu and not equation.channel_norm


def test_insid3_refuses_a_basis_that_leaves_nothing(encoder):
    for components in (128, 500):  # all channels; 8 x 8 cells have a rank of 63
        method = make("insid3", encoder, components=components)
        with pytest.raises(
            ValueError, match=f"components={components}: features have 128 channels"
        ):
            method(episodes_of())
    with pytest.raises(ValueError, match="expected 0 to 62"):
        make("insid3", encoder, components=63)(episodes_of())
    assert make("insid3", encoder, components=62)(episodes_of()).logits.isfinite().all()
    assert make("insid3", encoder, share=0.9)(episodes_of()).logits.isfinite().all()


def by_hand(encoder, batch, components):
    """INSID3 from its steps."""
    query, support = encoder(batch.query_image)[0], encoder(batch.support_images[:, 0, 0])[:1]
    projector = positional_basis(encoder.blank("black", (SIZE, SIZE)), components).projector
    masks = half_mask(batch.support_masks[0, 0, 0] == 1, (8, 8))[None]
    free, free_support, plain = (
        debias(query, projector),
        debias(support, projector),
        plain_features(query),
    )
    chosen = insid3.candidates(free, free_support, masks)
    labels = agglomerate(plain)
    merged = insid3.aggregate(
        plain, free, labels, chosen.both, insid3.prototype(free_support, masks)
    )
    return merged, labels


@pytest.mark.parametrize("edges", ["official", "margin"])
def test_insid3_is_its_steps(encoder, edges):
    batch = episodes_of(batch=1)
    method = make("insid3", encoder, components=8, alpha=0.2, edges=edges)
    prediction = method(batch)
    merged, labels = by_hand(encoder, batch, 8)
    assert torch.equal(prediction.maps["kept"][0, 0].bool(), merged.selected[labels])
    assert_near(prediction.maps["score"][0, 0], merged.score[labels], 1e-6)
    if edges == "official":
        expected = insid3.official_edges(merged.selected[labels], SIZE, (SIZE, SIZE))
        assert torch.equal(prediction.mask[0].bool(), expected)


def test_insid3s_basis_is_made_once(encoder):
    method = make("insid3", encoder)
    assert method.basis((64, 64)) is method.basis((64, 64))
    assert method.basis((64, 64)) is not method.basis((64, 72))
    noise = make("insid3", encoder, blank="noise")
    assert (noise.basis((64, 64)).projector - method.basis((64, 64)).projector).abs().max() > 0.01


def test_gfsams_maps_are_their_steps(encoder):
    batch = episodes_of(batch=1, shot=2)
    query, support = encoder(batch.query_image)[0], encoder(batch.support_images[0, 0])
    masks = soft_mask(batch.support_masks[0, 0] == 1, (8, 8))
    norm = gfsam.channel_norm
    expected = gfsam.positive_negative_maps(norm(support), norm(query), masks)
    maps = make("gfsam_maps", encoder)(batch).maps
    for name, value in expected._asdict().items():
        assert_near(maps[name][0, 0], value, 1e-5)


def test_gfsam_without_points_is_empty(encoder):
    """A query that is its own background: nothing is more like the object."""
    method = make("gfsam", encoder)
    cells = method.cells(episodes_of(batch=1))[0]
    flat = cells._replace(query=torch.ones_like(cells.query))
    answer = method.answer(flat)
    assert not (answer.logits[1] > answer.logits[0]).any()
    assert not answer.maps["points"].any()


def test_gfsam_asks_the_generator_for_the_corners_of_its_cells(encoder):
    class Watched(MaskMaker):
        name, requested = "watched", None

        def forward(self, image, features):
            def masks_of(points):
                self.requested = points
                masks = torch.zeros(len(points), *image.shape[1:], dtype=torch.bool)
                masks[torch.arange(len(points)), points[:, 1], points[:, 0]] = True
                return masks

            return masks_of

    maker = Watched()
    build_method("gfsam", encoder=encoder, masks=maker, preset="scenes")(episodes_of(batch=1))
    assert len(maker.requested) and not (maker.requested % 8).any()


def test_fssdinos_background_is_what_is_background_in_all_supports():
    masks = torch.tensor([0, 1, 255], dtype=torch.uint8).view(1, 1, 1, 3).expand(2, 2, 1, 3)
    hot = one_hot(masks)  # (4, 3, 1, 3)
    assert hot.shape == (4, 3, 1, 3)
    assert hot[:, 0, 0].tolist() == [[1, 0, 0]] * 4
    assert hot[:, 1, 0].tolist() == [[0, 1, 0]] * 2 + [[0, 0, 0]] * 2
    assert hot[:, 2, 0].tolist() == [[0, 0, 0]] * 2 + [[0, 1, 0]] * 2


def test_fssdino_without_its_gram_map(encoder):
    batch = episodes_of(batch=1)
    with_gram, bare = make("fssdino", encoder), make("fssdino", encoder, gram=False)
    assert with_gram(batch).maps["gram"].amax() == pytest.approx(1, abs=1e-4)
    assert not bare(batch).maps["gram"].any()
    assert (with_gram(batch).logits - bare(batch).logits).abs().max() > 1e-3
    cells = bare.cells(batch)[0]
    scores = fssdino.class_scores(bare.class_maps(cells), (SIZE, SIZE))
    assert_near(bare(batch).logits[0], scores, 1e-5)


def test_tokens_are_read_as_each_paper_has_them(encoder):
    after = {name for name in FREE if METHODS.get(name).after_norm}
    assert not after & {"fssdino", "gfsam", "gfsam_maps", "matcher"} and "insid3" in after


def test_pictures_are_shown_at_the_methods_size(encoder):
    method = make("gfsam_maps", encoder, size=96)
    assert method(episodes_of()).maps["mean"].shape == (2, 1, 12, 12)


def test_mask_makers_by_name():
    assert isinstance(build_mask_maker(), FeatureClusters)
    for text in ("circles", ""):
        with pytest.raises(ConfigError, match="expected one of"):
            build_mask_maker(text)
    assert SamMasks.name == "sam"


def test_a_sam_that_cannot_be_had_is_one_clear_error(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsError, match="SAM"):
        build_mask_maker("nobody/no-such-sam")


def test_parts_come_to_the_host_in_one_copy_or_stay():
    parts = [torch.randn(2, 3), torch.randint(256, (4,), dtype=torch.uint8)]
    assert all(a is b for a, b in zip(together(parts), parts, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"),
    [("timm/vit_small_patch14_dinov2", 518), ("timm/vit_small_patch16_dinov3", 512)],
)
def test_one_episode_at_full_resolution_on_true_architectures(name, size):
    """Random weights: that it runs at the papers' sizes, not what it scores."""
    network = build_grid_encoder(name, "random")
    batch = random_episodes(1, 1, size)
    masks = batch.support_masks * 0
    masks[..., size // 4 : size // 2, size // 4 : size // 2] = 1
    batch = replace(batch, support_masks=masks)
    for method in FREE:
        options = {"components": 50} if method == "insid3" else {}
        made = make(method, network, size=size, preset=None, **options)
        answer = made(batch)
        assert answer.logits.shape == (1, 2, size, size) and answer.logits.isfinite().all()
