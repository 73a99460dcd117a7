"""Parameters of `evaluate.ipynb`, which `train.ipynb` shares: a method on a benchmark."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from fsslib.config import ConfigError
from fsslib.data.benchmarks import BENCHMARKS
from fsslib.data.folds import FOLDS
from fsslib.data.protocol import Protocol
from fsslib.data.registry import require_root
from fsslib.files import local_path
from fsslib.grammar import format_group, parse_group, parse_preset, split_sources
from fsslib.methods.registry import METHODS, PRIORS
from fsslib.runs.machine_config import MachineConfig
from fsslib.runs.method_checks import require_readable
from fsslib.runs.network_config import NetworkGroups
from fsslib.runs.networks import PartsConfig
from fsslib.runs.required import require_benchmark, require_device_for, require_file
from fsslib.runs.run_config import plain_name
from fsslib.settings import Count, Fold, Precision, Settings, of_parameter

_OWN = ("fold", "way", "shot")
"""Fields of the protocol that are parameters of their own: what a sweep goes over."""


def protocol_group(text: str, *own: str) -> tuple[str, dict[str, Any]]:
    """A benchmark and the changes to its protocol; ConfigError for one of the `own` parameters."""
    benchmark, changes = parse_preset("protocol", text)
    for name in own:
        if name in changes:
            raise ConfigError(f"protocol={text!r}: {name} is a parameter of its own")
    return benchmark, changes


@dataclass(frozen=True)
class EvaluateConfig(NetworkGroups):
    """Parameters of `evaluate.ipynb`: a method on a protocol, trained elsewhere or not at all."""

    method: str = "prototype"
    """Name of a method, or module:Class; then changes to its preset, "bam preset=paper dim=128"."""
    prior: str = "own"
    """Where the decoder's maps come from: own, none, or sources: "pi_clip vvp=false+region"."""
    guidance: Literal["mask", "word"] | None = None
    """What says where the supports' object is: an annotated mask, or a word; None: as the paper."""
    words: str = "scenes"
    """Preset of how a word becomes a mask, and changes to it: "paper background=names"."""
    backbone: str = "scenes-resnet"
    """Network and weights: "resnet50 weights=imagenet", a tag or a path."""
    clip: str | None = None
    """CLIP of priors and words: "ViT-B-16-quickgelu weights=openai attention=naclip", with the last
    block's attention if it shall be another; None: the embedded ones."""
    encoder: str = "scenes-clip-vit"
    """Network of a training-free method: "timm/vit_small_patch14_dinov2 weights=FILE"."""
    parts: str = ""
    """What else comes trained: "base=FILE", "extractor=resnet50 extractor_weights=FILE"."""
    protocol: str = "scenes10i"
    """Benchmark, and changes to its protocol: "pascal5i fit=stretch episodes=1000"."""
    root: str | None = None
    """Folder of the benchmark; none for scenes10i."""
    fold: Fold = 0
    """Which quarter of the classes is novel: 0 to 3."""
    way: Count = 1
    """Classes in an episode; binary methods are asked about each against the rest."""
    shot: Count = 1
    """Support images of a class."""
    episodes_file: str | None = None
    """A list of test episodes to use, HSNet's, PFENet's or one of `fsslib.data export-episodes`."""
    head: str | None = None
    """Trained head: a file, also one that the paper's authors publish, or "shipped"."""
    evaluation_precision: Precision = "fp32"
    """Of the scored forward pass, by autocast: fp32, bf16, or fp16 on a GPU."""
    machine: str = "auto"
    """Device, and what else changes nothing: "cuda workers=4 batch_size=16 feature_cache=40"."""

    groups: ClassVar[Mapping[str, type[Settings]]] = {
        "machine": MachineConfig,
        "protocol": Protocol,
        "parts": PartsConfig,
    }
    aliases: ClassVar = NetworkGroups.aliases | {
        "benchmark": ("protocol", None),
        "episode_seed": ("protocol", "seed"),
    }
    merged: ClassVar = {"settings": "method"}

    @classmethod
    def accepts(cls) -> set[str]:
        """As the base class, and the name of any prior source: its settings, if it is read."""
        return super().accepts() | set(PRIORS.names())

    @classmethod
    def expand(cls, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """As the base class; settings of a prior source go to where it is read."""
        parameters = dict(parameters)
        for name in PRIORS.names():
            if (text := parameters.pop(name, None)) is not None:
                parameters = _with_source(parameters, name, str(text))
        return super().expand(parameters)

    def __post_init__(self) -> None:
        super().__post_init__()
        # Checked by being read; first what needs no network to be imported.
        METHODS.require(parse_group("method", self.method)[0] or "")
        _ = self.machine_config, self.stated_protocol
        protocol = self.test_protocol
        require_root(protocol.benchmark, self.root)
        kind = BENCHMARKS.get(protocol.benchmark)
        novel = len(kind.known_classes) // FOLDS
        if novel and self.way > novel:
            raise ConfigError(
                f"way={self.way}: a fold of {protocol.benchmark} has {novel} novel classes; "
                "expected at most as many"
            )
        require_readable(self)
        clip = self.clip_prior_settings
        padded = protocol.fit == "pad" and not kind.rendered
        if clip is not None and clip.vtp_size == "original" and padded:
            raise ConfigError(
                f"prior={self.prior!r} with fit='pad': a padded square has not the shape of its "
                "photograph; use fit=stretch, or add vtp_size=tensor (the code's on COCO)"
            )
        if type(self) is EvaluateConfig:
            self._require_head()

    def _require_head(self) -> None:
        """ConfigError for a head where there can be none, or none where there has to be one."""
        trainable, name = self.method_class.trainable, self.method_class.name
        if trainable != (self.head is not None):
            need = "needs head=: a trained file, or 'shipped'" if trainable else "has no head"
            raise ConfigError(f"head={self.head!r}: method {name!r} {need}")

    @cached_property
    def stated_protocol(self) -> Protocol:
        """The protocol as `protocol`, `fold`, `way` and `shot` say it."""
        benchmark, changes = protocol_group(self.protocol, *_OWN)
        own = {name: getattr(self, name) for name in _OWN}
        with of_parameter("protocol"):
            return Protocol.preset(benchmark, **own, **changes)

    @cached_property
    def test_protocol(self) -> Protocol:
        """The protocol that these parameters describe, also of what a prior may know."""
        clip = self.clip_prior_settings
        if clip is not None and clip.candidate_classes == "oracle":
            return replace(self.stated_protocol, query_labels="oracle")
        return self.stated_protocol

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """All that the run computes in."""
        return (self.evaluation_precision,)

    @property
    def run_name(self) -> str:
        """`pfenet/scenes10i_f0_1shot_scenes-resnet`: the folder of runs that belong together."""
        protocol, way = self.test_protocol, f"{self.way}way_" if self.way > 1 else ""
        network = self.network
        where = f"{protocol.benchmark}_f{self.fold}_{way}{self.shot}shot"
        questions = {protocol.question, protocol.queries} - {"as_drawn", "present"}
        return "_".join([f"{self.label}/{where}", plain_name(network), *sorted(questions)])

    @property
    def network(self) -> str:
        """The name of the network that the method reads first."""
        if "encoder" in self.part_types:
            return self.encoder_settings.name
        clip = "dinoiser" in self.part_types
        return self.clip_weights_of("dinoiser").name if clip else self.backbone_weights.name

    def require_files(self) -> None:
        super().require_files()
        for precision in self.precisions:
            require_device_for(self.machine_config.device, precision)
        require_benchmark(self.test_protocol.benchmark, self.root)
        require_file("episodes_file", self.episodes_file)
        require_file("head", self.head, ["shipped"])
        if self.head == "shipped" and not (path := self.shipped_head).is_file():
            known = sorted(each.stem for each in path.parent.glob("*-scenes10i-f?.safetensors"))
            raise ConfigError(f"head='shipped': there is no {path.stem}, only {known}")

    @property
    def shipped_head(self) -> Path:
        """Where the head that comes with the package would lie."""
        from fsslib.methods.shipped import shipped_path

        parts = (self.method_class.name, self.prior_spec.label)
        return shipped_path(self.fold, "+".join(part for part in parts if part))

    def typed(self) -> dict[str, Any]:
        protocol = {k: v for k, v in self.test_protocol.changed().items() if k not in _OWN}
        root = BENCHMARKS.get(self.test_protocol.benchmark).identity(self.root)
        files = {"episodes_file": self.episodes_file and _content(Path(self.episodes_file))}
        return super().typed() | {"protocol": protocol, "root": root} | files


def _content(path: Path) -> str | None:
    """What a small file holds, as 16 hexadecimal digits; None where there is none."""
    path = local_path(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else None


def _with_source(parameters: dict[str, Any], name: str, text: str) -> dict[str, Any]:
    """`pi_clip="official vvp=false"` as the settings of that source in `prior`.

    Raises:
        ConfigError: nothing reads the source.
    """
    preset, changes = parse_preset(name, text)
    prior = str(parameters.get("prior", "own"))
    method = parse_group("method", str(parameters.get("method", "")))[0]
    if prior == "own" and method and METHODS.get(method).fixed_prior == name:
        prior = name
    sources = split_sources(prior)
    if name not in sources:
        raise ConfigError(f"{name}={text!r} with prior={prior!r}: nobody reads it; leave it out")
    sources[sources.index(name)] = format_group(name, {"preset": preset, **changes})
    return parameters | {"prior": "+".join(sources)}
