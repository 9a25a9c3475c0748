"""Editors and agents: how each is told where the server is, and whether the server answers what each asks first."""
