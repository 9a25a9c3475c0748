"""`python -m bitwright` is the same as `bitwright`."""

from bitwright.cli import main

main()
