"""Checkpoints from elsewhere: what they are, what they fit, and loading them.

`inspect FILE` on the command line, `infer` and `build_official` for files of the papers' authors,
`load_official` for a model that is built already, `load_head` for a run's `head=`.
"""
