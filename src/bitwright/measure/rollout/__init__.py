"""What errors do over many steps: continuations of the reference and of candidates."""
