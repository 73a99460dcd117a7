"""How fast and how large: encoders, priors, methods and trainings, beside what this machine can do.

`python -m fsslib.bench --help` says how it is asked.
"""
