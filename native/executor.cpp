#include "executor.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "checked.h"

namespace bitwright {
namespace {

constexpr int64_t kManyRows = 1 << 12;  // a multiple of the rows of any tier's panels

}  // namespace

Executor::Executor(std::shared_ptr<const Program> program, std::shared_ptr<Pool> pool, int64_t batch)
    : program_(std::move(program)),
      pool_(std::move(pool)),
      tier_(program_->tier()),
      batch_(batch),
      panel_rows_(kManyRows / tier_.matmul.panels({FormatId::f32, kManyRows, 1, nullptr, nullptr})) {
  check_size("batch", batch, 1, kMostBatch);
  shares_ = std::make_unique<Share[]>(program_->phases().size());
  for (const auto& [columns, matrices] : program_->all_squares())
    squares_.push_back({std::vector<double>(static_cast<size_t>(product(columns, matrices))),
                        std::vector<int64_t>(static_cast<size_t>(matrices))});
  for (const auto& [experts, used] : program_->all_groups()) {
    const auto slots = static_cast<size_t>(product(batch_, used)), count = static_cast<size_t>(experts);
    groups_.push_back({std::vector<int32_t>(slots), std::vector<int32_t>(slots), std::vector<int32_t>(count + 1), {}});
    groups_.back().active.reserve(count);
  }
  allocate();
}

void Executor::allocate() {
  const auto& layers = program_->layers();
  size_t scratch = 0, bytes = 0;
  int64_t repeat = 1, partials = 0;
  for (const MatrixRef& m : program_->matrices()) scratch = std::max(scratch, tier_.matmul.scratch_bytes(m->weight()));
  for (const Phase& phase : program_->phases())
    for (const Instruction& i : phase.instructions)
      if (i.code == Code::attention) {
        const LayerShape& l = layers[static_cast<size_t>(i.index)];
        repeat = std::max(repeat, i.heads / l.kv_heads);
        partials = std::max(partials, softmax_floats(i.heads, l.head_dim));
      } else if (has_matrices(i.code)) {
        const int64_t floats = delta_scratch(i.head_dim, width(i.out) / i.heads);
        scratch = std::max(scratch, sizeof(float) * static_cast<size_t>(floats));
      }
  tile_tokens_ = std::max<int64_t>(kTileRows / repeat, 1);
  for (const LayerShape& l : layers) {
    const int64_t floats = attention_scratch(tile_tokens_ * repeat, l.head_dim);
    scratch = std::max(scratch, sizeof(float) * static_cast<size_t>(floats));
    finished_.resize(std::max(finished_.size(), static_cast<size_t>(kSplitTokens * l.kv_heads)));
  }
  scratch = aligned(scratch) + 64;
  expert_sums_ = scratch;
  if (!groups_.empty())
    scratch += aligned(static_cast<size_t>(product(batch_, kExpertPanels * panel_rows_)) * sizeof(float));

  const auto take = [&](size_t size) { return std::exchange(bytes, bytes + size); };
  const auto floats = [&](int64_t rows, int64_t columns) {
    return aligned(static_cast<size_t>(product(product(rows, columns), sizeof(float))));
  };
  std::vector<size_t> buffers, inputs, tables, scratches;
  for (size_t b = 0; b < program_->widths().size(); ++b)  // the caller owns the result
    buffers.push_back(static_cast<int>(b) == program_->result() ? 0 : take(floats(batch_, program_->widths()[b])));
  for (const auto& [columns, slots, as_floats] : program_->inputs()) {
    product(product(product(batch_, slots), columns), 16);  // more than any layout takes
    inputs.push_back(take(aligned(tier_.matmul.input_bytes(batch_ * slots, columns, as_floats))));
  }
  for (const Angles& a : program_->all_angles())
    tables.push_back(take(floats(2 * batch_, static_cast<int64_t>(a.frequencies.size()))));
  for (int t = 0; t < pool_->threads(); ++t) scratches.push_back(take(scratch));
  const size_t softmaxes = take(floats(kSplitTokens * (kMostRanges + 1), partials));
  region_ = Region(bytes);
  for (size_t offset : buffers) buffers_.push_back(reinterpret_cast<float*>(region_.data() + offset));
  for (size_t offset : inputs) inputs_.push_back(region_.data() + offset);
  for (size_t offset : tables) tables_.push_back(reinterpret_cast<float*>(region_.data() + offset));
  for (size_t offset : scratches) scratch_.push_back(region_.data() + offset);
  partials_ = reinterpret_cast<float*>(region_.data() + softmaxes);
}

std::vector<int64_t> Executor::check(const SequenceMemory& memory, const Call& call) const {
  const Limits& limits = memory.limits();
  const int64_t most = std::min(batch_, limits.batch);
  if (call.n > most || call.m > most)
    throw std::invalid_argument("a call takes at most " + std::to_string(most) + " tokens, got " +
                                std::to_string(std::max(call.n, call.m)));
  if (program_->layers() != memory.layers() || program_->states() != memory.states())
    throw std::invalid_argument("the memory was made for a program with other layers");
  std::vector<int64_t> lengths = memory.lengths();
  std::vector<bool> seen(lengths.size());
  const auto refuse = [](const std::string& what, int64_t i, int64_t got, const std::string& expected) {
    throw std::invalid_argument(what + "[" + std::to_string(i) + "] is " + std::to_string(got) + ", expected " +
                                expected);
  };
  for (int64_t i = 0; i < call.n; ++i) {
    const int64_t position = call.positions[i], slot = call.sequences[i];
    const int64_t token = program_->vocabulary() ? call.tokens[i] : 0;
    if (token < 0 || (token && token >= program_->vocabulary()))
      refuse("tokens", i, token, "0 to " + std::to_string(program_->vocabulary() - 1));
    if (slot < 0 || slot >= limits.sequences)
      refuse("sequences", i, slot, "0 to " + std::to_string(limits.sequences - 1));
    if (position < 0 || position >= limits.context)
      refuse("positions", i, position, "0 to " + std::to_string(limits.context - 1) + ", the context");
    int64_t& length = lengths[static_cast<size_t>(slot)];
    if (const int64_t lowest = memory.earliest(slot); position > 0 && position < length && position < lowest)
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

void Executor::make_tiles(const Call& call) {
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
  // Longest first, so that no thread is left alone with a long one at the end.
  std::stable_sort(tiles_.begin(), tiles_.end(),
                   [](const AttentionTile& a, const AttentionTile& b) { return a.position > b.position; });
}

void Executor::make_runs(const Call& call) {
  runs_.clear();
  order_.resize(static_cast<size_t>(call.n));
  for (int64_t i = 0; i < call.n; ++i) order_[static_cast<size_t>(i)] = static_cast<int32_t>(i);
  std::stable_sort(order_.begin(), order_.end(),
                   [&](int32_t a, int32_t b) { return call.sequences[a] < call.sequences[b]; });
  for (int64_t i = 0; i < call.n; ++i) {
    const int64_t slot = call.sequences[order_[static_cast<size_t>(i)]];
    if (runs_.empty() || runs_.back().slot != slot) runs_.push_back({slot, i, 0});
    ++runs_.back().count;
  }
}

void Executor::run(SequenceMemory& memory, const Call& call) {
  std::scoped_lock lock(one_run_, memory.mutex());
  const std::vector<int64_t> lengths = check(memory, call);
  make_tiles(call);
  if (!program_->states().empty()) make_runs(call);
  writer_.emplace(memory.format(), *tier_.encoders);
  std::vector<bool> begun(lengths.size());
  for (int64_t i = 0; i < call.n; ++i) {  // after a failure, a sequence ends where the step began, or is empty
    const int64_t slot = call.sequences[i];
    if (begun[static_cast<size_t>(slot)]) continue;
    memory.begin(slot, call.positions[i], lengths[static_cast<size_t>(slot)]);
    begun[static_cast<size_t>(slot)] = true;
  }
  buffers_[static_cast<size_t>(program_->result())] = call.result;
  const size_t phases = program_->phases().size();
  for (size_t p = 0; p < phases; ++p) shares_[p].reset(pool_->threads());
  try {
    pool_->run([&](int thread) {
      try {
        run_phases(memory, call, thread);
      } catch (...) {
        for (size_t p = 0; p < phases; ++p) shares_[p].abandon();
        throw;
      }
    });
  } catch (...) {
    for (size_t slot = 0; slot < begun.size(); ++slot)
      if (begun[slot]) memory.fail(static_cast<int64_t>(slot));
    throw;
  }
  for (size_t slot = 0; slot < begun.size(); ++slot)
    if (begun[slot]) memory.commit(static_cast<int64_t>(slot), lengths[slot]);
}

}  // namespace bitwright
