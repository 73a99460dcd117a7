"""One's own pictures: from files as people have them to masks, by `segmenting.segment`."""
