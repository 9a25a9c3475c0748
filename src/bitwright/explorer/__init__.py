"""The explorer: pages about quantization, fed by a model of the user's own; served here, or exported as files."""
