"""What `python -m fsslib.interop inspect` says of a file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fsslib.encoders.torchscript import is_jit_archive
from fsslib.encoders.weights import card_beside
from fsslib.interop.checkpoint import Checkpoint, read_checkpoint
from fsslib.interop.facts import facts_of, official_kinds
from fsslib.interop.fitting import official_preset
from fsslib.interop.infer import Candidate, infer, on_meta
from fsslib.interop.other_files import FILE, recognise
from fsslib.methods.base_learner import BaseLearner
from fsslib.methods.build import suitable_preset

RUN = "python -m fsslib.runs run evaluate"
OWN_SHARE = 0.9
"""Of keys that a head of ours has in common with its method."""
NEAR_SHARE = 0.2
FIRST_KEYS = 5


def report(file: Path) -> str:
    """What a file is, what it fits, with which command, and what it lacks, in a few lines.

    Raises:
        WeightsError: it cannot be read.
    """
    held = read_checkpoint(file, shapes_only=True)
    lines = _own_card(file, held) or _other(held) or _method(held, file) or _unknown(held)
    wrapping = f" ({held.wrapping})" if held.wrapping else ""
    if is_jit_archive(file):
        wrapping += "; a TorchScript archive, as OpenAI publishes its CLIPs: its code is not run"
    lines["is"] = f"{lines['is']}; tensors: {len(held.state)}{wrapping}"
    text = [f"{file.name}"] + [f"  {name:<7}{line}" for name, line in lines.items() if line]
    return "\n".join(text).replace(FILE, str(file))


def _own_card(file: Path, held: Checkpoint) -> dict[str, str]:
    """What the card beside a file says, which every run here writes."""
    card = card_beside(file)
    method = card.get("method")
    if not method:
        return {}
    protocol, config = card.get("protocol") or {}, card.get("config") or {}
    where = ", ".join(f"{k}={protocol[k]}" for k in ("benchmark", "fold", "shot") if k in protocol)
    return {
        "is": f"made here, by {card.get('run', 'a run')}: {method}{', ' if where else ''}{where}",
        "made": card.get("command", ""),
        "run": _own_command(held, config, protocol),
    }


def _own_command(held: Checkpoint, config: dict[str, Any], protocol: dict[str, Any]) -> str:
    if "method" not in config:  # a part of a method
        part = "base" if "class_ids" in held.state else "heads"
        return f'{RUN} -p method=METHOD -p parts="{part}={FILE}"'
    usual = {"prior": "own", "backbone": "scenes-resnet", "weights": "scenes"}
    words = [f"-p method={config['method']}"]
    other = [name for name, value in usual.items() if config.get(name, value) != value]
    words += [f'-p {name}="{config[name]}"' for name in other]
    words += [f"-p {name}={protocol[name]}" for name in ("fold", "shot") if name in protocol]
    return f"{RUN} {' '.join(words)} -p head={FILE}"


def _other(held: Checkpoint) -> dict[str, str]:
    about = recognise(held)
    if about is None:
        return {}
    return {"is": about.what, "fits" if about.fits else "lacks": about.use}


def _method(held: Checkpoint, file: Path) -> dict[str, str]:
    """A released file of a method, one that nearly is, or a head of ours without its card."""
    best = infer(held).best
    if best.fits:
        lacks = "; ".join(best.lacks)
        hint = re.search(r"(?:split|fold)[_-]?([0-3])(?![0-9])", str(file))
        if hint and best.classes:
            lacks += f' (its path says "{hint[0]}")'
        return {
            "is": f"a checkpoint of the released {_title(best)}",
            "fits": best.words,
            "brings": ", ".join(best.brings),
            "run": command(best),
            "lacks": lacks,
        }
    if own := _own_without_card(held):
        return own
    if best.comparison.share < NEAR_SHARE:
        return {}
    return {
        "is": f"near to the released {_title(best)}",
        "near": f"{best.words}; {best.comparison.share:.0%} of the tensors fit",
        "lacks": str(best.comparison),
    }


def _title(best: Candidate) -> str:
    """The class, and the prior in place of its own."""
    other = best.prior not in ("", "own")
    return best.kind.__name__ + (f" with prior={best.prior}" if other else "")


def _own_without_card(held: Checkpoint) -> dict[str, str]:
    for kind in official_kinds():
        facts = facts_of(kind, held.state, official=False)
        try:
            keys = on_meta(facts, suitable_preset(kind.config_class, "paper")).head_state().keys()
        except ValueError:
            continue
        if len(keys & held.state.keys()) >= OWN_SHARE * len(keys | held.state.keys()):
            name = kind.name or "base_learner"
            return {
                "is": f"a head of {name} in fsslib's names, without the card that runs write",
                "fits": f"{name}: {', '.join(facts.described().values())}",
                "run": f"{RUN} -p method={name} -p head={FILE}",
                "lacks": "which backbone and classes it was trained with",
            }
    return {}


def _unknown(held: Checkpoint) -> dict[str, str]:
    best, keys = infer(held).best, sorted(held.state)[:FIRST_KEYS]
    return {
        "is": f"nothing that is known here; its first keys are {keys}",
        "near": f"{best.method}, with {best.comparison.share:.0%} of the tensors in common",
    }


def command(candidate: Candidate) -> str:
    """The evaluation that a released file is for; words in capitals are the user's to fill in."""
    facts = candidate.facts
    # PI-CLIP's released settings read the query at the photograph's own proportions.
    fit = " fit=stretch" if facts.clip else ""
    protocol = f'"{candidate.benchmark or "BENCHMARK"}{fit}"'
    where = [f"-p protocol={protocol}", "-p root=FOLDER", "-p fold=FOLD"]
    if candidate.kind is BaseLearner:
        return " ".join([RUN, "-p method=METHOD", *where, f'-p parts="base={FILE}"'])
    changes = _changed(candidate)
    method = " ".join(
        [candidate.method, f"preset={official_preset(facts)}"]
        + [f"{name}={value}" for name, value in changes.items()]
    )
    words = [f'-p method="{method}"', *where, f"-p shot={candidate.shot}"]
    backbone = facts.backbone.name if facts.backbone else ""
    words.append(f'-p backbone="{backbone or "NAME"} weights=random"')
    if candidate.prior not in ("", "own"):
        preset = " preset=official candidate_classes=target" if facts.clip else ""
        words.append(f'-p prior="{candidate.prior}{preset}"')
    if facts.clip:
        words.append(f'-p clip="{facts.clip.name or "NAME"} weights=random"')
    if facts.extractor:
        words.append(f'-p parts="extractor={facts.extractor.name} extractor_weights=random"')
    return " ".join([RUN, *words, f"-p head={FILE}"])


def _changed(candidate: Candidate) -> dict[str, Any]:
    usual = candidate.kind.configure(official_preset(candidate.facts))
    return {
        name: value
        for name, value in candidate.settings.items()
        if name != "shot" and value != getattr(usual, name)
    }
