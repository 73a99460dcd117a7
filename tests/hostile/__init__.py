"""Generators of hostile files and parameters: what `test_fuzz` and the tests of readers try."""
