// Runs the steps of programs: one caller at a time, with all threads of a pool, one phase after another.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "attention.h"
#include "region.h"
#include "pool.h"
#include "program.h"
#include "recurrence.h"
#include "sequence_memory.h"

namespace bitwright {

constexpr int64_t kDecodeTokens = 4;  // up to this many rows, a matrix product is bound by reading the weights
constexpr int64_t kExpertPanels = 4;  // of an expert's products that wait in scratch for their places
constexpr int64_t kSplitTokens = 4;   // up to this many tokens, threads also share out their positions (attention.h)

struct Squares {
  std::vector<double> sums;
  std::vector<int64_t> rows;
};  // sums (matrices, columns) over so many rows of each matrix, since the executor was created

// The slots of a step ordered by their experts: expert e has order[first[e]] to order[first[e + 1] - 1], in the order of
// the rows. Slot s is at place[s] of the order. `active` are the experts that have any.
struct Groups { std::vector<int32_t> order, place, first, active; };

class Executor {
 public:
  // Buffers for steps of up to `batch` tokens. Throws std::invalid_argument for a batch that is out of range.
  Executor(std::shared_ptr<const Program> program, std::shared_ptr<Pool> pool, int64_t batch);

  // n tokens with their positions and sequences, and the indices of the m tokens whose result is requested. A program that
  // begins with a hidden state reads `hidden` (n, width), the others `tokens`.
  struct Call {
    const int32_t *tokens, *positions, *sequences, *outputs;
    int64_t n, m;
    const float* hidden;
    float* result;  // (m, width), or (n, width) if the program ends at a layer
    int64_t rows(bool selected) const { return selected ? m : n; }
  };
  void run(SequenceMemory& memory, const Call& call);

  const Program& program() const { return *program_; }
  int threads() const { return pool_->threads(); }
  int64_t batch() const { return batch_; }
  size_t bytes() const { return region_.size(); }
  const Squares& squares(int index) const { return squares_.at(static_cast<size_t>(index)); }
  void watch() { nanoseconds_.assign(program_->phases().size(), 0); }  // sums up the time of each phase from now on
  const std::vector<int64_t>& nanoseconds() const { return nanoseconds_; }

 private:
  std::vector<int64_t> check(const SequenceMemory& memory, const Call& call) const;  // the lengths after the call
  void allocate();
  void make_tiles(const Call& call);
  void make_runs(const Call& call);
  void run_phases(const SequenceMemory& memory, const Call& call, int thread);
  // A phase, as one thread sees it. What comes after it, up to `end`, has one item each: whoever finishes the phase runs it.
  struct Work {
    const SequenceMemory& memory;
    const Call& call;
    const Phase *phase, *end;
    Share& share;
    int thread;
  };
  uint8_t* scratch(const Work& work) const { return scratch_[static_cast<size_t>(work.thread)]; }
  template <typename F>
  bool share_out(const Work& work, int64_t count, int64_t grain, F f) {
    return work.share.take(work.thread, count, grain, f, [&] {
      for (const Phase* next = work.phase + 1; next < work.end; ++next) run_alone(work, *next);
    });
  }
  const Phase* end_of(const Phase* phase, const Call& call) const;
  void run_alone(const Work& work, const Phase& phase);
  bool run_rows(const Work& work);
  void run_row_ops(const Work& work, const Phase& phase, int64_t begin, int64_t end);
  void run_row_op(const SequenceMemory& memory, const Instruction& i, const Call& call, int64_t begin, int64_t end,
                  int64_t rows);
  bool run_linears(const Work& work);
  uint8_t* expert_input(const Instruction& i, size_t expert) const;
  void run_expert(const Instruction& i, int expert, int64_t begin, int64_t end, uint8_t* scratch);
  void load_experts(const Instruction& i, int64_t row);
  void route(const Instruction& i, int64_t row);
  void reweigh(const Instruction& i, int64_t row);
  void combine(const Instruction& i, int64_t row);
  void add_biases(const Instruction& i, int64_t row);
  void group(const Instruction& i, int64_t rows);
  bool run_observe(const Work& work);
  bool run_attention(const Work& work);
  bool run_states(const Work& work);
  void fill_angles(int index, int64_t position, int64_t row) const;
  int64_t width(int buffer) const { return program_->widths()[static_cast<size_t>(buffer)]; }
  float* at(int buffer, int64_t row) const { return buffers_[static_cast<size_t>(buffer)] + row * width(buffer); }

  std::shared_ptr<const Program> program_;
  std::shared_ptr<Pool> pool_;
  const Tier& tier_;
  int64_t batch_, tile_tokens_ = 1;
  int64_t panel_rows_;
  size_t expert_sums_ = 0;  // where in a thread's scratch the results of an expert's products begin
  Region region_;
  std::optional<CacheWriter> writer_;       // for the memory of the current step
  std::vector<float*> buffers_, tables_;    // tables: cosines and sines of each Angles, (batch, rotary_dim)
  std::vector<uint8_t*> inputs_, scratch_;  // scratch: one per thread
  std::vector<Squares> squares_;
  std::vector<Groups> groups_;
  std::vector<AttentionTile> tiles_;
  std::vector<StateRun> runs_;     // if the program has states
  std::vector<int32_t> order_;     // rows by their runs
  std::vector<int32_t> finished_;  // see AttentionArgs
  float* partials_ = nullptr;
  std::unique_ptr<Share[]> shares_;   // one per phase
  std::vector<int64_t> nanoseconds_;  // one per phase, or none if not watching
  std::mutex one_run_;
};

}  // namespace bitwright
