#include "pool.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <map>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "platform.h"

namespace bitwright {
namespace {

// About 20 µs: longer than any gap between two ops of a step, far shorter than a user notices.
constexpr int kSpins = 2000;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

uint32_t wait_while(const std::atomic<uint32_t>& value, uint32_t old) {
  for (int i = 0; i < kSpins; ++i) {
    if (uint32_t now = value.load(std::memory_order_acquire); now != old) return now;
    pause();
  }
  value.wait(old, std::memory_order_acquire);
  return value.load(std::memory_order_acquire);
}

constexpr uint32_t kAbandoned = 1u << 31;

thread_local const void* inside = nullptr;  // the pool whose run() this thread is in

}  // namespace

struct Pool::State {
  // Each counter has a separate cache line: one thread spins on it while others write elsewhere.
  alignas(64) std::atomic<uint32_t> generation{0};  // a new value means work, or that it is time to stop
  alignas(64) std::atomic<uint32_t> finished{0};    // workers done with this generation
  std::atomic<bool> failed{false}, stop{false};
  const std::function<void(int)>* work = nullptr;
  std::exception_ptr error;  // written by the one thread that set `failed`
  std::mutex one_run;
  std::vector<std::thread> workers;
  int threads = 1;
  uint64_t process = platform::process_id();

  void do_work(int thread) {
    const void* outer = std::exchange(inside, this);
    try {
      (*work)(thread);
    } catch (...) {
      if (!failed.exchange(true)) error = std::current_exception();
    }
    inside = outer;
  }

  void worker(int thread) {
    for (uint32_t seen = 0;;) {
      seen = wait_while(generation, seen);
      if (stop.load(std::memory_order_relaxed)) return;
      do_work(thread);
      finished.fetch_add(1, std::memory_order_release);
      finished.notify_one();
    }
  }

  void end() {
    stop = true;
    generation.fetch_add(1, std::memory_order_release);
    generation.notify_all();
    for (std::thread& t : workers) t.join();
  }
};

Pool::Pool(int threads) {
  if (threads < 1) throw std::invalid_argument("a pool needs at least 1 thread, got " + std::to_string(threads));
  state_ = std::make_unique<State>();
  state_->threads = threads;
  try {
    for (int t = 1; t < threads; ++t) state_->workers.emplace_back([s = state_.get(), t] { s->worker(t); });
  } catch (...) {  // too many for the system, or no memory for their stacks
    state_->end();
    throw;
  }
}

Pool::~Pool() {
  if (state_->process != platform::process_id()) {  // the threads stayed with the parent: nothing to join or destroy
    static_cast<void>(state_.release());
    return;
  }
  state_->end();
}

int Pool::threads() const { return state_->threads; }

void Pool::run(const std::function<void(int)>& f) {
  State& s = *state_;
  if (inside == &s) throw std::logic_error("Pool::run was called from inside itself");
  if (s.process != platform::process_id())
    throw std::runtime_error("this pool's threads stayed in the parent process: load the model again after fork()");
  std::lock_guard lock(s.one_run);
  s.work = &f;
  s.failed = false;
  s.error = nullptr;
  s.finished.store(0, std::memory_order_relaxed);
  s.generation.fetch_add(1, std::memory_order_release);
  s.generation.notify_all();
  s.do_work(0);
  for (uint32_t n = s.finished.load(std::memory_order_acquire); n != s.workers.size();) n = wait_while(s.finished, n);
  if (s.error) std::rethrow_exception(std::exchange(s.error, nullptr));
}

void Pool::parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t, int)>& f) {
  grain = std::max<int64_t>(grain, 1);
  std::atomic<int64_t> next{0};
  run([&](int thread) {
    for (int64_t begin; (begin = next.fetch_add(grain, std::memory_order_relaxed)) < count;)
      f(begin, std::min(begin + grain, count), thread);
  });
}

void Share::reset(int threads) {
  if (threads != threads_) taken_ = std::make_unique<std::atomic<uint64_t>[]>(static_cast<size_t>(threads));
  threads_ = threads;
  for (int t = 0; t < threads; ++t) taken_[static_cast<size_t>(t)].store(0, std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
}

bool Share::claim(int thread, int64_t count, int64_t grain, Chunk& chunk) {
  for (int next = 0; next < threads_; ++next) {
    const int of = (thread + next) % threads_;
    const int64_t begin = count * of / threads_, end = count * (of + 1) / threads_;
    std::atomic<uint64_t>& taken = taken_[static_cast<size_t>(of)];
    for (uint64_t known = taken.load(std::memory_order_relaxed);;) {
      const auto front = static_cast<int64_t>(known >> 32), back = static_cast<int64_t>(known & 0xffffffff);
      const int64_t left = end - begin - front - back;
      if (left <= 0) break;
      // Small enough that a slow core ends with the others, which may all come for what is left of its range.
      const int64_t size = std::min(left, std::clamp(left / (2 * threads_), (grain + 3) / 4, grain));
      if (!taken.compare_exchange_weak(known, known + (static_cast<uint64_t>(size) << (next ? 0 : 32)),
                                       std::memory_order_relaxed))
        continue;
      chunk.begin = next ? end - back - size : begin + front;
      chunk.end = chunk.begin + size;
      return true;
    }
  }
  return false;
}

bool Share::finish(uint32_t items, uint32_t count) {
  return done_.fetch_add(items, std::memory_order_acq_rel) + items == count;
}

void Share::release() {
  done_.fetch_add(1, std::memory_order_release);
  done_.notify_all();
}

bool Share::wait(uint32_t wanted) {
  for (uint32_t done = done_.load(std::memory_order_acquire); done < wanted;) done = wait_while(done_, done);
  return !(done_.load(std::memory_order_relaxed) & kAbandoned);
}

void Share::abandon() {
  done_.fetch_or(kAbandoned, std::memory_order_release);
  done_.notify_all();
}

namespace {

std::shared_ptr<Pool> largest(int threads) {
  for (int fewer : {threads, std::min(threads, platform::usable_cores())}) {
    try {
      return std::make_shared<Pool>(fewer);
    } catch (const std::system_error&) {
    } catch (const std::bad_alloc&) {}
  }
  return std::make_shared<Pool>(1);  // the caller's own thread
}

}  // namespace

std::shared_ptr<Pool> shared_pool(int threads) {
  static std::mutex mutex;
  static std::map<std::pair<int, uint64_t>, std::weak_ptr<Pool>> pools;
  if (threads == 0) threads = platform::usable_cores();
  std::lock_guard lock(mutex);
  std::weak_ptr<Pool>& known = pools[{threads, platform::process_id()}];
  std::shared_ptr<Pool> pool = known.lock();
  if (!pool) known = pool = largest(threads);
  return pool;
}

}  // namespace bitwright
