#include "../simd/neon.h"

#define BITWRIGHT_TIER neon_i8mm
#include "../kernels/tier.inl"
