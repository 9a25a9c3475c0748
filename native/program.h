// A compiled step: phases of instructions over numbered buffers, run by all threads of a pool, one phase after another.
// kernels/plan.py decides the phases and which buffer is which; this file neither reorders nor checks their meaning.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "cache.h"
#include "memory.h"
#include "pool.h"
#include "tier.h"

namespace bitwright {

enum class Code : uint8_t {
  // work row by row (a row is a token): all of a phase's run one after another over the same rows
  embed,
  angles,
  rms_norm,
  load,
  bias,
  rope,
  store,
  glu_silu,
  glu_gelu,
  add,
  scale,
  softcap,
  select,
  copy,
  linear,  // a matrix product; those of one phase share out their panels
  attention,
  observe,  // adds up the squares of each column of `a`; threads share out the columns
};

enum class PhaseKind : uint8_t { rows, linears, attention, observe };

// `out`, `a`, `b` are buffers; for load and linear, `input` is a converted input. Unused fields are 0.
struct Instruction {
  Code code;
  int out = 0, a = 0, b = 0, input = 0;
  int weight = 0;  // of a matrix (embed, linear) or a vector (rms_norm, bias)
  int index =
      0;  // of a layer (store, attention), an angle table (angles, rope), a Rounding (load) or Squares (observe)
  int heads = 1;
  int64_t head_dim = 0, window = 0;
  float value = 0, softcap = 0;  // eps, factor, cap, scale of q·k
};

struct Phase {
  PhaseKind kind;
  bool selected;  // over the rows whose logits were asked for, not over all tokens
  std::vector<Instruction> instructions;
};

struct Angles {
  std::vector<float> frequencies;
  float magnitude;
  bool interleaved;
  float* table;
};  // table (batch, rotary_dim)

struct Squares {
  std::vector<double> sums;
  int64_t rows;
};  // sums (columns) over so many rows, since the program was made

struct Limits { int64_t batch, context, sequences; };

class Program {
 public:
  Program(const Tier& tier, std::shared_ptr<Pool> pool, Limits limits, FormatId cache);

  // Building. `file` must outlive the program.
  int matrix(FormatId format, int64_t rows, int64_t columns, const uint8_t* file);
  int vector(std::vector<float> values);
  int angles(std::vector<float> inverse_frequencies, float magnitude, bool interleaved);
  int layer(int64_t kv_heads, int64_t head_dim, int64_t window);
  int buffer(int64_t width);
  int input(int64_t columns);
  int squares(int64_t columns);
  void phase(PhaseKind kind, bool selected);
  void add(const Instruction& instruction);  // to the latest phase
  void finish(int result);  // allocates, packs every matrix that a linear uses; `result` is the logits' buffer

  // One step over n tokens; the logits of rows outputs[0..m) go to `logits` (m, width of the result).
  void run(const int32_t* tokens, const int32_t* positions, const int32_t* sequences, int64_t n, const int32_t* outputs,
           int64_t m, float* logits);

  // Keys and values of positions begin to end of a sequence, as another program computed them from other weights; the sequence
  // then ends at `end`. Throws std::invalid_argument where the caches are not alike or the positions are not there.
  void adopt(const Program& from, int64_t slot, int64_t begin, int64_t end);

  const Limits& limits() const { return limits_; }
  const Tier& tier() const { return tier_; }
  int threads() const { return pool_->threads(); }
  int64_t result_width() const { return widths_[static_cast<size_t>(result_)]; }
  int64_t vocabulary() const { return vocabulary_; }
  const std::vector<int64_t>& lengths() const { return lengths_; }  // positions each sequence holds
  int64_t earliest(int64_t slot) const;  // the lowest position, but for 0, that it may go on from
  const Squares& squares_of(int index) const { return squares_.at(static_cast<size_t>(index)); }
  size_t cache_bytes() const { return cache_.size(); }
  size_t packed_bytes() const { return packed_.size(); }
  size_t buffer_bytes() const { return memory_.size(); }
  void watch() {
    nanoseconds_.assign(phases_.size(), 0);
  }  // from now on (and from zero) each phase's time is summed up
  const std::vector<int64_t>& nanoseconds() const { return nanoseconds_; }

 private:
  struct Call;
  std::vector<int64_t> check(const Call& call) const;  // throws std::invalid_argument; the lengths after the call
  void make_tiles(const Call& call);
  void pack();
  void allocate();
  void run_phases(const Call& call, int thread);
  bool run_rows(const Phase& phase, const Call& call, Share& share);
  void run_row_op(const Instruction& i, const Call& call, int64_t begin, int64_t end, int64_t rows);
  bool run_linears(const Phase& phase, const Call& call, Share& share, uint8_t* scratch);
  bool run_observe(const Phase& phase, const Call& call, Share& share);
  bool run_attention(const Phase& phase, const Call& call, Share& share, float* scratch);
  void fill_angles(const Angles& angles, int64_t position, int64_t row) const;
  float* at(int buffer, int64_t row) const {
    return buffers_[static_cast<size_t>(buffer)] + row * widths_[static_cast<size_t>(buffer)];
  }

  const Tier& tier_;
  std::shared_ptr<Pool> pool_;
  Limits limits_;
  std::vector<Phase> phases_;
  std::vector<Weight> matrices_;
  std::vector<std::vector<float>> vectors_;
  std::vector<Angles> angles_;
  std::vector<Squares> squares_;
  CacheWriter writer_;
  std::vector<Cache> layers_;
  std::vector<int64_t> widths_, input_columns_, lengths_;
  std::vector<int64_t> reached_;  // the longest each sequence has been since it began at 0
  std::vector<float*> buffers_;
  std::vector<uint8_t*> inputs_;
  std::vector<AttentionTile> tiles_;
  std::vector<int32_t> finished_;  // see AttentionArgs
  float* partials_ = nullptr;
  std::unique_ptr<Share[]> shares_;   // one per phase
  std::vector<int64_t> nanoseconds_;  // the same, or none when nobody watches
  Memory packed_, cache_, memory_;
  std::vector<uint8_t*> scratch_;  // one per thread
  int64_t tile_tokens_ = 1, vocabulary_ = 0;
  int result_ = 0;
  mutable std::mutex one_run_;
};

}  // namespace bitwright
