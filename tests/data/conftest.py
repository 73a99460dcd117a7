"""Miniature benchmarks on disk; a test may change its tree, every test gets its own."""

import pytest
import trees


@pytest.fixture(autouse=True)
def own_data_root(tmp_path, monkeypatch):
    """Nothing that a test caches lands in the user's data folder."""
    monkeypatch.setenv("FSSLIB_DATA", str(tmp_path / "data_root"))


@pytest.fixture
def pascal_tree(tmp_path):
    return trees.write_pascal(tmp_path / "pascal")


@pytest.fixture
def coco_tree(tmp_path):
    return trees.write_coco(tmp_path / "coco")


@pytest.fixture
def folder_tree(tmp_path):
    return trees.write_folder(tmp_path / "mine")
