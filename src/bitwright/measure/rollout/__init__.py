"""How errors act over many steps: continuations of the reference and of candidates."""
