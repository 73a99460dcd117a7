"""Studies and sweeps on dask.distributed: a run is a task, a subprocess that a worker watches."""
