"""What PI-CLIP's priors cost: passes through CLIP, time and memory. Run by hand:

    python tests/benchmarks/bench_priors.py [--device cuda] [--model ViT-B-16-quickgelu]

Time is given in pure forward passes of the same CLIP on the same pictures, measured in the same
run, because milliseconds on a shared machine mean little. `--random` takes the architecture with
random weights: cost does not depend on them.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import accumulate
from time import perf_counter

import open_clip
import torch

from fsslib.data.episode import Episode, stack
from fsslib.data.loading import EpisodeReader
from fsslib.data.protocol import Protocol
from fsslib.data.registry import load_benchmark
from fsslib.data.sampler import test_episodes
from fsslib.encoders.clip_loading import load_clip, wrap
from fsslib.encoders.clip_vit import ClipViT
from fsslib.encoders.pass_cache import PassCache
from fsslib.methods.pi_clip import ClipPriorConfig, ClipPriors

ROWS = {
    "as published (two passes)": {"shared_pass": False, "vvp_norm": "imagenet"},
    "one pass for both priors": {"shared_pass": True},
    "VTP alone": {"shared_pass": True, "vvp": False},
    "VVP alone": {"vtp": False},
    "one pass, without PIR": {"shared_pass": True, "refine_vtp": False},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="scenes-clip-vit")
    parser.add_argument("--random", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--shot", type=int, default=1)
    parser.add_argument("--size", type=int, default=97)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    encoder = build(options).to(options.device).freeze()
    episodes = some_episodes(options).to(options.device)
    rounded = -(-options.size // encoder.stride) * encoder.stride
    pictures = episodes.query_image.new_zeros(options.batch, 3, rounded, rounded)
    forward = measured(lambda: encoder.encode_image(pictures), options)[0]
    milliseconds = 1000 * forward / options.batch
    print(f"{options.model} at {rounded} px on {options.device}, batch {options.batch}")
    print(f"pure forward: {milliseconds:.1f} ms a picture\n")
    print(
        f"{'an episode, ' + str(options.shot) + '-shot':<28}{'passes':>7}{'forwards':>10}{'MiB':>7}"
    )
    for name, changes in ROWS.items():
        report(name, ClipPriors(encoder, config(changes)), episodes, forward, options)
    cached = ClipPriors(encoder, config({"shared_pass": True}), cache=PassCache(2**31))
    with torch.inference_mode():
        cached(episodes)
    report("one pass, seen before", cached, episodes, forward, options)


def config(changes: dict) -> ClipPriorConfig:
    return replace(ClipPriorConfig.preset("scenes"), **changes)


def report(name: str, priors: ClipPriors, episodes: Episode, forward: float, options) -> None:
    before = priors.cache.passes
    with torch.inference_mode():
        priors(episodes)
        passes = (priors.cache.passes - before) / options.batch
        seconds, peak = measured(lambda: priors(episodes), options)
    print(f"{name:<28}{passes:>7.0f}{seconds / forward:>10.2f}{peak:>7.0f}")


def measured(work, options) -> tuple[float, float]:
    """Fastest of a few runs in seconds, and the peak memory of one in MiB."""
    cuda = options.device.startswith("cuda")
    times = []
    with torch.inference_mode():
        for _ in range(options.repeats):
            start = perf_counter()
            work()
            if cuda:
                torch.cuda.synchronize()
            times.append(perf_counter() - start)
        peak = peak_memory(work, cuda)
    return min(times), peak


def peak_memory(work, cuda: bool) -> float:
    """What a call allocates at most, beyond what was there."""
    if cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with torch.profiler.profile(profile_memory=True, activities=[_CPU]) as profile:
        work()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    sizes = [e.nbytes() for e in sorted(events, key=lambda event: event.start_ns())]
    return max(accumulate(sizes, initial=0)) / 2**20


_CPU = torch.profiler.ProfilerActivity.CPU


def build(options) -> ClipViT:
    if not options.random:
        return load_clip(options.model)
    model = open_clip.create_model(options.model, load_weights=False)
    return wrap(model, open_clip.get_tokenizer(options.model), options.model)


def some_episodes(options) -> Episode:
    size, shot = options.size, options.shot
    protocol = Protocol.preset("scenes10i", shot=shot, episodes=options.batch, image_size=size)
    benchmark = load_benchmark(protocol)
    reader = EpisodeReader(benchmark, protocol)
    return stack([reader.read(spec) for spec in test_episodes(benchmark, protocol)])


if __name__ == "__main__":
    main()
