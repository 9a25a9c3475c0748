// How each format is multiplied here: what `decode` and `prefill` of matmul.inl do, as a fact that can be shown.
inline Path path(FormatId id, bool) {
  if (with_block_format(id, []<class F>() {})) return Path::integer_dot;
  return float_product(id) == matmul_converted ? Path::converted : Path::floats;
}
