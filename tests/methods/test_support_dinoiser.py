"""Support images in the place of words: what the variants promise of each other and of masks."""

import typing
import warnings
from dataclasses import replace

import pytest
import torch
from open_clip import CLIP
from stand_ins import random_episodes, tiny_backbone

from fsslib.data.scenes import CLASS_NAMES
from fsslib.encoders.clip_loading import load_clip
from fsslib.encoders.clip_vit import ClipViT
from fsslib.layers.losses import balanced_cross_entropy
from fsslib.layers.spherical_kmeans import spherical_kmeans
from fsslib.layers.weighted_pooling import DinoiserHeads, correlate, weighted_pool
from fsslib.methods import build_method
from fsslib.methods.clip_dinoiser import ClipDinoiser
from fsslib.methods.clip_dinoiser.config import DinoiserConfig, Variant
from fsslib.methods.clip_dinoiser.finetuned import dinoiser_method
from fsslib.methods.clip_dinoiser.supports import (
    Supports,
    background_prototype,
    cells_of,
    correspondence_prior,
    object_crops,
    prototype,
    share,
)
from fsslib.methods.clip_dinoiser.variants import cosines
from fsslib.priors.similarity import unit

ENCODER = load_clip("scenes-clip-vit")
VARIANTS = typing.get_args(Variant)


def dinoiser(**settings) -> ClipDinoiser:
    torch.manual_seed(0)
    heads = DinoiserHeads(128, 16).requires_grad_(False)
    return ClipDinoiser(ENCODER, heads, DinoiserConfig.preset("scenes", **settings))


def method(**settings):
    return dinoiser_method(dinoiser(**settings)).eval()


def episodes(batch=2, way=2, shot=2, seed=0):
    noise = random_episodes(batch, shot, 96, way, seed)
    return replace(noise, class_names=(tuple(CLASS_NAMES[:way]),) * batch)


def logits(case=None, **settings):
    return method(**settings)(case or episodes()).logits


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("way", "shot"), [(1, 1), (3, 2)])
def test_every_variant_answers_any_way_and_shot(variant, way, shot):
    prediction = method(variant=variant)(episodes(2, way, shot))
    assert prediction.logits.shape == (2, 1 + way, 96, 96)
    assert torch.isfinite(prediction.logits).all()
    assert not prediction.logits.isnan().any() and prediction.mask.max() <= way


@pytest.mark.parametrize("variant", VARIANTS)
def test_pictures_of_a_batch_do_not_touch_each_other(variant):
    both = episodes(2)
    first = episodes(1)
    first = replace(
        first,
        **{
            name: getattr(both, name)[:1]
            for name in ("query_image", "query_mask", "support_images", "support_masks")
        },
    )
    together, alone = logits(both, variant=variant), logits(first, variant=variant)
    torch.testing.assert_close(together[:1].exp(), alone.exp(), atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("pooling", [True, False])
def test_fusion_ends_in_words_and_in_prototypes(pooling):
    words = logits(variant="text", refine=False, pooling=pooling)
    supports = logits(variant="prototype", pooling=pooling)
    assert torch.equal(logits(variant="fusion", alpha=1.0, pooling=pooling), words)
    assert torch.equal(logits(variant="fusion", alpha=0.0, pooling=pooling), supports)
    between = logits(variant="fusion", alpha=0.5, pooling=pooling)
    assert not torch.equal(between, words) and not torch.equal(between, supports)


def test_options_change_what_they_say_and_nothing_else():
    plain = logits(variant="prototype")
    assert not torch.equal(plain, logits(variant="prototype", pooling=False))
    assert not torch.equal(plain, logits(variant="prototype", gamma=0.6))
    assert not torch.equal(plain, logits(variant="prototype", shots="pixels"))
    one = episodes(shot=1)
    mean, pixels = (logits(one, variant="prototype", shots=s) for s in ("mean", "pixels"))
    # Of one shot a class, only the background still has several.
    torch.testing.assert_close(
        *(x.exp()[:, 2] / x.exp()[:, 1] for x in (mean, pixels)), rtol=1e-2, atol=1e-3
    )
    unrelated = logits(variant="correspondence", correspondence_weight=0.0)
    assert torch.equal(plain, unrelated)


@pytest.mark.parametrize("variant", ["prototype", "fusion"])
def test_background_of_the_decoder_is_where_nothing_is_salient(variant):
    chosen = method(variant=variant, background="decoder")
    chosen.dinoiser.heads.bkg_decoder.bias.data.fill_(0.0)
    prediction = chosen(episodes())
    winner = prediction.maps["probabilities"].argmax(1)
    assert torch.equal(winner == 0, prediction.maps["saliency"][:, 0] <= 0.5)
    assert 0 < (winner == 0).float().mean() < 1


def test_a_shot_without_the_object_says_nothing():
    case = episodes(shot=2)
    case.support_masks[:, :, 1] = 0
    alone = replace(
        case,
        support_images=case.support_images[:, :, :1],
        support_masks=case.support_masks[:, :, :1],
    )
    both, one = (logits(each, variant="masked_global") for each in (case, alone))
    torch.testing.assert_close(both, one, atol=1e-3, rtol=1e-4)


def test_cosines_are_single_precision_under_autocast():
    features, vectors = torch.randn(1, 32, 5, 5), unit(torch.randn(1, 3, 32), -1)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(cosines(features, vectors), cosines(features, vectors).float())
        mixed = cosines(features, vectors), correlate(unit(features))
    torch.testing.assert_close(mixed, (cosines(features, vectors), correlate(unit(features))))


def test_an_encoder_that_collapses_gets_a_warning():
    vision = {"layers": 3, "width": 768, "head_width": 64, "patch_size": 32, "image_size": 64}
    text = {"context_length": 8, "vocab_size": 9, "width": 32, "heads": 2, "layers": 1}
    encoder = ClipViT(CLIP(24, vision, text), tokenizer=list, name="ViT-B-32").freeze()
    with pytest.warns(UserWarning, match="ViT-B-32: CLIP-DINOiser was made for a ViT-B/16"):
        assert ClipDinoiser(encoder, None).encoder is encoder, "it may be tried all the same"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert dinoiser().encoder is ENCODER


def test_text_is_refined_and_words_are_the_only_thing_it_reads():
    case = episodes()
    blank = replace(case, support_masks=torch.zeros_like(case.support_masks))
    assert torch.equal(logits(case, variant="text"), logits(blank, variant="text"))
    chosen = method(variant="text", temperature=10.0)
    chosen.dinoiser.heads.bkg_decoder.bias.data.fill_(-100.0)
    assert not chosen(case).mask.any()  # nothing is salient, nobody is sure


def views(way=1, shot=1, grid=6, masks=None):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1, way, shot, 8, grid, grid, generator=generator)
    embedding = torch.randn(1, way, shot, 4, grid, grid, generator=generator)
    shares = share(masks == 1, (grid, grid)), share(masks == 0, (grid, grid))
    return Supports(unit_at(features, 3), unit_at(embedding, 3), *shares)


def unit_at(values, dim):
    return values / values.norm(dim=dim, keepdim=True)


def test_masks_reach_the_grid_by_area_and_255_is_in_nobodys_part():
    masks = torch.zeros(1, 1, 1, 24, 24, dtype=torch.uint8)
    masks[..., :2, :4], masks[..., 2:4, :4] = 1, 255
    supports = views(masks=masks)
    assert supports.foreground[0, 0, 0, 0, 0] == 0.5 and supports.background[0, 0, 0, 0, 0] == 0
    assert supports.background[0, 0, 0, 0, 1] == 1 and supports.foreground.sum() == 0.5


def test_masks_that_vanish_keep_the_cell_they_cover_most():
    masks = torch.zeros(1, 1, 1, 24, 24, dtype=torch.uint8)
    masks[..., 9, 13], masks[..., 8:10, 16] = 1, 1  # one pixel of cell (2, 3), two of (2, 4)
    supports = views(masks=masks)
    cells = cells_of(supports.foreground)[0, 0, 0]
    assert cells.nonzero().tolist() == [[2, 4]]
    masks[..., 8:10, 16] = 0
    supports = views(masks=masks)
    actual = prototype(supports.features, supports.foreground, "mean")[0, 0]
    torch.testing.assert_close(actual, supports.features[0, 0, 0, :, 2, 3])
    empty = views(masks=torch.zeros_like(masks))
    assert not cells_of(empty.foreground).any()
    assert not prototype(empty.features, empty.foreground, "mean").any()


def test_background_is_pooled_from_cells_of_no_episode_class():
    masks = torch.zeros(1, 2, 1, 24, 24, dtype=torch.uint8)
    masks[:, 0, :, :12], masks[:, 1, :, :12] = 1, 255
    supports = views(way=2, masks=masks)
    means = [supports.features[0, n, 0, :, 3:].mean((-2, -1)) for n in range(2)]
    expected = unit_at(sum(unit_at(m, 0) for m in means), 0)
    torch.testing.assert_close(background_prototype(supports, "mean")[0], expected)


def test_correspondence_finds_the_support_cell_itself():
    masks = torch.zeros(1, 1, 1, 24, 24, dtype=torch.uint8)
    masks[..., :8, :] = 1
    supports = views(masks=masks)
    prior = correspondence_prior(supports.embedding[:, 0, 0], supports)[0, 0]
    assert (prior[:2] >= 0).all() and (prior[2:] <= 0).all()
    everything = views(masks=torch.ones_like(masks))
    own = correspondence_prior(supports.embedding[:, 0, 0], everything)
    torch.testing.assert_close(own, torch.ones_like(own))  # no background to lose against


def test_object_crops_show_the_object_alone_in_the_mean_colour():
    inputs, masks = torch.full((2, 3, 40, 60), 2.0), torch.zeros(2, 40, 60, dtype=torch.bool)
    masks[0, 10:20, 30:50], masks[1] = True, True
    crops = object_crops(inputs, masks, 48, margin=0.1)
    rows, columns = (crops[0, 0] > 1).nonzero().T
    assert columns.max() - columns.min() + 1 == 40 and rows.max() - rows.min() + 1 == 20
    assert crops[0, 0, 0, 0] == 0 and (crops[0, 0, 24, 24] == 2)
    assert not object_crops(inputs, torch.zeros_like(masks), 48).any()


def test_spherical_kmeans_finds_directions_and_obeys_weights():
    torch.manual_seed(0)
    axes = torch.eye(8)[:3]
    points = unit_at(axes.repeat_interleave(20, 0) + 0.05 * torch.randn(60, 8), -1)[None]
    centres = spherical_kmeans(points, torch.ones(1, 60), 3)[0]
    assert (centres @ axes.T).amax(0).min() > 0.99
    first_two = torch.cat([torch.ones(1, 40), torch.zeros(1, 20)], 1)
    assert (spherical_kmeans(points, first_two, 5)[0] @ axes[2]).max() < 0.2
    assert not spherical_kmeans(points, torch.zeros(1, 60), 3).any()


def test_counter_examples_become_background():
    case = episodes(1, 1, 1)
    chosen = method(variant="centred")
    query = chosen.dinoiser.view(case.query_image)
    before = chosen.grid_logits(query, case)[0]
    chosen.add_negatives(case.query_image)  # the query itself is none of the class
    after = chosen.grid_logits(query, case)[0]
    assert torch.equal(after[:, 1:], before[:, 1:])
    assert (after[:, 0] >= before[:, 0]).all() and (after[:, 0] > before[:, 0]).any()
    half = torch.zeros(1, 96, 96, dtype=torch.bool)
    half[:, :44] = True  # to the middle of a row of cells
    chosen.add_negatives(case.query_image, half)
    shown, weights = chosen.negatives
    assert len(shown) == len(weights) == 2 * 144, "beside what was given before"
    assert weights[144:].view(12, 12)[:, 0].tolist() == [1.0] * 5 + [0.5] + [0.0] * 6
    with pytest.raises(ValueError, match="no pixel of any picture is inside"):
        chosen.add_negatives(case.query_image, torch.zeros_like(half))
    with pytest.raises(ValueError, match="variant='prototype' with background='prototype' reads"):
        method().add_negatives(case.query_image)


def test_pictures_that_have_to_be_padded_are_answered_as_zero_shot_answers_them():
    case = replace(random_episodes(1, 1, 90, 2), class_names=(tuple(CLASS_NAMES[:2]),))
    text = method(variant="text", size=None)
    names = ["background", *CLASS_NAMES[:2]]
    expected = text.dinoiser.zero_shot(case.query_image, names)
    torch.testing.assert_close(text(case).logits.exp(), expected)


@pytest.mark.parametrize("variant", ["prototype", "centred", "correspondence"])
def test_what_is_padded_belongs_to_no_class(variant):
    case, torn = random_episodes(1, 1, 90), random_episodes(1, 1, 90)
    padded = {
        name: torch.nn.functional.pad(getattr(case, name), (0, 6, 0, 6), value=value)
        for name, value in (
            *(("query_image", 0), ("support_images", 0)),
            *(("query_mask", 255), ("support_masks", 255)),
        )
    }
    chosen = method(variant=variant, size=None)
    inside = chosen.grid_logits(chosen._view(torn.query_image), case)[0]
    outside = chosen.grid_logits(chosen._view(torn.query_image), replace(case, **padded))[0]
    torch.testing.assert_close(inside, outside)


@pytest.mark.parametrize("value", [0, 1, 255])
def test_a_support_without_object_or_without_background_leaves_gradients_finite(value):
    case = episodes(1, 1, 1)
    case.support_masks.fill_(value)
    learner = method(variant="finetuned").train()
    sum(learner.loss(learner(case), case).values()).backward()
    for name, parameter in learner.named_parameters():
        if parameter.requires_grad:
            assert torch.isfinite(parameter.grad).all(), name


def test_words_and_supports_are_mixed_each_at_its_own_temperature():
    case = episodes(1)
    settings = {"temperature": 30.0, "image_temperature": 7.0, "alpha": 0.3}
    fusion = method(variant="fusion", **settings)
    query = fusion.dinoiser.view(case.query_image)
    words, images = fusion.word_logits(query, case), fusion.image_logits(query, case)[0]
    text = fusion.dinoiser.text(["background", *CLASS_NAMES[:2]])
    cosine = torch.einsum("bdhw,nd->bnhw", unit(query.pooled), text)
    torch.testing.assert_close(words, 30 * cosine)
    torch.testing.assert_close(images, method(image_temperature=7.0).image_logits(query, case)[0])
    torch.testing.assert_close(fusion.grid_logits(query, case)[0], 0.3 * words + 0.7 * images)
    learner = method(variant="finetuned", **settings)
    mixed = 30 * (0.3 * cosine + 0.7 * images / 7)
    mixed[:, :1] -= query.saliency
    expected = torch.nn.functional.interpolate(mixed, (96, 96), mode="bilinear")
    torch.testing.assert_close(learner(case).logits, expected, atol=1e-4, rtol=1e-4)


def test_settings_of_one_method_are_not_anothers():
    shared, case = dinoiser(), episodes(1)

    def built(name="clip_dinoiser", **settings):
        return build_method(name, tiny_backbone(), "scenes", dinoiser=shared, **settings)

    first = built()
    before = first(case).logits
    built(gamma=0.8, templates="photo")
    built("clip_dinoiser_finetuned", variant="finetuned")
    assert torch.equal(first(case).logits, before)
    assert not any(parameter.requires_grad for parameter in shared.parameters())


@pytest.mark.parametrize(
    "settings",
    [
        *({"gamma": 1.5}, {"gamma": -0.5}, {"delta": 7.0}),
        *({"global_size": 0}, {"size": 0}, {"correspondence_weight": -3.0}),
    ],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match="expected"):
        DinoiserConfig.preset("scenes", **settings)


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_say_whether_they_read_masks(variant):
    assert method(variant=variant).reads_masks == (variant not in ("text", "global_image"))


def test_a_single_episode_is_refused_in_words():
    case = episodes(1)
    single = replace(case, **{f: getattr(case, f)[0] for f in ("query_image", "query_mask")})
    single = replace(
        single,
        support_images=case.support_images[0],
        support_masks=case.support_masks[0],
        class_ids=case.class_ids[0],
    )
    with pytest.raises(ValueError, match="takes batches; wrap a single episode in stack"):
        method()(single)


def test_smoothing_averages_logits_with_the_query_own_correlations():
    case = episodes(1)
    smooth = method(variant="correspondence", smooth_logits=True)
    rough = method(variant="correspondence")
    query = rough.dinoiser.view(case.query_image)
    expected = weighted_pool(rough.grid_logits(query, case)[0], query.correlations)
    torch.testing.assert_close(smooth.grid_logits(query, case)[0], expected)


def test_balanced_cross_entropy_weighs_by_rarity_up_to_a_cap():
    mask = torch.zeros(1, 4, 10, dtype=torch.uint8)
    mask[0, 0, :4], mask[0, 1, 0], mask[0, 3] = 1, 2, 255
    values = torch.randn(1, 4, 4, 10)
    flat = values.movedim(1, -1)[0, :3].reshape(30, 4).log_softmax(-1)
    target = mask[0, :3].flatten().long()
    weights = torch.tensor([30 / (3 * 25), 30 / (3 * 4), 10.0, 0.0])[target]  # 30 / 3 capped
    own = -(flat.gather(1, target[:, None])[:, 0] * weights).sum() / weights.sum()
    torch.testing.assert_close(balanced_cross_entropy(values, mask), own)
    rare = balanced_cross_entropy(values, mask, most=1.0)
    assert not torch.isclose(rare, own)


def test_fine_tuning_reaches_heads_temperature_and_alpha_and_nothing_else():
    case, chosen = episodes(), dinoiser_method(dinoiser(variant="finetuned"))
    with torch.inference_mode():  # what validation keeps must not hinder training
        chosen(case)
    before = {key: value.clone() for key, value in chosen.state_dict().items()}
    chosen.train()
    loss = chosen.loss(chosen(case), case)["main"]
    loss.backward()
    trained = {name for name, p in chosen.named_parameters() if p.requires_grad}
    assert all(p.grad is not None and p.grad.any() for p in chosen.parameters() if p.requires_grad)
    torch.optim.AdamW([p for p in chosen.parameters() if p.requires_grad], 1e-2).step()
    changed = {k for k, v in chosen.state_dict().items() if not torch.equal(v, before[k])}
    state = chosen.head_state()
    assert set(state) == {
        *("heads.obj_proj.weight", "heads.obj_proj.bias", "log_temperature", "alpha_logit"),
        *("heads.bkg_decoder.weight", "heads.bkg_decoder.bias"),
    }
    assert {k for k in changed if not k.startswith("dinoiser.heads")} == set(state)
    assert not any(name.startswith("dinoiser.encoder") for name in trained)
    other = dinoiser_method(dinoiser(variant="finetuned")).eval()
    other.load_head_state(state)
    assert torch.equal(other(case).logits, chosen.eval()(case).logits)


def test_settings_that_cannot_be_are_named():
    with pytest.raises(ValueError, match=r"alpha=1\.5"):
        DinoiserConfig(alpha=1.5)
    with pytest.raises(ValueError, match="finetuned mixes"):
        DinoiserConfig(variant="finetuned", background="word")
    with pytest.raises(ValueError, match="preset='papr'"):
        DinoiserConfig.preset("papr")
    with pytest.raises(TypeError, match="taps a block of a ViT"):
        ClipDinoiser(load_clip("scenes-clip-rn"), DinoiserHeads(8))


def test_zero_shot_cuts_its_map_back_to_the_picture():
    chosen = dinoiser(temperature=10.0)
    images = torch.randint(256, (2, 3, 90, 70), dtype=torch.uint8)
    names = ["background", *CLASS_NAMES[:3]]
    plain = chosen.zero_shot(images, names, refine=False)
    assert plain.shape == (2, 4, 90, 70)
    torch.testing.assert_close(plain.sum(1), torch.ones(2, 90, 70))
    padded = torch.nn.functional.pad(images, (0, 2, 0, 6))
    full = chosen.zero_shot(padded, names, refine=False)
    assert torch.equal(full[..., :90, :70], plain)
    refined = chosen.zero_shot(images, names)
    assert (refined >= plain - 1e-6).all() and not torch.equal(refined, plain)
    with pytest.raises(ValueError, match="refine=True needs 'background'"):
        chosen.zero_shot(images, CLASS_NAMES[:3])


def test_views_are_unit_where_they_say_so():
    view = dinoiser().view(torch.randint(256, (1, 3, 96, 96), dtype=torch.uint8))
    torch.testing.assert_close(view.embedding.norm(dim=1), torch.ones(1, 12, 12))
    assert view.correlations.amin() >= 0 and view.correlations.shape == (1, 144, 12, 12)
    diagonal = view.correlations.flatten(2).diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(diagonal, torch.ones(1, 144))
    assert not unit(torch.zeros(1, 3, 2, 2)).any()
