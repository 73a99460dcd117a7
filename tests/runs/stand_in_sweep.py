"""A sweep of stand-ins, as a command that can be stopped: `python stand_in_sweep.py FOLDER WORKERS
ROW=STEPS …`. It ends as `python -m fsslib.runs sweep` does."""

import sys
from pathlib import Path


def orders(folder, rows):
    """Orders by name, of {row: (steps, what)}."""
    from fsslib.runs.sweeps.launch import Order

    made = {}
    for row, words in rows.items():
        name = f"{row}_f0_s0"
        own = str(Path(folder) / name)
        command = ("stand_in_run", own, *map(str, words))
        made[name] = Order(name, command, own, str(folder), grace=3.0)
    return made


def main(folder, workers, *rows):
    from fsslib.runs.__main__ import exit_status
    from fsslib.runs.job import Job
    from fsslib.runs.sweeps import cluster_engine
    from fsslib.runs.sweeps.cluster import local

    known = orders(folder, {row: (steps,) for row, _, steps in (r.partition("=") for r in rows)})
    cluster_engine.order_of = lambda job: known[job.name]
    jobs = [Job(name.split("_")[0], 0, 0, "evaluate", {"method": "prototype"}) for name in known]
    engine = cluster_engine.ClusterEngine(lambda runs: local(int(workers)))

    def command():
        ending = engine(jobs, lambda job, folder: print(f"done: {job.name}"))
        return len(ending.failed)

    return exit_status(command)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
