"""The shape of each family's models: heads, widths, windows, experts, states. The planner and the engine ask here.

To add a family to the planner, write a function in `families/` that adds keys and tensors to a `Blueprint`, and enter
it in `FAMILIES` under config.json's `model_type`. `layers.py` reads the layers from the same keys and tensor
names in a GGUF file; windows that a file does not state go into `PATTERNS` there.
To run it, write `model/steps/NAME.py` with `step(config, weights)` and enter its GGUF name in `steps.ARCHITECTURES`.
"""
