#include "../simd/scalar.h"

#define BITWRIGHT_TIER scalar
#include "../kernels/tier.inl"
