"""The best file for a budget: which format every tensor gets, by measuring whole candidates."""
