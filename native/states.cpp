// Phases of ops that keep a state: which tokens of a batch each sequence reads, and what the kernels are called with.
#include <algorithm>

#include "executor.h"

namespace bitwright {

bool Executor::run_states(const Work& work) {
  const Instruction& i = work.phase->instructions.front();
  const bool matrices = has_matrices(i.code);
  const int64_t width = this->width(i.out), parts = matrices ? i.heads : divided_up(width, kColumnGrain);
  const auto each = [&](auto part_of_run) {
    return share_out(work, static_cast<int64_t>(runs_.size()) * parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t item = begin; item < end; ++item) {
        const StateRun& run = runs_[static_cast<size_t>(item / parts)];
        part_of_run(order_.data() + run.first, run.count, work.memory.state(i.index, run.slot), item % parts);
      }
    });
  };
  if (matrices) {  // of a scan, values, keys, queries; of a delta rule the other way round
    const int64_t stride = this->width(i.a), keys = (stride - width) / 2;
    const bool scans = i.code == Code::scan;
    const float* x = at(i.a, 0);
    const DeltaArgs args{scans ? x + width + keys : x,
                         scans ? x + width : x + keys,
                         scans ? x : x + 2 * keys,
                         at(i.b, 0),
                         at(i.c, 0),
                         scans ? program_->vector_at(i.weight).data() : nullptr,
                         at(i.out, 0),
                         stride,
                         keys / i.head_dim,
                         i.head_dim,
                         i.heads,
                         width / i.heads,
                         i.code == Code::delta_tiled,
                         i.value};
    return each([&](const int32_t* rows, int64_t count, float* state, int64_t head) {
      tier_.vector.delta_rule(args, rows, count, state, head, reinterpret_cast<float*>(scratch(work)));
    });
  }
  const std::vector<float>& weight = program_->vector_at(i.weight);
  const int64_t taps = program_->states()[static_cast<size_t>(i.index)] / width + 1, end = taps * width;
  const ConvolutionArgs args{at(i.a, 0),
                             at(i.out, 0),
                             weight.data(),
                             static_cast<int64_t>(weight.size()) > end ? weight.data() + end : nullptr,
                             width,
                             taps,
                             i.code == Code::convolve_silu};
  return each([&](const int32_t* rows, int64_t count, float* state, int64_t part) {
    const int64_t first = part * kColumnGrain;
    tier_.vector.convolve(args, rows, count, state, first, std::min(first + kColumnGrain, width));
  });
}

}  // namespace bitwright
