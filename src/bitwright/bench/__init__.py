"""How fast a model runs here, as a share of what this machine can do."""
