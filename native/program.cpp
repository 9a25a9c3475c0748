#include "program.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>

#include "dequantize.h"

namespace bitwright {
namespace {

constexpr int64_t kDecodeTokens = 4;   // up to so many rows a matrix product is bound by reading the weights
constexpr int64_t kSplitTokens = 4;    // up to so many tokens their positions are shared out too (attention.h)
constexpr int64_t kObserveGrain = 64;  // columns
constexpr int64_t kRowGrain = 16;  // rows a thread takes at a time, so that their values stay in its cache between ops

size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

template <typename T>
const T& item(const std::vector<T>& v, int i) {
  return v[static_cast<size_t>(i)];
}

}  // namespace

struct Program::Call {
  const int32_t *tokens, *positions, *sequences, *outputs;
  int64_t n, m;
  float* logits;
  int64_t rows(bool selected) const { return selected ? m : n; }
};

Program::Program(const Tier& tier, std::shared_ptr<Pool> pool, Limits limits, FormatId cache)
    : tier_(tier),
      pool_(std::move(pool)),
      limits_(limits),
      writer_(cache),
      lengths_(static_cast<size_t>(limits.sequences), 0),
      reached_(lengths_) {}

int Program::matrix(FormatId format, int64_t rows, int64_t columns, const uint8_t* file) {
  matrices_.push_back({format, rows, columns, file, nullptr});
  return static_cast<int>(matrices_.size()) - 1;
}

int Program::vector(std::vector<float> values) {
  vectors_.push_back(std::move(values));
  return static_cast<int>(vectors_.size()) - 1;
}

int Program::angles(std::vector<float> inverse_frequencies, float magnitude, bool interleaved) {
  angles_.push_back({std::move(inverse_frequencies), magnitude, interleaved, nullptr});
  return static_cast<int>(angles_.size()) - 1;
}

int Program::layer(int64_t kv_heads, int64_t head_dim, int64_t window) {
  layers_.push_back(writer_.layer(kv_heads, head_dim, window, limits_.context, limits_.batch));
  return static_cast<int>(layers_.size()) - 1;
}

int Program::buffer(int64_t width) {
  widths_.push_back(width);
  return static_cast<int>(widths_.size()) - 1;
}

int Program::input(int64_t columns) {
  input_columns_.push_back(columns);
  return static_cast<int>(input_columns_.size()) - 1;
}

int Program::squares(int64_t columns) {
  squares_.push_back({std::vector<double>(static_cast<size_t>(columns)), 0});
  return static_cast<int>(squares_.size()) - 1;
}

void Program::phase(PhaseKind kind, bool selected) { phases_.push_back({kind, selected, {}}); }

void Program::add(const Instruction& i) {
  const auto needs = [&](const char* what, int index, size_t count) {
    if (index < 0 || static_cast<size_t>(index) >= count)
      throw std::invalid_argument("an instruction names " + std::string(what) + " " + std::to_string(index) + " of " +
                                  std::to_string(count));
  };
  needs("phase", static_cast<int>(phases_.size()) - 1, phases_.size());
  for (int buffer : {i.out, i.a, i.b}) needs("buffer", buffer, widths_.size());
  if (i.code == Code::load || i.code == Code::linear) needs("input", i.input, input_columns_.size());
  if (i.code == Code::embed || i.code == Code::linear) needs("matrix", i.weight, matrices_.size());
  if (i.code == Code::rms_norm || i.code == Code::bias) needs("vector", i.weight, vectors_.size());
  if (i.code == Code::angles || i.code == Code::rope) needs("angle table", i.index, angles_.size());
  if (i.code == Code::store || i.code == Code::attention) needs("layer", i.index, layers_.size());
  if (i.code == Code::observe) needs("sum of squares", i.index, squares_.size());
  phases_.back().instructions.push_back(i);
  if (i.code == Code::embed) vocabulary_ = item(matrices_, i.weight).rows;
}

void Program::finish(int result) {
  result_ = result;
  shares_ = std::make_unique<Share[]>(phases_.size());
  pack();
  allocate();
}

// Every matrix that a linear uses gets the tier's own layout, where it has one; all threads share the work.
void Program::pack() {
  std::vector<bool> multiplied(matrices_.size());
  for (const Phase& phase : phases_)
    for (const Instruction& i : phase.instructions)
      if (i.code == Code::linear) multiplied[static_cast<size_t>(i.weight)] = true;
  std::vector<size_t> offsets(matrices_.size());
  std::vector<int64_t> ends(matrices_.size());  // of each matrix's panels in the list of all panels to pack
  size_t bytes = 0;
  int64_t panels = 0;
  for (size_t w = 0; w < matrices_.size(); ++w) {
    const size_t own = multiplied[w] ? tier_.matmul.packed_bytes(matrices_[w]) : 0;
    offsets[w] = bytes;
    bytes += aligned(own);
    ends[w] = panels += own ? tier_.matmul.panels(matrices_[w]) : 0;
  }
  packed_ = Memory(bytes);
  const int64_t grain = std::max<int64_t>(panels / (pool_->threads() * 32), 1);
  pool_->parallel_for(panels, grain, [&](int64_t begin, int64_t end, int) {
    for (size_t w = 0; begin < end; ++w) {
      if (begin >= ends[w]) continue;
      const int64_t base = w ? ends[w - 1] : 0, stop = std::min(end, ends[w]);
      tier_.matmul.pack(matrices_[w], packed_.data() + offsets[w], begin - base, stop - base);
      begin = stop;
    }
  });
  for (size_t w = 0; w < matrices_.size(); ++w)
    if (ends[w] > (w ? ends[w - 1] : 0)) matrices_[w].packed = packed_.data() + offsets[w];
}

void Program::allocate() {
  uintptr_t cache = 0;
  for (Cache& l : layers_) cache = place(l, limits_.sequences, cache);
  cache_ = Memory(cache);
  cache = reinterpret_cast<uintptr_t>(cache_.data());
  for (Cache& l : layers_) cache = place(l, limits_.sequences, cache);

  size_t scratch = 0, bytes = 0;
  int64_t repeat = 1, partials = 0;
  for (const Weight& w : matrices_) scratch = std::max(scratch, tier_.matmul.scratch_bytes(w));
  for (const Phase& phase : phases_)
    for (const Instruction& i : phase.instructions)
      if (i.code == Code::attention) {
        const Cache& l = item(layers_, i.index);
        repeat = std::max(repeat, i.heads / l.kv_heads);
        partials = std::max(partials, softmax_floats(i.heads, l.head_dim));
      }
  tile_tokens_ = std::max<int64_t>(kTileRows / repeat, 1);
  for (const Cache& l : layers_) {
    scratch =
        std::max(scratch, sizeof(float) * static_cast<size_t>(attention_scratch(tile_tokens_ * repeat, l.head_dim)));
    finished_.resize(std::max(finished_.size(), static_cast<size_t>(kSplitTokens * l.kv_heads)));
  }
  scratch = aligned(scratch) + 64;

  const auto take = [&](size_t size) { return std::exchange(bytes, bytes + aligned(size)); };
  std::vector<size_t> buffers, inputs, tables, scratches;
  for (size_t b = 0; b < widths_.size(); ++b)  // the result's is the caller's
    buffers.push_back(
        b == static_cast<size_t>(result_) ? 0 : take(sizeof(float) * static_cast<size_t>(limits_.batch * widths_[b])));
  for (int64_t columns : input_columns_) inputs.push_back(take(tier_.matmul.input_bytes(limits_.batch, columns)));
  for (const Angles& a : angles_)
    tables.push_back(take(2 * sizeof(float) * static_cast<size_t>(limits_.batch) * a.frequencies.size()));
  for (int t = 0; t < pool_->threads(); ++t) scratches.push_back(take(scratch));
  const size_t softmaxes = take(sizeof(float) * static_cast<size_t>(kSplitTokens * (kMostRanges + 1) * partials));
  memory_ = Memory(bytes);
  for (size_t offset : buffers) buffers_.push_back(reinterpret_cast<float*>(memory_.data() + offset));
  for (size_t offset : inputs) inputs_.push_back(memory_.data() + offset);
  for (size_t offset : scratches) scratch_.push_back(memory_.data() + offset);
  partials_ = reinterpret_cast<float*>(memory_.data() + softmaxes);
  for (size_t t = 0; t < tables.size(); ++t) angles_[t].table = reinterpret_cast<float*>(memory_.data() + tables[t]);
}

std::vector<int64_t> Program::check(const Call& call) const {
  std::vector<int64_t> lengths = lengths_;
  std::vector<bool> seen(lengths.size());
  const auto refuse = [](const std::string& what, int64_t i, int64_t got, const std::string& expected) {
    throw std::invalid_argument(what + "[" + std::to_string(i) + "] is " + std::to_string(got) + ", expected " +
                                expected);
  };
  for (int64_t i = 0; i < call.n; ++i) {
    const int64_t token = call.tokens[i], position = call.positions[i], slot = call.sequences[i];
    if (token < 0 || token >= vocabulary_) refuse("tokens", i, token, "0 to " + std::to_string(vocabulary_ - 1));
    if (slot < 0 || slot >= limits_.sequences)
      refuse("sequences", i, slot, "0 to " + std::to_string(limits_.sequences - 1));
    if (position < 0 || position >= limits_.context)
      refuse("positions", i, position, "0 to " + std::to_string(limits_.context - 1) + ", the context");
    int64_t& length = lengths[static_cast<size_t>(slot)];
    if (const int64_t lowest = earliest(slot); position > 0 && position < length && position < lowest)
      refuse("positions", i, position,
             std::to_string(lowest) + " to " + std::to_string(length) +
                 ", or 0: what it would see there has been overwritten");
    if (seen[static_cast<size_t>(slot)] ? position != length : position > length)
      refuse("positions", i, position,
             std::to_string(length) + ", the sequence's next (or, for its first token in a call, any before it)");
    seen[static_cast<size_t>(slot)] = true;
    length = position + 1;
  }
  for (int64_t i = 0; i < call.m; ++i)
    if (call.outputs[i] < 0 || call.outputs[i] >= call.n)
      refuse("outputs", i, call.outputs[i], "0 to " + std::to_string(call.n - 1));
  return lengths;
}

int64_t Program::earliest(int64_t slot) const {
  int64_t lowest = 0;
  for (const Cache& l : layers_) lowest = std::max(lowest, bitwright::earliest(l, reached_[static_cast<size_t>(slot)]));
  return lowest;
}

void Program::adopt(const Program& from, int64_t slot, int64_t begin, int64_t end) {
  const auto slots = std::min(limits_.sequences, from.limits_.sequences);
  if (&from == this || !std::equal(layers_.begin(), layers_.end(), from.layers_.begin(), from.layers_.end(), alike))
    throw std::invalid_argument(
        "keys and values can only be taken from another program whose cache has the same layers, heads, format and "
        "context");
  if (slot < 0 || slot >= slots)
    throw std::invalid_argument("both programs have sequences 0 to " + std::to_string(slots - 1) + ", got " +
                                std::to_string(slot));
  const auto s = static_cast<size_t>(slot);
  if (begin < 0 || begin > end || begin > lengths_[s] || end > from.lengths_[s] ||
      (begin > 0 && begin < earliest(slot)))
    throw std::invalid_argument("positions " + std::to_string(begin) + " to " + std::to_string(end) + " of sequence " +
                                std::to_string(slot) + " cannot follow the " + std::to_string(lengths_[s]) +
                                " here from the " + std::to_string(from.lengths_[s]) + " there");
  std::scoped_lock lock(one_run_, from.one_run_);
  for (size_t l = 0; l < layers_.size(); ++l)
    for (int64_t position = std::max(begin, end - layers_[l].positions); position < end; ++position)
      copy(from.layers_[l], layers_[l], slot, position);
  lengths_[s] = end;
  reached_[s] = begin == 0 ? from.reached_[s] : std::max(reached_[s], from.reached_[s]);
}

void Program::make_tiles(const Call& call) {
  tiles_.clear();
  for (int64_t i = 0; i < call.n; ++i) {
    if (!tiles_.empty()) {
      AttentionTile& t = tiles_.back();
      if (t.slot == call.sequences[i] && t.position + t.count == call.positions[i] && t.count < tile_tokens_) {
        ++t.count;
        continue;
      }
    }
    tiles_.push_back({i, 1, call.sequences[i], call.positions[i]});
  }
  // The longest first, so that no thread is left alone with one at the end.
  std::stable_sort(tiles_.begin(), tiles_.end(),
                   [](const AttentionTile& a, const AttentionTile& b) { return a.position > b.position; });
}

void Program::run(const int32_t* tokens, const int32_t* positions, const int32_t* sequences, int64_t n,
                  const int32_t* outputs, int64_t m, float* logits) {
  if (n > limits_.batch || m > limits_.batch)
    throw std::invalid_argument("a call takes at most " + std::to_string(limits_.batch) + " tokens, got " +
                                std::to_string(std::max(n, m)));
  const Call call{tokens, positions, sequences, outputs, n, m, logits};
  std::lock_guard lock(one_run_);
  std::vector<int64_t> lengths = check(call);
  make_tiles(call);
  for (int64_t i = 0; i < n; ++i) {  // a step that fails half-way leaves its sequences where it took them up
    const size_t slot = static_cast<size_t>(sequences[i]);
    lengths_[slot] = std::min<int64_t>(lengths_[slot], positions[i]);
    reached_[slot] = positions[i] == 0 ? 1 : std::max<int64_t>(reached_[slot], positions[i] + 1);
  }
  buffers_[static_cast<size_t>(result_)] = logits;
  for (size_t p = 0; p < phases_.size(); ++p) shares_[p].reset();
  pool_->run([&](int thread) {
    try {
      run_phases(call, thread);
    } catch (...) {
      for (size_t p = 0; p < phases_.size(); ++p) shares_[p].abandon();
      throw;
    }
  });
  lengths_ = std::move(lengths);
}

void Program::run_phases(const Call& call, int thread) {
  uint8_t* scratch = scratch_[static_cast<size_t>(thread)];
  using Clock = std::chrono::steady_clock;
  const bool watching = thread == 0 && !nanoseconds_.empty();
  Clock::time_point last = watching ? Clock::now() : Clock::time_point();
  bool going = true;
  for (size_t p = 0; p < phases_.size() && going; ++p) {
    switch (phases_[p].kind) {
      case PhaseKind::rows: going = run_rows(phases_[p], call, shares_[p]); break;
      case PhaseKind::linears: going = run_linears(phases_[p], call, shares_[p], scratch); break;
      case PhaseKind::observe: going = run_observe(phases_[p], call, shares_[p]); break;
      case PhaseKind::attention:
        going = run_attention(phases_[p], call, shares_[p], reinterpret_cast<float*>(scratch));
        break;
    }
    if (watching) {
      const Clock::time_point now = Clock::now();
      nanoseconds_[p] += std::chrono::nanoseconds(now - last).count();
      last = now;
    }
  }
}

bool Program::run_rows(const Phase& phase, const Call& call, Share& share) {
  const int64_t rows = call.rows(phase.selected);
  const int64_t grain = std::clamp<int64_t>(rows / (2 * pool_->threads()), 1, kRowGrain);
  return share.take(rows, grain, [&](int64_t begin, int64_t end) {
    for (const Instruction& i : phase.instructions) run_row_op(i, call, begin, end, rows);
  });
}

void Program::run_row_op(const Instruction& i, const Call& call, int64_t begin, int64_t end, int64_t rows) {
  const VectorKernels& v = tier_.vector;
  const int64_t width = item(widths_, i.out);
  if (i.code == Code::load)
    return tier_.matmul.load_input(at(i.a, 0), item(widths_, i.a), rows, item(widths_, i.a),
                                   static_cast<Rounding>(i.index), item(inputs_, i.input), begin, end);
  for (int64_t row = begin; row < end; ++row) {
    float *out = at(i.out, row), *a = at(i.a, row), *b = at(i.b, row);
    switch (i.code) {
      case Code::embed: {
        const Weight& w = item(matrices_, i.weight);
        dequantize(w.format, w.file + call.tokens[row] * row_bytes(w.format, w.columns), w.columns, out);
        if (i.value != 1) v.scale(out, i.value, width);
        break;
      }
      case Code::angles: fill_angles(item(angles_, i.index), call.positions[row], row); break;
      case Code::rms_norm:
        for (int64_t h = 0, n = width / i.heads; h < i.heads; ++h)
          v.rms_norm(a + h * n, item(vectors_, i.weight).data(), i.value, n, out + h * n);
        break;
      case Code::bias: v.add(a, item(vectors_, i.weight).data(), width, out); break;
      case Code::rope: {
        const Angles& angles = item(angles_, i.index);
        const int64_t rotary = 2 * static_cast<int64_t>(angles.frequencies.size());
        v.rope(out, angles.table + row * rotary, i.heads, i.head_dim, rotary, angles.interleaved);
        break;
      }
      case Code::store: writer_.store(item(layers_, i.index), call.sequences[row], call.positions[row], a, b); break;
      case Code::glu_silu: v.glu_silu(a, b, width, out); break;
      case Code::glu_gelu: v.glu_gelu(a, b, width, out); break;
      case Code::add: v.add(a, b, width, out); break;
      case Code::scale: v.scale(out, i.value, width); break;
      case Code::softcap: v.softcap(out, i.value, width); break;
      case Code::select: std::copy_n(at(i.a, call.outputs[row]), width, out); break;
      case Code::copy: std::copy_n(a, width, out); break;
      default: throw std::logic_error("not an op on rows");
    }
  }
}

// The cosines and sines of a position, in double until the last step: a float angle of 8000 rad is off by 5e-4.
void Program::fill_angles(const Angles& angles, int64_t position, int64_t row) const {
  const size_t half = angles.frequencies.size();
  float* table = angles.table + row * 2 * static_cast<int64_t>(half);
  for (size_t i = 0; i < half; ++i) {
    const double angle = static_cast<double>(position) * angles.frequencies[i];
    table[i] = static_cast<float>(std::cos(angle) * angles.magnitude);
    table[half + i] = static_cast<float>(std::sin(angle) * angles.magnitude);
  }
}

bool Program::run_linears(const Phase& phase, const Call& call, Share& share, uint8_t* scratch) {
  const int64_t tokens = call.rows(phase.selected);
  if (tokens == 0) return true;
  const auto kernel = tokens <= kDecodeTokens ? tier_.matmul.decode : tier_.matmul.prefill;
  int64_t total = 0;
  for (const Instruction& i : phase.instructions) total += tier_.matmul.panels(item(matrices_, i.weight));
  const int64_t grain = std::max<int64_t>(total / (pool_->threads() * 8), 1);
  return share.take(total, grain, [&](int64_t begin, int64_t end) {
    int64_t base = 0;  // of the product's panels among all of the phase's
    for (const Instruction& i : phase.instructions) {
      const Weight& w = item(matrices_, i.weight);
      const int64_t panels = tier_.matmul.panels(w), first = std::max(begin - base, int64_t{0}),
                    last = std::min(end - base, panels);
      if (first < last)
        kernel(w, item(inputs_, i.input), tokens, at(i.out, 0), item(widths_, i.out), first, last, scratch);
      base += panels;
    }
  });
}

bool Program::run_observe(const Phase& phase, const Call& call, Share& share) {
  const int64_t rows = call.rows(phase.selected);
  int64_t total = 0;
  for (const Instruction& i : phase.instructions) total += item(widths_, i.a);
  return share.take(total, kObserveGrain, [&](int64_t begin, int64_t end) {
    int64_t base = 0;  // of the instruction's columns among all of the phase's
    for (const Instruction& i : phase.instructions) {
      const int64_t width = item(widths_, i.a), first = std::max(begin - base, int64_t{0}),
                    last = std::min(end - base, width);
      Squares& squares = squares_[static_cast<size_t>(i.index)];
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t c = first; c < last; ++c)
          squares.sums[static_cast<size_t>(c)] += static_cast<double>(at(i.a, row)[c]) * at(i.a, row)[c];
      if (first == 0 && last > 0) squares.rows += rows;
      base += width;
    }
  });
}

bool Program::run_attention(const Phase& phase, const Call& call, Share& share, float* scratch) {
  const Instruction& i = phase.instructions.front();
  const Cache& l = item(layers_, i.index);
  int64_t split = 1;
  if (call.n <= kSplitTokens)
    for (const AttentionTile& t : tiles_) split = std::max(split, ranges(l, t));
  const AttentionArgs args{at(i.a, 0), at(i.out, 0), l,     tiles_.data(), i.heads,
                           i.value,    i.softcap,    split, partials_,     finished_.data()};
  const int64_t items = static_cast<int64_t>(tiles_.size()) * l.kv_heads * split;
  const int64_t grain = split == 1 ? 1 : std::max<int64_t>(items / (pool_->threads() * 8), 1);
  return share.take(items, grain,
                    [&](int64_t begin, int64_t end) { tier_.vector.attention(args, begin, end, scratch); });
}

}  // namespace bitwright
