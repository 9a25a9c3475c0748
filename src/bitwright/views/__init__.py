"""What the CLI and reports show: one function per view, plain JSON out."""
