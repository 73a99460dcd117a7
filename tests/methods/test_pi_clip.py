"""PI-CLIP's priors for whole episodes: the released code recorded, its switches, its passes."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from golden import assert_near, golden, prefixed
from open_clip import CLIP
from stand_ins import random_episodes

from fsslib.data.episode import Episode, stack
from fsslib.data.loading import EpisodeReader
from fsslib.data.protocol import Protocol
from fsslib.data.registry import load_benchmark
from fsslib.data.sampler import test_episodes
from fsslib.encoders.clip_loading import load_clip
from fsslib.encoders.clip_vit import ClipViT
from fsslib.encoders.pass_cache import PassCache
from fsslib.layers.resize import resize
from fsslib.methods.pi_clip import ClipPriorConfig, ClipPriors


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FSSLIB_DATA", str(tmp_path))


@pytest.fixture(scope="module")
def embedded() -> ClipViT:
    return load_clip("scenes-clip-vit")


def named(batch: int, shot: int = 1, size: int = 64, names=("house", "cat")) -> Episode:
    episodes = random_episodes(batch, shot, size)
    chosen = tuple((names[b % len(names)],) for b in range(batch))
    return replace(episodes, class_names=chosen)


def recorded_case() -> tuple[dict, ClipPriors, Episode]:
    """The recording's CLIP, its text embeddings, and its picture as an episode."""
    case = golden("pi_clip/clip_tiny_vtp")
    vision = {"layers": 10, "width": 32, "head_width": 16, "patch_size": 16, "image_size": 64}
    text = {"context_length": 77, "vocab_size": 200, "width": 32, "heads": 2, "layers": 2}
    model = CLIP(24, vision, text, quick_gelu=True)
    model.visual.load_state_dict(prefixed(case, "w/"))
    encoder = ClipViT(model, tokenizer=list, positions="bilinear").freeze()
    scale = case["logit_scale"].exp().item()
    priors = ClipPriors(encoder, ClipPriorConfig.preset("official", vvp=False, scale=scale))
    for number, pair in enumerate(zip(case["fg_text"], case["bg_text"], strict=True)):
        priors.text.made[str(number)] = torch.stack(pair)
    picture = case["x_cv2"].permute(2, 0, 1)[None].contiguous()
    blank = torch.zeros(1, 97, 97, dtype=torch.uint8)
    episode = Episode(
        query_image=picture,
        query_mask=blank,
        support_images=picture[:, None, None],
        support_masks=blank[:, None, None],
        class_ids=torch.tensor([[12]]),
        class_names=((str(case["query_class"].item()),),),
        ids=(("query",),),
        original_mask=(torch.zeros(case["orig_hw"].tolist(), dtype=torch.uint8),),
        query_classes=(tuple(str(i) for i in case["nohalf/label_ids"].tolist()),),
    )
    return case, priors, episode


def test_official_prior_equals_the_released_code_end_to_end():
    case, priors, episode = recorded_case()
    maps = priors(episode)
    assert_near(maps.cam[0], case["nohalf/cam"], 1e-3)
    assert torch.equal(maps.boxes[0], case["nohalf/box_mask"])
    assert_near(maps.vtp[0, 0], case["nohalf/final_HW"], 5e-3)
    assert_near(maps.on((13, 13)), case["nohalf/final_13x13"], 5e-3)


def test_target_prompts_equal_the_papers_softmax():
    case, priors, episode = recorded_case()
    alone = replace(priors.config, candidate_classes="target")
    priors = ClipPriors(priors.encoder, alone)
    priors.text.made.update(recorded_case()[1].text.made)
    assert_near(priors(episode).cam[0], case["single/cam"], 1e-2)


def test_a_query_without_its_own_label_falls_back_to_two_prompts():
    """The released code returns a constant 255 there."""
    _, priors, episode = recorded_case()
    target, others = episode.class_names[0][0], ("7", "9")
    lost, alone, several = (
        replace(episode, query_classes=(names,)) for names in (others, (target,), (target, *others))
    )
    assert torch.equal(priors.text(lost), priors.text(alone))
    assert priors.text(lost).shape[1] == 2 and priors.text(several).shape[1] == 6
    assert torch.equal(priors(lost).vtp, priors(alone).vtp)


def test_augmented_pictures_have_no_photograph(embedded):
    config = ClipPriorConfig.preset("scenes", vtp_size="original")
    episodes = named(2)
    plain = ClipPriors(embedded, config)(episodes)
    augmented = ClipPriors(embedded, config)(replace(episodes, original_mask=(None, None)))
    assert torch.equal(augmented.vtp, plain.vtp)


def test_the_codes_way_on_coco_takes_the_tensor_for_the_photograph():
    _, priors, episode = recorded_case()
    side = episode.query_image.shape[-1]
    square = replace(episode, original_mask=(torch.zeros(side, side, dtype=torch.uint8),))
    tensor = ClipPriors(priors.encoder, replace(priors.config, vtp_size="tensor"))
    tensor.text.made.update(priors.text.made)
    assert torch.equal(tensor(episode).vtp, priors(square).vtp)
    assert tensor(episode).vtp.shape[-1] == side
    assert not torch.equal(tensor(episode).vtp, priors(episode).vtp)


def test_priors_are_single_precision_under_autocast(embedded):
    priors, episodes = ClipPriors(embedded, ClipPriorConfig.preset("scenes")), named(1)
    plain = priors(episodes)
    fresh = ClipPriors(embedded, ClipPriorConfig.preset("scenes"))
    with torch.autocast("cpu", torch.bfloat16):
        for name, maps in fresh(episodes).named().items():
            assert torch.equal(maps, getattr(plain, name)), name
            assert maps.dtype == getattr(plain, name).dtype


def test_oracle_needs_labels_and_all_needs_names(embedded):
    oracle = ClipPriors(embedded, ClipPriorConfig(candidate_classes="oracle"))
    with pytest.raises(ValueError, match="query_labels='oracle'"):
        oracle(named(1))
    with pytest.raises(ValueError, match="'all' needs names="):
        ClipPriors(embedded, ClipPriorConfig(candidate_classes="all"))
    every = ClipPriors(embedded, ClipPriorConfig(candidate_classes="all"), ["house", "cat", "car"])
    text = every.text(named(2))
    assert text.shape[:2] == (2, 6)
    assert_near(text[0, 0], text[1, 1], 1e-6)  # house is the first's target and the second's other


def test_episodes_with_different_numbers_of_classes_share_a_batch(embedded):
    config = ClipPriorConfig.preset("scenes", candidate_classes="oracle")
    priors, episodes = ClipPriors(embedded, config), named(2)
    episodes = replace(episodes, query_classes=(("house", "car", "cat"), ("cat",)))
    together = priors(episodes)
    alone = priors(
        replace(
            episodes,
            query_image=episodes.query_image[1:],
            support_images=episodes.support_images[1:],
            support_masks=episodes.support_masks[1:],
            class_names=episodes.class_names[1:],
            query_classes=episodes.query_classes[1:],
        )
    )
    assert_near(together.vtp[1:], alone.vtp, 1e-4)


@pytest.mark.parametrize("preset", ["paper", "official", "scenes"])
@pytest.mark.parametrize("shot", [1, 3])
def test_counts_ranges_and_grids_of_the_maps(embedded, preset, shot):
    config = ClipPriorConfig.preset(preset, candidate_classes="target", words="raw")
    priors = ClipPriors(embedded, config)
    maps = priors(named(2, shot, size=97))
    assert maps.cam.shape == (2, 13, 13)  # 97 pixels are rounded up to 104
    rows = 97 if preset == "official" else 13  # brought back to the tensor
    assert maps.vtp.shape == (2, 1, rows, rows)
    sides = 13 if config.shared_pass else 12  # and cut to 96 for the other prior
    layers = 1 if preset == "paper" else 2
    assert maps.vvp.shape == (2, shot * layers, sides, sides)
    for values in (maps.vtp, maps.vvp):
        assert values.amin() >= 0
        assert values.amax() <= 1
    assert maps.on((13, 13)).shape[1] == priors.channels(shot)
    assert maps.on((7, 9), repeat_vtp=2).shape == (2, priors.channels(shot, 2), 7, 9)


def test_maps_of_the_last_layer_come_first_and_shots_in_order(embedded):
    config = ClipPriorConfig(vtp=False, vvp_layers=2, words="raw")
    priors, episodes = ClipPriors(embedded, config), named(1, shot=2)
    both = priors(episodes).vvp
    swapped = replace(
        episodes,
        support_images=episodes.support_images.flip(2),
        support_masks=episodes.support_masks.flip(2),
    )
    assert_near(priors(swapped).vvp, both[:, [1, 0, 3, 2]], 1e-5)
    last = ClipPriors(embedded, replace(config, vvp_layers=1))
    assert_near(last(episodes).vvp, both[:, :2], 1e-5)


def test_supports_are_blanked_outside_their_masks(embedded):
    priors, episodes = ClipPriors(embedded, ClipPriorConfig(vtp=False)), named(1)
    inside = episodes.support_masks[:, :, :, None] == 1
    noise = torch.randint_like(episodes.support_images, 256)
    other = replace(episodes, support_images=episodes.support_images.where(inside, noise))
    assert_near(priors(other).vvp, priors(episodes).vvp, 1e-5)


def test_an_empty_support_mask_gives_an_empty_visual_prior(embedded):
    episodes = named(1)
    episodes.support_masks.fill_(255)
    assert not ClipPriors(embedded, ClipPriorConfig(vtp=False))(episodes).vvp.any()


def real_episodes() -> Episode:
    """Two episodes of Scenes-10i."""
    protocol = Protocol.preset("scenes10i", episodes=2, query_labels="oracle")
    benchmark = load_benchmark(protocol)
    reader = EpisodeReader(benchmark, protocol)
    return stack([reader.read(spec) for spec in test_episodes(benchmark, protocol)])


def test_oracle_episodes_carry_the_querys_classes_and_change_the_prior(embedded):
    episodes = real_episodes()
    for (target,), present in zip(episodes.class_names, episodes.query_classes, strict=True):
        assert target in present
    priors = [
        ClipPriors(embedded, ClipPriorConfig.preset("scenes", candidate_classes=c))(episodes)
        for c in ("target", "oracle")
    ]
    assert max(map(len, episodes.query_classes)) > 1
    assert (priors[0].cam - priors[1].cam).abs().max() > 1e-4
    assert_near(priors[0].vvp, priors[1].vvp, 1e-6)


@pytest.mark.parametrize("part", ["vtp", "vvp"])
def test_refinement_is_a_switch_for_either_prior(embedded, part):
    episodes, switch = real_episodes(), f"refine_{part}"
    plain, refined = (
        ClipPriors(embedded, ClipPriorConfig(**{switch: value}))(episodes)
        for value in (False, True)
    )
    assert (getattr(plain, part) - getattr(refined, part)).abs().max() > 1e-3
    other = "vvp" if part == "vtp" else "vtp"
    assert_near(getattr(plain, other), getattr(refined, other), 1e-6)


def test_one_pass_or_two_for_the_query_and_one_for_a_support(embedded):
    episodes = named(2, shot=3)
    for shared, passes in ((False, 2 * 2 + 6), (True, 2 + 6)):
        priors = ClipPriors(embedded, ClipPriorConfig(shared_pass=shared))
        priors(episodes)
        assert priors.cache.passes == passes


def test_a_cache_changes_nothing_but_the_passes(embedded):
    episodes = named(2, shot=2)
    plain = ClipPriors(embedded, ClipPriorConfig.preset("scenes"))(episodes)
    cached = ClipPriors(embedded, ClipPriorConfig.preset("scenes"), cache=PassCache(2**26))
    for _ in range(2):
        maps = cached(episodes)
        assert_near(maps.vtp, plain.vtp, 1e-4)
        assert_near(maps.vvp, plain.vvp, 1e-4)
    assert (cached.cache.passes, cached.cache.hits) == (6, 6)
    relabelled = replace(episodes, support_masks=1 - episodes.support_masks.clamp(max=1))
    cached(relabelled)
    assert cached.cache.passes == 10, "queries are known, supports under other masks are not"


def test_a_full_cache_forgets_the_oldest(embedded):
    priors = ClipPriors(embedded, ClipPriorConfig.preset("scenes"), cache=PassCache(2**20))
    for seed in range(6):
        priors(replace(random_episodes(2, 1, 97, seed=seed), class_names=(("house",), ("cat",))))
    assert 0 < priors.cache.bytes <= 2**20


def test_works_in_inference_mode_and_leaves_no_gradient(embedded):
    priors, episodes = ClipPriors(embedded, ClipPriorConfig.preset("scenes")), named(1)
    outside = priors(episodes)
    with torch.inference_mode():
        inside = priors(episodes)
    assert_near(inside.vtp, outside.vtp, 1e-6)
    assert not outside.vtp.requires_grad
    assert all(parameter.grad is None for parameter in embedded.parameters())


def test_photographs_of_several_sizes_in_a_batch_are_refused(embedded):
    priors = ClipPriors(embedded, ClipPriorConfig(vtp_size="original"))
    masks = tuple(torch.zeros(side, 80, dtype=torch.uint8) for side in (60, 70))
    with pytest.raises(ValueError, match=r"\(60, 80\), \(70, 80\).*batch_size=1"):
        priors(replace(named(2), original_mask=masks))


def test_only_a_vision_transformer_has_attention_maps():
    with pytest.raises(TypeError, match="load a ViT"):
        ClipPriors(load_clip("scenes-clip-rn"))


def test_presets_and_settings_are_checked():
    with pytest.raises(ValueError, match="preset='best'"):
        ClipPriorConfig.preset("best")
    with pytest.raises(ValueError, match="leave no prior"):
        ClipPriorConfig(vtp=False, vvp=False)
    with pytest.raises(ValueError, match="candidate_classes"):
        ClipPriorConfig.preset("paper", candidate_classes="some")


def test_maps_reach_the_grid_with_aligned_corners(embedded):
    maps = ClipPriors(embedded, ClipPriorConfig.preset("scenes"))(named(1))
    assert_near(maps.on((5, 6))[:, :1], resize(maps.vtp, (5, 6)), 0)
    expected = F.interpolate(maps.vvp, (5, 6), mode="bilinear", align_corners=True)
    assert_near(maps.on((5, 6))[:, 1:], expected, 0)
