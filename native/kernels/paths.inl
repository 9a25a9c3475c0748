// Reports how `decode` and `prefill` of matmul.inl multiply each format.
inline Path path(FormatId id, bool) {
  Path found = Path::integer_dot;
  with_float_format(id, [&]<class F>() { found = is_narrow<F> ? Path::converted : Path::floats; });
  return found;
}
