// Mixtures of experts: the choices of rows, and the products of each expert with all rows that chose it.
#include <algorithm>
#include <cmath>

#include "checked.h"
#include "executor.h"

namespace bitwright {
namespace {

// The index of the largest of n scores that are not taken, the first of equal ones.
int64_t largest(const double* scores, const bool* taken, int64_t n) {
  int64_t best = -1;
  for (int64_t e = 0; e < n; ++e)
    if (!taken[e] && (best < 0 || scores[e] > scores[best])) best = e;
  return best;
}

// Takes the experts of all groups but the `used` whose two largest scores have the largest sums.
void take_groups(const double* scores, int64_t experts, int64_t groups, int64_t used, bool* taken) {
  const int64_t size = experts / groups;
  double sums[kMostExperts];
  for (int64_t g = 0; g < groups; ++g) {
    double two[2] = {-INFINITY, -INFINITY};
    for (const double* score = scores + g * size; score < scores + (g + 1) * size; ++score) {
      if (*score > two[1]) two[1] = *score;
      if (two[1] > two[0]) std::swap(two[0], two[1]);
    }
    sums[g] = size > 1 ? two[0] + two[1] : two[0];
  }
  bool kept[kMostExperts] = {};
  for (int64_t j = 0; j < used; ++j) kept[largest(sums, kept, groups)] = true;
  for (int64_t e = 0; e < experts; ++e) taken[e] = !kept[e / size];
}

}  // namespace

// A row's choices: the experts of largest scores, largest first (of equal ones the first), then their weights, which add up
// to a factor: the softmax of the logits of those chosen, or their sigmoids over the sum of these. route_share: they are
// the factor times the softmax over all. Scores are the logits or the sigmoids, plus biases.
void Executor::route(const Instruction& i, int64_t row) {
  const int64_t experts = width(i.a), used = width(i.out) / 2;
  const bool by_sigmoid = i.code == Code::route_sigmoid, of_all = i.code == Code::route_share;
  const float* const logits = at(i.a, row);
  const float* const biases = i.weight < 0 ? nullptr : program_->vector_at(i.weight).data();
  float *const choices = at(i.out, row), *const weights = choices + used;
  const auto sigmoid = [&](int64_t e) { return 1 / (1 + std::exp(-static_cast<double>(logits[e]))); };
  double scores[kMostExperts];
  for (int64_t e = 0; e < experts; ++e) scores[e] = (by_sigmoid ? sigmoid(e) : logits[e]) + (biases ? biases[e] : 0);
  bool taken[kMostExperts] = {};
  if (i.heads > 1) take_groups(scores, experts, i.heads, i.index, taken);
  const float most = *std::max_element(logits, logits + experts);
  double shares[kMostExperts], sum = 0;
  if (of_all)
    for (int64_t e = 0; e < experts; ++e) sum += std::exp(logits[e] - most);
  for (int64_t j = 0; j < used; ++j) {
    const int64_t best = largest(scores, taken, experts);
    taken[best] = true;
    choices[j] = static_cast<float>(best);
    shares[j] = by_sigmoid ? sigmoid(best) : std::exp(logits[best] - most);
    if (!of_all) sum += shares[j];
  }
  for (int64_t j = 0; j < used; ++j) weights[j] = static_cast<float>(shares[j] / sum * i.value);
}

void Executor::reweigh(const Instruction& i, int64_t row) {
  const int64_t used = width(i.out) / 2;
  const float *const choices = at(i.a, row), *const factors = program_->vector_at(i.weight).data();
  float* const out = at(i.out, row);
  for (int64_t j = 0; j < used; ++j) {
    out[j] = choices[j];
    out[used + j] = choices[used + j] * factors[static_cast<int64_t>(choices[j])];
  }
}

void Executor::combine(const Instruction& i, int64_t row) {
  const int64_t width = this->width(i.out), used = this->width(i.b) / 2;
  const float *const slots = at(i.a, row), *const weights = at(i.b, row) + used;
  float* const out = at(i.out, row);
  std::fill_n(out, width, 0.f);
  for (int64_t j = 0; j < used; ++j)
    for (int64_t c = 0; c < width; ++c) out[c] += weights[j] * slots[j * width + c];
}

void Executor::add_biases(const Instruction& i, int64_t row) {
  const int64_t used = this->width(i.b) / 2, width = this->width(i.out) / used;
  const float *const slots = at(i.a, row), *const choices = at(i.b, row);
  float* const out = at(i.out, row);
  for (int64_t j = 0; j < used; ++j) {
    const float* const biases = program_->vector_at(i.weight).data() + static_cast<int64_t>(choices[j]) * width;
    tier_.vector.add(slots + j * width, biases, width, out + j * width);
  }
}

// Where the input of an expert's slots begins: after those of the experts before it.
uint8_t* Executor::expert_input(const Instruction& i, size_t expert) const {
  const InputShape& shape = program_->inputs()[static_cast<size_t>(i.input)];
  const int64_t before = groups_[static_cast<size_t>(i.groups)].first[expert];
  return inputs_[static_cast<size_t>(i.input)] + tier_.matmul.input_bytes(before, shape.columns, shape.floats);
}

// Panels [begin, end) of one expert's product with all its slots. A single slot is written where it belongs; several are
// written next to each other, a few panels at a time, and copied to their places from the cache.
void Executor::run_expert(const Instruction& i, int expert, int64_t begin, int64_t end, uint8_t* scratch) {
  const Groups& groups = groups_[static_cast<size_t>(i.groups)];
  const Weight& w = program_->weight(i.weight + expert);
  const int32_t *order = groups.order.data() + groups.first[static_cast<size_t>(expert)],
                *last = groups.order.data() + groups.first[static_cast<size_t>(expert) + 1];
  const int64_t slots = last - order;
  const uint8_t* input = expert_input(i, static_cast<size_t>(expert));
  float* const out = at(i.out, 0);
  if (slots == 1) return tier_.matmul.decode(w, input, 1, out + *order * w.rows, w.rows, begin, end, scratch);
  const auto kernel = slots <= kDecodeTokens ? tier_.matmul.decode : tier_.matmul.prefill;
  auto* const sums = reinterpret_cast<float*>(scratch + expert_sums_);
  for (int64_t panel = begin; panel < end; panel += kExpertPanels) {
    const int64_t stop = std::min(panel + kExpertPanels, end), first = panel * panel_rows_,
                  width = std::min(stop * panel_rows_, w.rows) - first;
    kernel(w, input, slots, sums - first, width, panel, stop, scratch);  // it adds `first` to y
    for (int64_t s = 0; s < slots; ++s) std::copy_n(sums + s * width, width, out + order[s] * w.rows + first);
  }
}

void Executor::load_experts(const Instruction& i, int64_t row) {
  const Groups& groups = groups_[static_cast<size_t>(i.groups)];
  const InputShape& shape = program_->inputs()[static_cast<size_t>(i.input)];
  const int64_t columns = shape.columns, used = width(i.b) / 2;
  for (int64_t j = 0; j < used; ++j) {
    const auto expert = static_cast<size_t>(at(i.b, row)[j]);
    const int64_t first = groups.first[expert], slots = groups.first[expert + 1] - first,
                  place = groups.place[static_cast<size_t>(row * used + j)] - first;
    const float* x = at(i.a, row) + (width(i.a) == columns ? 0 : j * columns);
    tier_.matmul.load_input(x, 0, slots, columns, static_cast<Rounding>(i.index), shape.floats, expert_input(i, expert),
                            place, place + 1);
  }
}

void Executor::group(const Instruction& i, int64_t rows) {
  Groups& groups = groups_[static_cast<size_t>(i.groups)];
  const int64_t used = width(i.a) / 2;
  const size_t experts = groups.first.size() - 1;
  const auto each = [&](auto f) {  // slots and their experts
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t j = 0; j < used; ++j) f(static_cast<size_t>(row * used + j), static_cast<size_t>(at(i.a, row)[j]));
  };
  std::fill(groups.first.begin(), groups.first.end(), 0);
  each([&](size_t, size_t expert) { ++groups.first[expert + 1]; });
  groups.active.clear();
  for (size_t e = 0; e < experts; ++e) {
    if (groups.first[e + 1]) groups.active.push_back(static_cast<int32_t>(e));
    groups.first[e + 1] += groups.first[e];
  }
  each([&](size_t slot, size_t expert) {
    const int32_t place = groups.first[expert]++;
    groups.place[slot] = place;
    groups.order[static_cast<size_t>(place)] = static_cast<int32_t>(slot);
  });
  for (size_t e = experts; e > 0; --e) groups.first[e] = groups.first[e - 1];  // each had become the next one's
  groups.first[0] = 0;
}

}  // namespace bitwright
