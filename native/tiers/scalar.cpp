#include "../simd/scalar.h"

#ifdef __aarch64__
#include <arm_neon.h>  // part of every aarch64; the vector kernels use it
#endif

#define BITWRIGHT_TIER scalar
#include "../kernels/tier.inl"
