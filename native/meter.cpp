#include "meter.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "format_info.h"

namespace bitwright {
namespace {

constexpr size_t kBytes = size_t{256} << 20;  // several times the size of a last-level cache
constexpr size_t kPart = size_t{256} << 10;   // one item: read in about ten microseconds
constexpr double kItemSeconds = 1e-5;         // one item of arithmetic
constexpr size_t kStretch = 64;               // items of each thread: those unfinished at its ends are a 64th of it

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Items per second over the best `stretch` consecutive ones, from the times at which they finished.
double fastest(const std::vector<double>& times, size_t stretch) {
  stretch = std::min(stretch, times.size() - 1);
  double shortest = times[stretch] - times[0];
  for (size_t i = 1; i + stretch < times.size(); ++i) shortest = std::min(shortest, times[i + stretch] - times[i]);
  return double(stretch) / shortest;
}

}  // namespace

Meter::Meter(const Tier& tier, std::shared_ptr<Pool> pool) : tier_(tier), pool_(std::move(pool)), data_(kBytes) {
  std::memset(data_.data(), 1, kBytes);  // unwritten pages are all the same physical page, which stays in cache
}

double Meter::rate(double seconds, bool share, const std::function<void(int64_t, int)>& f) const {
  const size_t threads = size_t(pool_->threads());
  std::vector<std::vector<double>> finished(threads);
  std::atomic<int64_t> next{0};
  const double end = now() + seconds;
  pool_->run([&](int thread) {
    do {
      f(next.fetch_add(1, std::memory_order_relaxed), thread);
      finished[size_t(thread)].push_back(now());
    } while (finished[size_t(thread)].back() < end || finished[size_t(thread)].size() < 2);
  });
  double sum = 0;
  for (const auto& own : finished) sum += fastest(own, kStretch);
  if (!share) return sum;
  std::vector<double> all;
  for (const auto& own : finished) all.insert(all.end(), own.begin(), own.end());
  std::sort(all.begin(), all.end());
  return fastest(all, kStretch * threads);
}

double Meter::read(double seconds) {
  std::atomic<uint64_t> seen{0};
  const auto reading = [&](int prefetch) {
    return rate(seconds / 2, true, [&](int64_t item, int) {
      seen.fetch_or(tier_.limits.read[prefetch](data_.data() + size_t(item) * kPart % kBytes, kPart),
                    std::memory_order_relaxed);
    });
  };
  return double(kPart) * std::max(reading(0), reading(1));
}

double Meter::arithmetic(double seconds, int64_t (*dots)(int64_t)) const {
  const auto shortest = [&](int64_t rounds) {  // a first call may also wait for its code to be loaded
    double found = kItemSeconds;
    for (int i = 0; i < 3; ++i) {
      const double started = now();
      dots(rounds);
      found = std::min(found, now() - started);
    }
    return found;
  };
  int64_t rounds = 1;
  while (shortest(rounds) < kItemSeconds) rounds *= 2;
  return double(dots(rounds)) * rate(seconds, false, [&](int64_t, int) { dots(rounds); });
}

double Meter::integer_dots(double seconds) { return arithmetic(seconds, tier_.limits.integer_dots); }
double Meter::float32_dots(double seconds) { return arithmetic(seconds, tier_.limits.float32_dots); }
double Meter::bf16_dots(double seconds) { return arithmetic(seconds, tier_.limits.bf16_dots); }

double Meter::decode(const Weight& weight, bool from_memory, double seconds) {
  const MatmulKernels& k = tier_.matmul;
  const size_t packed = k.packed_bytes(weight),
               bytes = packed ? packed : size_t(weight.rows * row_bytes(weight.format, weight.columns));
  const size_t stride = aligned(bytes), threads = size_t(pool_->threads());
  const size_t copies = from_memory ? kBytes / stride : threads;
  if (copies * stride > kBytes || !copies)
    throw std::invalid_argument("expected a weight of at most " +
                                std::to_string(from_memory ? kBytes : kBytes / threads) + " bytes to time, got " +
                                std::to_string(bytes));
  if (packed)
    k.pack(weight, data_.data(), 0, k.panels(weight));
  else
    std::memcpy(data_.data(), weight.file, bytes);
  for (size_t i = 1; i < copies; ++i) std::memcpy(data_.data() + i * stride, data_.data(), bytes);

  std::vector<float> x(size_t(weight.columns)), y(threads * size_t(weight.rows));
  for (size_t i = 0; i < x.size(); ++i) x[i] = float(int(i * 37 % 201) - 100);
  const size_t scratch = aligned(k.scratch_bytes(weight) + 64);
  const bool floats = tier_.reads_floats(weight.format);
  const Region input(k.input_bytes(1, weight.columns, floats) + 64), space(threads * scratch + 64);
  k.load_input(x.data(), weight.columns, 1, weight.columns, Rounding::own, floats, input.data(), 0, 1);
  const double products = rate(seconds, from_memory, [&](int64_t item, int thread) {
    Weight w = weight;
    (packed ? w.packed : w.file) = data_.data() + (from_memory ? size_t(item) % copies : size_t(thread)) * stride;
    k.decode(w, input.data(), 1, y.data() + size_t(thread) * size_t(weight.rows), weight.rows, 0, k.panels(weight),
             space.data() + scratch * size_t(thread));
  });
  return products * double(weight.rows * weight.columns);
}

}  // namespace bitwright
