#include "bind.h"

NB_MODULE(_core, m) {
  bitwright::bind_matmul(m);
  bitwright::bind_program(m);
  bitwright::bind_quantize(m);
}
