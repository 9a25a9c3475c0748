#include "../simd/neon.h"

#define BITWRIGHT_TIER neon_dotprod
#include "../kernels/tier.inl"
