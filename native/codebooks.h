// The constant tables of ggml's codebook formats. Python sets them once, from bitwright/formats/grid_points.py.
#pragma once
#include <cstdint>

namespace bitwright {

struct Codebooks {
  bool loaded = false;
  int8_t iq4_nl[16];
  uint8_t iq2_xxs[256][8], iq2_xs[512][8], iq2_s[1024][8];
  uint8_t iq3_xxs[256][4], iq3_s[512][4];
  int8_t iq1[2048][8];
  // The distinct magnitudes in the grids above, ascending. A weight of these formats is one of them, with a sign.
  int8_t iq2_levels[4], iq3_xxs_levels[8], iq3_s_levels[8];
};

extern Codebooks codebooks;  // defined in format_info.cpp; written once, before a format that needs it is used

}  // namespace bitwright
