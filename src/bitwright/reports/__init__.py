"""Reports: what was measured as one JSON object, and the same as one page of HTML."""
