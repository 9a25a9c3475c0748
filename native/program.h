// A compiled step: phases of instructions over numbered buffers, matrices, vectors and layers. It never changes once it is
// finished, so any number of executors and threads may use it. kernels/schedule.py chooses the phases and the buffers.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "matrix.h"
#include "sequence_memory.h"
#include "tier.h"

namespace bitwright {

enum class Code : uint8_t {
  // row by row (a row is a token): all such instructions of a phase run one after another over the same rows
  embed,
  angles,
  rms_norm,
  load,
  bias,
  rope,
  store,
  glu_silu,
  glu_gelu,
  glu_clamped,
  glu_sigmoid,
  glu_identity,
  add,
  scale,
  softcap,
  temperature,
  select,
  copy,  // some columns of `a`, of each of `heads` slices
  join,  // `a`, then `b`, of each of `heads` slices
  decay,
  gate,
  linear,  // a matrix product; threads share out the panels of all products in a phase
  attention,
  convolve,  // these five read and change a state; threads share out sequences, and columns or heads
  convolve_silu,
  delta_grouped,
  delta_tiled,
  scan,
  hidden,   // the hidden state that the caller passes in place of an embedding
  observe,  // adds up the squares of each column of `a`; threads share out the columns
  // A row of a mixture goes to `used` of its experts. What it sends them, or gets back, are `used` slots next to each
  // other. `b` are the choices that `route` made: for each row the numbers of the experts, then their weights.
  route,          // chooses the experts by the logits in `a`, row by row, and weights them by a softmax
  route_sigmoid,  // by the sigmoids of the logits
  route_share,    // weighted by a softmax over all experts, those not chosen too
  every,          // all experts in order, with weights of 1, row by row
  reweigh,        // the choices in `a`, every weight times its expert's factor, row by row
  combine,        // the weighted sum of a row's slots in `a`, row by row
  group,          // orders the slots of all rows by their experts (`a` are the choices); one thread does it
  load_experts,   // as load, for slots ordered by their experts, row by row; `a` holds one input for all slots, or each
  experts,        // as linear: every slot by the matrix of its expert, of which `weight` is the first
  observe_experts,  // as observe, for each expert
  bias_experts,     // as bias: to every slot in `a` the biases of its expert
};

// Whether the op's state is a matrix for each head.
constexpr bool has_matrices(Code c) { return c == Code::delta_grouped || c == Code::delta_tiled || c == Code::scan; }

enum class PhaseKind : uint8_t { rows, linears, attention, states, observe, group };

struct Instruction {
  Code code;
  int out = 0, a = 0, b = 0, c = 0, input = 0;  // buffers; `input` is a converted input (load, linear)
  int weight = -1;  // a matrix (embed, linear) or a vector (rms_norm, bias, reweigh, scan); of attention the sinks,
                    // of route what is added to scores for the choice alone: -1 without
  int index = 0;    // a layer (store, attention), a state (convolve, delta), angles (angles, rope), a Rounding (load),
                    // sums of squares (observe), the first column (copy), or how many groups are chosen (route)
  int groups = 0;   // slots ordered by their experts (group, load_experts, experts)
  int heads = 1;    // of route: groups of experts
  int64_t head_dim = 0, length = 0;  // length: positions (temperature)
  float value = 0, softcap = 0;      // eps, factor, cap, scale of q·k
};

struct Phase {
  PhaseKind kind;
  bool selected;  // over the rows whose logits are requested, not over all tokens
  std::vector<Instruction> instructions;
};

struct Angles {
  std::vector<float> frequencies;
  float magnitude;
  bool interleaved;
};

// A converted input: `slots` rows of `columns` for each row of the step; `floats`: a matrix reads it as floats.
struct InputShape {
  int64_t columns, slots;
  bool floats;
};

// Sums of squares of `columns` columns, for each of `matrices` (experts, or 1).
struct SquaresShape { int64_t columns, matrices; };

// How many experts there are, and how many of them a row goes to.
struct Experts { int64_t count, used; };

class Program {
 public:
  // `states`: the floats of each state that a sequence has.
  Program(const Tier& tier, std::vector<LayerShape> layers, std::vector<int64_t> states)
      : tier_(tier), layers_(std::move(layers)), states_(std::move(states)) {}

  // Each returns the number that instructions refer to, and throws std::invalid_argument for a size out of range.
  int matrix(MatrixRef matrix);
  int vector(std::vector<float> values);
  int angles(std::vector<float> inverse_frequencies, float magnitude, bool interleaved);
  int buffer(int64_t width);
  int input(int64_t columns, int64_t slots);
  int squares(int64_t columns, int64_t matrices);
  int groups(int64_t experts, int64_t used);
  void phase(PhaseKind kind, bool selected);
  void add(const Instruction& instruction);  // to the last phase
  void finish(int result, bool selected);    // the buffer of the logits, and whether it has only the requested rows

  const Tier& tier() const { return tier_; }
  const std::vector<LayerShape>& layers() const { return layers_; }
  const std::vector<int64_t>& states() const { return states_; }
  const std::vector<Phase>& phases() const { return phases_; }
  const Weight& weight(int i) const { return matrices_[static_cast<size_t>(i)]->weight(); }
  const std::vector<MatrixRef>& matrices() const { return matrices_; }
  const std::vector<float>& vector_at(int i) const { return vectors_[static_cast<size_t>(i)]; }
  const std::vector<Angles>& all_angles() const { return angles_; }
  const std::vector<int64_t>& widths() const { return widths_; }  // of buffers
  const std::vector<InputShape>& inputs() const { return inputs_; }
  const std::vector<SquaresShape>& all_squares() const { return squares_; }
  const std::vector<Experts>& all_groups() const { return groups_; }
  int result() const { return result_; }
  bool result_selected() const { return result_selected_; }
  int64_t result_width() const { return widths_[static_cast<size_t>(result_)]; }
  int64_t vocabulary() const { return vocabulary_; }  // 0: there is no embedding
  int64_t hidden_width() const {
    return hidden_width_;
  }  // width of the hidden state that it begins with; 0: it begins with tokens

 private:
  const Tier& tier_;
  std::vector<LayerShape> layers_;
  std::vector<int64_t> states_;
  std::vector<Phase> phases_;
  std::vector<MatrixRef> matrices_;
  std::vector<std::vector<float>> vectors_;
  std::vector<Angles> angles_;
  std::vector<int64_t> widths_;
  std::vector<InputShape> inputs_;
  std::vector<SquaresShape> squares_;
  std::vector<Experts> groups_;
  int result_ = 0;
  bool result_selected_ = false;
  int64_t vocabulary_ = 0, hidden_width_ = 0;
};

}  // namespace bitwright
