"""A study's runs as commands and job scripts; what is not installed or cannot be meant is said."""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from repository_files import ROOT

from fsslib.__main__ import main as fsslib_main
from fsslib.config import ConfigError
from fsslib.runs import study_command
from fsslib.runs.__main__ import main, parameter
from fsslib.runs.config import parse
from fsslib.runs.job import needs_first
from fsslib.runs.study import load_study, read_study, sweeps_folder
from fsslib.runs.sweeps.batch import job_script, read_settings
from fsslib.runs.sweeps.cluster import gpu_places, resources_of
from fsslib.runs.sweeps.commands import arguments, as_text

SMALL = {
    "about": "a test",
    "folds": [0],
    "rows": {
        "tested": {"template": "evaluate", "method": "pfenet", "head": "@pfenet/head.safetensors"},
        "pfenet": {"method": "pfenet", "lr": 1e-4},
    },
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL, sort_keys=False))
    return path


@pytest.mark.parametrize("name", sorted(path.stem for path in sweeps_folder().glob("*.yaml")))
def test_a_command_says_what_its_run_is(name):
    """Read back as the shell and the command line read it, it is the same run."""
    for job in load_study(name).jobs():
        words = shlex.split(shlex.join(arguments(job)))
        parameters = dict(parameter(words[i + 1]) for i, word in enumerate(words) if word == "-p")
        assert parse(words[1], parameters) == parse(job.template, job.parameters)
        assert Path(words[-1]) == job.folder


@pytest.mark.parametrize(
    "value", ["no", "1e-4", "1", "a: b", "", " x", None, True, [1, 2], 0.5, "a b"]
)
def test_a_value_stays_what_it_is(value):
    assert parameter(f"x={as_text(value)}") == ("x", value)


def test_runs_come_after_what_they_need(file):
    jobs = list(read_study(file).jobs())
    assert [job.row for job in jobs] == ["pfenet", "tested"]
    assert list(needs_first(jobs[::-1])) == jobs


def test_commands_are_printed_in_their_order(file, capsys):
    assert main(["sweep", str(file), "--print"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("python -m fsslib.runs run train -p fold=0 -p seed=0 -p method=pfenet")
    assert first.endswith("  # 1: pfenet_f0_s0")
    assert second.endswith("  # 2: tested_f0_s0, after pfenet_f0_s0")
    assert str(ROOT) not in second or Path.cwd() != ROOT, "folders are as the user would type them"
    assert main(["sweep", "--print", str(file), "pfenet"]) == 0
    assert capsys.readouterr().out.splitlines() == [first]


@pytest.mark.parametrize("before", [[], ["runs"]])
def test_sweeps_are_commands_of_fsslib_with_and_without_runs(file, capsys, before):
    assert fsslib_main([*before, "sweep", str(file), "--print", "pfenet"]) == 0
    assert capsys.readouterr().out.endswith("  # 1: pfenet_f0_s0\n")
    assert fsslib_main([*before, "study", "pi_clip", "no_such_row", "--print"]) == 2
    assert "no_such_row" in capsys.readouterr().err


def test_rows_may_stand_after_options(file, capsys):
    assert main(["sweep", str(file), "--print", "pfenet"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    with pytest.raises(SystemExit):
        main(["sweep", str(file), "--pritn", "pfenet"])
    assert "unrecognized arguments: --pritn" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named(tmp_path, capsys):
    assert main(["sweep", str(tmp_path / "none.yaml"), "--print"]) == 2
    assert "none.yaml cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option", [["--local", "2"], ["--scheduler", "tcp://a:1"], ["--slurm", "queue=a"]]
)
def test_without_dask_one_sentence_names_the_extra(file, option, monkeypatch, capsys):
    usual = importlib.util.find_spec
    monkeypatch.setattr(
        study_command, "find_spec", lambda name: None if name == "distributed" else usual(name)
    )
    assert main(["sweep", str(file), *option]) == 2
    error = capsys.readouterr().err
    assert f"{option[0]} needs distributed, of the extra `cluster`" in error
    assert len(error.splitlines()) == 1
    assert main(["sweep", str(file), "--print"]) == 0, "what needs no cluster works"


def test_what_needs_no_cluster_imports_none_of_it(file):
    """Without the extra, `study` and `sweep` have to run as ever."""
    code = (
        "import sys; sys.modules.update({n: None for n in ('distributed', 'dask', 'dask_jobqueue',"
        "'rich')}); from fsslib.runs.__main__ import main; "
        f"sys.exit(main(['sweep', {str(file)!r}, '--table']))"
    )
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (completed.returncode, completed.stdout) == (0, "No run of this has left results yet.\n")


def test_settings_of_a_batch_system_are_read(tmp_path):
    text = "queue=gpu walltime=1-02:00:00 jobs=3 job_extra_directives=--gres=gpu:1"
    settings = read_settings("slurm", text)
    extra = ["--lifetime", f"{26 * 3600 - 180}s", "--resources", "GPU=1"]
    assert settings["worker_extra_args"] == extra
    assert settings["job_extra_directives"] == ["--gres=gpu:1"] and settings["jobs"] == 3
    path = tmp_path / "pbs.yaml"
    path.write_text("queue: long\nwalltime: 02:00:00\nresource_spec: select=1:ncpus=4\n")
    settings = read_settings("pbs", str(path))
    assert settings["walltime"] == "02:00:00", "YAML alone would read 7200"
    assert settings["worker_extra_args"] == ["--lifetime", f"{7200 - 180}s"]
    assert "#PBS -l select=1:ncpus=4" in job_script("pbs", settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("queeu=gpu", "--slurm: unknown parameter 'queeu'; did you mean 'queue'"),
        ("gpu", "'gpu': expected name=value"),
        ("walltime=2h", "--slurm: walltime='2h': expected hours:minutes:seconds"),
        ("cores=many", "--slurm: cores='many': expected int"),
        ("jobs=0", "--slurm: jobs=0: expected 1 at least"),
        ("none.yaml", "none.yaml cannot be read as YAML"),
        ("processes=2 job_extra_directives=--gpus=2", "processes=2 would share a job's GPUs"),
    ],
)
def test_settings_that_cannot_be_meant_are_named(text, message):
    with pytest.raises(ConfigError, match=message):
        read_settings("slurm", text)


def test_a_run_asks_for_what_its_device_is(monkeypatch):
    assert resources_of("auto", True) == resources_of("cuda", True) == {"GPU": 1}
    assert resources_of("cpu", True) is resources_of("auto", False) is None
    with pytest.raises(ConfigError, match="no worker has a GPU"):
        resources_of("cuda", False)
    with pytest.raises(ConfigError, match="'cuda:1': on a cluster each worker sees its own card"):
        resources_of("cuda:1", True)


def test_each_card_has_a_worker_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    card = {"resources": {"GPU": 1}}
    assert gpu_places() == [{"env": {"CUDA_VISIBLE_DEVICES": n}} | card for n in ("0", "1")]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert gpu_places() == [{"env": {"CUDA_VISIBLE_DEVICES": "3"}} | card]


HOST_SPECIFIC = (
    (r"^\S*python -m distributed\.cli\.dask_worker tcp://\S+", "WORKER"),
    (r"/[0-9a-f]{8}\b", "/ID"),  # of a run that reads a file, whose full path it holds
)


def host_free(text):
    """Without the path of Python, the scheduler's address and what depends on the clone's place."""
    for pattern, name in HOST_SPECIFIC:
        text = re.sub(pattern, name, text, flags=re.M)
    return text


def test_the_page_of_runs_shows_the_script_that_slurm_would_be_given(capsys, monkeypatch):
    """The page's command, its commands and its script, as they are printed today."""
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```\n(.*?)```", (ROOT / "papermill_runs" / "README.md").read_text(), re.S)
    (block,) = (b for b in blocks if b.startswith("$ python") and "--print" in b)
    command, _, shown = block.replace("\\\n", "").partition("\n")
    words = shlex.split(command)
    assert words[:4] == ["$", "python", "-m", "fsslib.runs"]
    assert main(words[4:]) == 0
    assert host_free(capsys.readouterr().out) == host_free(shown)
    assert "#SBATCH --gres=gpu:1" in shown and "WORKER" in host_free(shown)


def test_ctrl_c_ends_any_command_without_a_traceback(monkeypatch, capsys):
    def stopped(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("fsslib.data.__main__.main", stopped)
    assert fsslib_main(["data", "check"]) == 130
    assert capsys.readouterr().err == "stopped\n"
