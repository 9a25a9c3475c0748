// The phases of a step. All threads run these functions; each takes chunks of the work until none is left.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "format_info.h"
#include "executor.h"

namespace bitwright {
namespace {

constexpr int64_t kObserveGrain = 64;  // columns
constexpr int64_t kRowGrain = 16;      // rows that a thread takes at a time: their values stay in its cache between ops

}  // namespace

void Executor::run_phases(const SequenceMemory& memory, const Call& call, int thread) {
  using Clock = std::chrono::steady_clock;
  const bool watching = thread == 0 && !nanoseconds_.empty();
  Clock::time_point last = watching ? Clock::now() : Clock::time_point();
  const std::vector<Phase>& phases = program_->phases();
  bool going = true;
  for (size_t p = 0; p < phases.size() && going;) {
    const Work work{memory, call, &phases[p], end_of(&phases[p], call), shares_[p], thread};
    switch (work.phase->kind) {
      case PhaseKind::rows: going = run_rows(work); break;
      case PhaseKind::linears: going = run_linears(work); break;
      case PhaseKind::observe: going = run_observe(work); break;
      case PhaseKind::group:
        going = share_out(work, 1, 1, [&](int64_t, int64_t) { run_alone(work, *work.phase); });
        break;
      case PhaseKind::states: going = run_states(work); break;
      case PhaseKind::attention: going = run_attention(work); break;
    }
    if (watching) {
      const Clock::time_point now = Clock::now();
      nanoseconds_[p] += std::chrono::nanoseconds(now - last).count();
      last = now;
    }
    p += static_cast<size_t>(work.end - work.phase);
  }
}

// The end of the phases that a thread which finishes this one runs at once, since the others could only wait for each of
// them. None are joined while each is timed.
const Phase* Executor::end_of(const Phase* phase, const Call& call) const {
  const Phase *next = phase + 1, *end = program_->phases().data() + program_->phases().size();
  if (!nanoseconds_.empty() || call.rows(phase->selected) == 0) return next;
  const auto alone = [&](const Phase& p) {
    return p.kind == PhaseKind::group || (p.kind == PhaseKind::rows && call.rows(p.selected) == 1);
  };
  while (next != end && alone(*next)) ++next;
  return next;
}

void Executor::run_alone(const Work& work, const Phase& phase) {
  if (phase.kind == PhaseKind::rows) return run_row_ops(work, phase, 0, 1);
  for (const Instruction& i : phase.instructions) group(i, work.call.rows(phase.selected));
}

bool Executor::run_rows(const Work& work) {
  const int64_t rows = work.call.rows(work.phase->selected);
  const int64_t grain = std::clamp<int64_t>(rows / (2 * pool_->threads()), 1, kRowGrain);
  return share_out(work, rows, grain, [&](int64_t begin, int64_t end) { run_row_ops(work, *work.phase, begin, end); });
}

void Executor::run_row_ops(const Work& work, const Phase& phase, int64_t begin, int64_t end) {
  for (const Instruction& i : phase.instructions)
    run_row_op(work.memory, i, work.call, begin, end, work.call.rows(phase.selected));
}

void Executor::run_row_op(const SequenceMemory& memory, const Instruction& i, const Call& call, int64_t begin,
                          int64_t end, int64_t rows) {
  const VectorKernels& v = tier_.vector;
  const int64_t width = this->width(i.out);
  if (i.code == Code::load)
    return tier_.matmul.load_input(at(i.a, 0), this->width(i.a), rows, this->width(i.a), static_cast<Rounding>(i.index),
                                   program_->inputs()[static_cast<size_t>(i.input)].floats,
                                   inputs_[static_cast<size_t>(i.input)], begin, end);
  for (int64_t row = begin; row < end; ++row) {
    float *out = at(i.out, row), *a = at(i.a, row), *b = at(i.b, row);
    switch (i.code) {
      case Code::embed: {
        const Weight& w = program_->weight(i.weight);
        tier_.dequantize(w.format, w.file + call.tokens[row] * row_bytes(w.format, w.columns), w.columns, out);
        if (i.value != 1) v.scale(out, i.value, width);
        break;
      }
      case Code::hidden: std::copy_n(call.hidden + row * width, width, out); break;
      case Code::angles: fill_angles(i.index, call.positions[row], row); break;
      case Code::rms_norm: {
        const std::vector<float>& weight = program_->vector_at(i.weight);
        const int64_t n = width / i.heads, next = static_cast<int64_t>(weight.size()) == width ? n : 0;
        for (int64_t h = 0; h < i.heads; ++h) v.rms_norm(a + h * n, weight.data() + h * next, i.value, n, out + h * n);
        break;
      }
      case Code::bias: v.add(a, program_->vector_at(i.weight).data(), width, out); break;
      case Code::rope: {
        const Angles& angles = program_->all_angles()[static_cast<size_t>(i.index)];
        const int64_t rotary = 2 * static_cast<int64_t>(angles.frequencies.size());
        v.rope(out, tables_[static_cast<size_t>(i.index)] + row * rotary, i.heads, i.head_dim, rotary,
               angles.interleaved);
        break;
      }
      case Code::store: writer_->store(memory.cache(i.index), call.sequences[row], call.positions[row], a, b); break;
      case Code::glu_silu: v.glu_silu(a, b, width, out); break;
      case Code::glu_gelu: v.glu_gelu(a, b, width, out); break;
      case Code::glu_clamped: v.glu_clamped(a, b, width, out); break;
      case Code::glu_sigmoid: v.glu_sigmoid(a, b, width, out); break;
      case Code::glu_identity: v.glu_identity(a, b, width, out); break;
      case Code::decay: {
        const std::vector<float>& rates = program_->vector_at(i.weight);
        for (int64_t c = 0; c < width; ++c)
          out[c] = rates[static_cast<size_t>(c)] * (std::max(a[c], 0.f) + std::log1p(std::exp(-std::abs(a[c]))));
        break;
      }
      case Code::gate: v.gate(a, width, b, program_->vector_at(i.weight).data(), this->width(i.b), out); break;
      case Code::add: v.add(a, b, width, out); break;
      case Code::scale: v.scale(out, i.value, width); break;
      case Code::softcap: v.softcap(out, i.value, width); break;
      case Code::temperature: {
        const auto lengths = static_cast<double>(call.positions[row] / i.length);
        v.scale(out, static_cast<float>(1 + i.value * std::log1p(lengths)), width);
        break;
      }
      case Code::select: std::copy_n(at(i.a, call.outputs[row]), width, out); break;
      case Code::copy:
        for (int64_t h = 0, n = width / i.heads, from = this->width(i.a) / i.heads; h < i.heads; ++h)
          std::copy_n(a + h * from + i.index, n, out + h * n);
        break;
      case Code::join:
        for (int64_t h = 0, n = this->width(i.a) / i.heads, m = this->width(i.b) / i.heads; h < i.heads; ++h)
          std::copy_n(b + h * m, m, std::copy_n(a + h * n, n, out + h * (n + m)));
        break;
      case Code::route:
      case Code::route_sigmoid:
      case Code::route_share: route(i, row); break;
      case Code::every:
        std::iota(out, out + width / 2, 0.f);
        std::fill_n(out + width / 2, width / 2, 1.f);
        break;
      case Code::reweigh: reweigh(i, row); break;
      case Code::combine: combine(i, row); break;
      case Code::load_experts: load_experts(i, row); break;
      case Code::bias_experts: add_biases(i, row); break;
      default: throw std::logic_error("not an op on rows");
    }
  }
}

// The cosines and sines of a position. They stay in double until the last step: a float angle of 8000 rad is off by 5e-4.
void Executor::fill_angles(int index, int64_t position, int64_t row) const {
  const Angles& angles = program_->all_angles()[static_cast<size_t>(index)];
  const size_t half = angles.frequencies.size();
  float* table = tables_[static_cast<size_t>(index)] + row * 2 * static_cast<int64_t>(half);
  for (size_t i = 0; i < half; ++i) {
    const double angle = static_cast<double>(position) * angles.frequencies[i];
    table[i] = static_cast<float>(std::cos(angle) * angles.magnitude);
    table[half + i] = static_cast<float>(std::sin(angle) * angles.magnitude);
  }
}

bool Executor::run_linears(const Work& work) {
  const Phase& phase = *work.phase;
  const int64_t tokens = work.call.rows(phase.selected);
  if (tokens == 0) return true;
  const auto kernel = tokens <= kDecodeTokens ? tier_.matmul.decode : tier_.matmul.prefill;
  const auto products = [&](const Instruction& i) -> size_t {
    return i.code == Code::experts ? groups_[static_cast<size_t>(i.groups)].active.size() : 1;
  };
  int64_t total = 0;
  for (const Instruction& i : phase.instructions)
    total += static_cast<int64_t>(products(i)) * tier_.matmul.panels(program_->weight(i.weight));
  const int64_t grain = std::max<int64_t>(total / (pool_->threads() * 8), 1);
  return share_out(work, total, grain, [&](int64_t begin, int64_t end) {
    int64_t base = 0;  // index of the product's first panel among all panels of the phase
    for (const Instruction& i : phase.instructions) {
      const Weight& w = program_->weight(i.weight);
      const int64_t panels = tier_.matmul.panels(w);
      for (size_t n = 0, count = products(i); n < count; ++n, base += panels) {
        const int64_t first = std::max(begin - base, int64_t{0}), last = std::min(end - base, panels);
        if (first >= last) continue;
        if (i.code == Code::experts)
          run_expert(i, groups_[static_cast<size_t>(i.groups)].active[n], first, last, scratch(work));
        else
          kernel(w, inputs_[static_cast<size_t>(i.input)], tokens, at(i.out, 0), width(i.out), first, last,
                 scratch(work));
      }
    }
  });
}

bool Executor::run_observe(const Work& work) {
  const Phase& phase = *work.phase;
  const int64_t rows = work.call.rows(phase.selected);
  const auto columns = [&](const Instruction& i) {
    return program_->all_squares()[static_cast<size_t>(i.index)].columns;
  };
  int64_t total = 0;
  for (const Instruction& i : phase.instructions) total += columns(i);
  return share_out(work, total, kObserveGrain, [&](int64_t begin, int64_t end) {
    int64_t base = 0;  // index of the instruction's first column among all columns of the phase
    for (const Instruction& i : phase.instructions) {
      const int64_t width = columns(i), first = std::max(begin - base, int64_t{0}), last = std::min(end - base, width);
      base += width;
      if (first >= last) continue;
      const bool routed = i.code == Code::observe_experts;
      const int64_t used = routed ? this->width(i.b) / 2 : 1;
      Squares& squares = squares_[static_cast<size_t>(i.index)];
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t j = 0; j < used; ++j) {
          const auto matrix = routed ? static_cast<int64_t>(at(i.b, row)[j]) : 0;
          const float* x = at(i.a, row) + (this->width(i.a) == width ? 0 : j * width);
          double* sums = squares.sums.data() + matrix * width;
          for (int64_t c = first; c < last; ++c) sums[c] += static_cast<double>(x[c]) * x[c];
          if (first == 0) ++squares.rows[static_cast<size_t>(matrix)];
        }
      }
    }
  });
}

bool Executor::run_attention(const Work& work) {
  const Instruction& i = work.phase->instructions.front();
  const Cache& c = work.memory.cache(i.index);
  int64_t split = 1;
  if (work.call.n <= kSplitTokens)
    for (const AttentionTile& t : tiles_) split = std::max(split, ranges(c, t));
  const float* sinks = i.weight < 0 ? nullptr : program_->vector_at(i.weight).data();
  const AttentionArgs args{at(i.a, 0), at(i.out, 0), c,     tiles_.data(), i.heads,         i.value,
                           i.softcap,  sinks,        split, partials_,     finished_.data()};
  const int64_t items = static_cast<int64_t>(tiles_.size()) * c.kv_heads * split;
  const int64_t grain = split == 1 ? 1 : std::max<int64_t>(items / (pool_->threads() * 8), 1);
  return share_out(work, items, grain, [&](int64_t begin, int64_t end) {
    tier_.vector.attention(args, begin, end, reinterpret_cast<float*>(scratch(work)));
  });
}

}  // namespace bitwright
