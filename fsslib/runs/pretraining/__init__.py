"""What the templates of pretrainings call."""
