"""Error bars that know what belongs together, and survival: arithmetic over numbers, which knows no model."""
