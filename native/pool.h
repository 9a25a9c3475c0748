// One pool of threads for everything native. Threads wait briefly by spinning, then sleep, so that an idle engine uses no CPU.
#pragma once
#include <cstdint>
#include <functional>

namespace bitwright {

class Pool {
 public:
  explicit Pool(int threads);
  ~Pool();
  int threads() const;
  // Runs f(thread) on every thread of the pool, the caller's included, and returns when all are done.
  // The first exception thrown is rethrown here.
  void run(const std::function<void(int)>& f);
  // Splits [0, count) into chunks of `grain` taken by whichever thread is free: f(begin, end, thread).
  void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t, int)>& f);
  void barrier();   // only inside run(): every thread waits for the others

 private:
  struct State;
  State* state_;
};

}  // namespace bitwright
