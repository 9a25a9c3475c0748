// How matmul.inl's `decode` and `prefill` multiply each format, as a fact that can be shown.
inline Path path(FormatId id, bool) {
  Path found = Path::integer_dot;
  with_float_format(id, [&]<class F>() { found = is_narrow<F> ? Path::converted : Path::floats; });
  return found;
}
