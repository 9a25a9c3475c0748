// One pool of threads for everything native. Threads wait briefly by spinning, then sleep, so that an idle engine uses no CPU.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

namespace bitwright {

class Pool {
 public:
  explicit Pool(int threads);  // throws std::invalid_argument below 1
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  int threads() const;
  // Runs f(thread) on every thread of the pool, the caller's included, and returns when all are done.
  // The first exception thrown is rethrown here. Calls from several threads wait for one another; a call from inside run()
  // would wait for itself, so it throws std::logic_error. After fork() the child has none of the threads: there it throws
  // std::runtime_error, and the child must make a pool of its own.
  void run(const std::function<void(int)>& f);
  // Splits [0, count) into chunks of `grain` taken by whichever thread is free: f(begin, end, thread).
  void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t, int)>& f);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The work of one phase inside run(): [0, count) in chunks, each taken by whichever thread is free. Unlike at a barrier, a
// thread that comes late holds nobody up: the phase is over when its work is done, whoever did it. On a machine shared with
// others that is the difference between losing one thread's time now and then and losing everybody's.
class Share {
 public:
  void reset();  // before run()
  // f(begin, end) for chunks of `grain` until none is left; returns when all of [0, count) is done, true, or when somebody
  // has called abandon(), false. Every thread must name the same count, below 2^31.
  template <typename F>
  bool take(int64_t count, int64_t grain, F f) {
    for (int64_t begin; (begin = next_.fetch_add(grain, std::memory_order_relaxed)) < count;) {
      const int64_t end = begin + grain < count ? begin + grain : count;
      f(begin, end);
      finish(static_cast<uint32_t>(end - begin), static_cast<uint32_t>(count));
    }
    return wait(static_cast<uint32_t>(count));
  }
  void abandon();  // lets the waiting go, when the work cannot be done

 private:
  void finish(uint32_t items, uint32_t count);
  bool wait(uint32_t count);
  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<uint32_t> done_{0};  // items, and a high bit once abandoned
};

std::shared_ptr<Pool> shared_pool(
    int threads);  // 0: platform::usable_cores(). One pool per count, as long as anyone holds it.

}  // namespace bitwright
