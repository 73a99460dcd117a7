"""The cache on disk: right answers first, whoever else is writing, and within its bound."""

import multiprocessing

import pytest
import torch
from safetensors import SafetensorError
from stand_ins import random_episodes, tiny_backbone

from fsslib.encoders import disk_cache
from fsslib.encoders.disk_cache import DiskCache
from fsslib.encoders.pass_cache import PassCache
from fsslib.methods import build_method


class Counter:
    """Doubles pictures and counts them."""

    def __init__(self):
        self.seen = 0

    def __call__(self, pictures):
        self.seen += len(pictures)
        return 2.0 * pictures, pictures.flatten(1).sum(1)


def pictures(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, 3, 8, 8), generator=generator, dtype=torch.uint8)


def test_what_was_made_is_not_made_again(tmp_path):
    make, shown = Counter(), pictures(4)
    first = DiskCache(tmp_path, 2**20).collect(lambda: "double", shown, make)
    again = DiskCache(tmp_path, 2**20)
    for order in ([0, 1, 2, 3], [3, 3, 0]):
        cached = again.collect(lambda: "double", shown[order], make)
        assert all(torch.equal(a, b[order]) for a, b in zip(cached, first, strict=True))
    assert make.seen == 4
    assert (again.passes, again.hits) == (0, 7)
    again.collect(lambda: "other", shown[:1], make)
    assert make.seen == 5, "another kind is another question"


def test_only_new_pictures_are_made(tmp_path):
    make, cache = Counter(), DiskCache(tmp_path, 2**20)
    shown = pictures(5)
    cache.collect(lambda: "double", shown[:3], make)
    doubled, sums = cache.collect(lambda: "double", shown[[4, 1, 4, 3]], make)
    assert make.seen == 5
    assert torch.equal(doubled, 2.0 * shown[[4, 1, 4, 3]])
    assert torch.equal(sums, shown[[4, 1, 4, 3]].flatten(1).sum(1))


def flipped(content: bytes) -> bytes:
    """One byte of the last number is another."""
    return content[:-2] + bytes([content[-2] ^ 1]) + content[-1:]


DAMAGES = {
    "empty": lambda content: b"",
    "nonsense": lambda content: b"nonsense" * 10,
    "cut": lambda content: content[:-7],
    "flipped": flipped,
    "zeros at the end": lambda content: content[:-16] + bytes(16),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_made_again_with_a_warning(tmp_path, damage):
    make, cache, shown = Counter(), DiskCache(tmp_path, 2**20), pictures(2)
    expected = cache.collect(lambda: "double", shown, make)
    broken = sorted(tmp_path.rglob("*.kept"))[0]
    broken.write_bytes(DAMAGES[damage](broken.read_bytes()))
    with pytest.warns(UserWarning, match="is damaged"):
        cached = cache.collect(lambda: "double", shown, make)
    assert all(torch.equal(a, b) for a, b in zip(cached, expected, strict=True))
    assert make.seen == 3
    cache.collect(lambda: "double", shown, make)
    assert make.seen == 3


def test_a_full_disk_costs_time_and_no_result(tmp_path, monkeypatch):
    def full(*_):
        raise SafetensorError("No space left on device")

    monkeypatch.setattr(disk_cache, "atomic_path", full)
    make, cache, shown = Counter(), DiskCache(tmp_path, 2**20), pictures(2)
    for turn in (1, 2):
        doubled = cache.collect(lambda: "double", shown, make)[0]
        assert torch.equal(doubled, 2.0 * shown) and make.seen == 2 * turn
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_oldest_go_when_the_bound_is_reached(tmp_path):
    make, shown = Counter(), pictures(40)
    one = DiskCache(tmp_path / "one", 2**20)
    one.collect(lambda: "double", shown[:1], make)
    size = next(tmp_path.rglob("*.kept")).stat().st_size
    cache = DiskCache(tmp_path / "many", 10 * size)
    for start in range(0, 40, 4):
        cache.collect(lambda: "double", shown[start : start + 4], make)
        files = list((tmp_path / "many").rglob("*.kept"))
        assert sum(path.stat().st_size for path in files) <= 10 * size
    assert len(files) >= 6
    make.seen = 0
    cache.collect(lambda: "double", shown[36:], make)
    assert make.seen == 0, "the newest are there"


def test_nothing_half_written_stays(tmp_path):
    DiskCache(tmp_path, 2**20).collect(lambda: "double", pictures(3), Counter())
    assert all(path.suffix == ".kept" for path in tmp_path.rglob("*.*"))


def fill(folder, seed):
    """Another process: the same pictures in another order."""
    torch.set_num_threads(1)
    cache, order = DiskCache(folder, 2**16), torch.randperm(30)
    for chosen in order.split(5):
        shown = pictures(30, seed)[chosen]
        doubled, _ = cache.collect(lambda: "double", shown, Counter())
        if not torch.equal(doubled, 2.0 * shown):
            raise SystemExit(1)


def test_two_processes_fill_it(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=fill, args=(tmp_path, 7)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    make = Counter()
    DiskCache(tmp_path, 2**16).collect(lambda: "double", pictures(30, 7), make)
    assert make.seen < 30


def test_features_of_other_weights_are_never_mistaken(tmp_path):
    cache, shown = DiskCache(tmp_path, 2**24), torch.randint(256, (2, 3, 33, 33)).byte()
    answers = []
    for seed in (0, 1):
        backbone = tiny_backbone(seed)
        plain = backbone(shown)
        backbone.remember(cache)
        for _ in range(2):
            assert all(map(torch.equal, backbone(shown), plain))
        answers.append(plain.layer4)
    assert not torch.equal(*answers)
    assert (cache.passes, cache.hits) == (8, 8), "the middle and layer4, each once"


def test_a_backbone_that_learns_is_always_asked(tmp_path):
    cache, shown = DiskCache(tmp_path, 2**24), torch.randint(256, (2, 3, 33, 33)).byte()
    frozen = tiny_backbone().remember(cache)
    frozen.copied(trainable=True)(shown)
    frozen.copied(moving_statistics=True).train()(shown)
    assert (cache.passes, cache.hits) == (0, 0)


@pytest.mark.parametrize("method", ["pfenet", "hsnet", "asgnet", "prototype"])
def test_a_second_epoch_asks_the_backbone_nothing(tmp_path, method):
    cache, episodes = PassCache(2**28), random_episodes(2, 2, 65)
    backbone = tiny_backbone(dilated=method != "hsnet")
    model = build_method(method, backbone, "scenes").eval()
    plain = model(episodes).logits
    backbone.remember(cache)
    torch.testing.assert_close(model(episodes).logits, plain)
    passes = cache.passes
    torch.testing.assert_close(model(episodes).logits, plain)
    assert cache.passes == passes > 0


@pytest.mark.parametrize("on_disk", [True, False])
def test_half_precision_is_another_question(tmp_path, on_disk):
    make, shown = Counter(), pictures(2)
    cache = DiskCache(tmp_path, 2**20) if on_disk else PassCache(2**20)
    for _ in range(2):
        cache.collect(lambda: "double", shown, make)
        with torch.autocast("cpu", torch.bfloat16):
            cache.collect(lambda: "double", shown, make)
    assert make.seen == 4
