#include "program.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "checked.h"

namespace bitwright {
namespace {

template <typename T>
int append(std::vector<T>& all, T one) {
  all.push_back(std::move(one));
  return static_cast<int>(all.size()) - 1;
}

}  // namespace

int Program::matrix(MatrixRef matrix) { return append(matrices_, std::move(matrix)); }
int Program::vector(std::vector<float> values) { return append(vectors_, std::move(values)); }

int Program::angles(std::vector<float> inverse_frequencies, float magnitude, bool interleaved) {
  return append(angles_, Angles{std::move(inverse_frequencies), magnitude, interleaved});
}

int Program::buffer(int64_t width) {
  check_size("width of a buffer", width, 1, kMostWidth);
  return append(widths_, width);
}

int Program::input(int64_t columns, int64_t slots) {
  check_size("columns of an input", columns, 1, kMostWidth);
  check_size("rows of an input", slots, 1, kMostExperts);
  return append(inputs_, InputShape{columns, slots, false});
}

int Program::squares(int64_t columns, int64_t matrices) {
  check_size("columns of an input", columns, 1, kMostWidth);
  check_size("experts", matrices, 1, kMostExperts);
  return append(squares_, SquaresShape{columns, matrices});
}

int Program::groups(int64_t experts, int64_t used) {
  check_size("experts", experts, 1, kMostExperts);
  check_size("experts of a token", used, 1, experts);
  return append(groups_, Experts{experts, used});
}

void Program::phase(PhaseKind kind, bool selected) { phases_.push_back({kind, selected, {}}); }

void Program::add(const Instruction& i) {
  const auto needs = [](const char* what, int index, size_t count) {
    if (index < 0 || static_cast<size_t>(index) >= count)
      throw std::invalid_argument("an instruction uses " + std::string(what) + " " + std::to_string(index) +
                                  ", but the program has only " + std::to_string(count));
  };
  if (phases_.empty()) throw std::invalid_argument("an instruction needs a phase: begin one first");
  for (int buffer : {i.out, i.a, i.b, i.c}) needs("buffer", buffer, widths_.size());
  const bool grouped = i.code == Code::group || i.code == Code::load_experts || i.code == Code::experts;
  if (grouped) needs("groups", i.groups, groups_.size());
  if (i.code == Code::load || i.code == Code::linear || i.code == Code::load_experts || i.code == Code::experts)
    needs("input", i.input, inputs_.size());
  if (i.code == Code::embed || i.code == Code::linear) needs("matrix", i.weight, matrices_.size());
  if (i.code == Code::experts)
    needs("matrix", i.weight + static_cast<int>(groups_[static_cast<size_t>(i.groups)].count) - 1, matrices_.size());
  const bool routes = i.code == Code::route || i.code == Code::route_sigmoid || i.code == Code::route_share;
  const bool may = i.code == Code::attention || routes;
  const bool convolves = i.code == Code::convolve || i.code == Code::convolve_silu;
  if (i.code == Code::rms_norm || i.code == Code::bias || i.code == Code::bias_experts || i.code == Code::reweigh ||
      i.code == Code::decay || i.code == Code::gate || i.code == Code::scan || convolves || (may && i.weight != -1))
    needs("vector", i.weight, vectors_.size());
  if (i.code == Code::angles || i.code == Code::rope) needs("angle table", i.index, angles_.size());
  if (i.code == Code::store || i.code == Code::attention) needs("layer", i.index, layers_.size());
  if (i.code == Code::observe || i.code == Code::observe_experts) needs("sum of squares", i.index, squares_.size());
  if (convolves || has_matrices(i.code)) needs("state", i.index, states_.size());
  const auto width = [this](int buffer) { return widths_[static_cast<size_t>(buffer)]; };
  if (i.code == Code::join) check_size("slices of a row", i.heads, 1, std::min(width(i.a), width(i.b)));
  if (i.code == Code::copy) {
    check_size("slices of a row", i.heads, 1, width(i.out));
    check_size("first column of a copy", i.index, 0, (width(i.a) - width(i.out)) / i.heads);
  }
  if (convolves) {
    const auto weights = static_cast<int64_t>(vector_at(i.weight).size()), own = states_[static_cast<size_t>(i.index)];
    check_size("values of a convolution", weights, own + width(i.a), own + 2 * width(i.a));
    check_size("values of a convolution's bias", (weights - own) % width(i.a), 0, 0);
  }
  if (has_matrices(i.code)) {
    check_size("heads", i.heads, 1, width(i.out));
    const int64_t own = states_[static_cast<size_t>(i.index)],
                  floats = product(i.heads * padded(width(i.out) / i.heads), i.head_dim);
    check_size("floats of a delta rule's state", own, floats, floats);
  }
  if (i.code == Code::scan) check_size("skips", static_cast<int64_t>(vector_at(i.weight).size()), i.heads, i.heads);
  if (i.code == Code::temperature) check_size("positions of a temperature", i.length, 1, INT64_MAX);
  if (routes) {
    check_size("experts", width(i.a), 1, kMostExperts);
    check_size("groups of experts", i.heads, 1, width(i.a));
    check_size("groups that a token uses", i.index, 1, i.heads);
    check_size("experts that a token uses", width(i.out) / 2, 1, width(i.a) / i.heads * i.index);
  }
  phases_.back().instructions.push_back(i);
  if (i.code == Code::embed) vocabulary_ = weight(i.weight).rows;
  if ((i.code == Code::linear || i.code == Code::experts) && tier_.reads_floats(weight(i.weight).format))
    inputs_[static_cast<size_t>(i.input)].floats = true;
  if (i.code == Code::hidden) hidden_width_ = width(i.out);
}

void Program::finish(int result, bool selected) {
  if (result < 0 || static_cast<size_t>(result) >= widths_.size())
    throw std::invalid_argument("the result is buffer " + std::to_string(result) + ", but the program has only " +
                                std::to_string(widths_.size()));
  result_ = result;
  result_selected_ = selected;
}

}  // namespace bitwright
