// Runs the pool hard enough for ThreadSanitizer to see every pair of accesses. Exits 0, or 1 after printing what failed.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "pool.h"

using bitwright::Pool;
using bitwright::Share;

namespace {

void check(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "pool_test: %s\n", what);
  std::exit(1);
}

// Plain (non-atomic) memory passes between threads from phase to phase, also to and from what the thread that finishes a
// phase does then. This is correct only if a phase's end orders them.
void phases_order(Pool& pool, int rounds) {
  constexpr int64_t kCells = 5;
  std::vector<int> cells(kCells, 0);
  int over = 0;  // phases
  std::vector<Share> shares(static_cast<size_t>(rounds));
  for (Share& share : shares) share.reset(pool.threads());
  pool.run([&](int thread) {
    for (int round = 0; round < rounds; ++round) {
      const auto work = [&](int64_t begin, int64_t end) {
        check(over == round, "a phase began before what ends the last");
        for (; begin < end; ++begin) {
          int& left = cells[static_cast<size_t>((begin + round) % kCells)];
          check(left == round, "a phase began before the last was over");
          ++left;
        }
      };
      const auto then = [&] {
        for (int left : cells) check(left == round + 1, "what ends a phase began before its work was done");
        ++over;
      };
      Share& share = shares[static_cast<size_t>(round)];
      check(share.take(thread, kCells, 1 + round % 3, work, then), "a phase was abandoned");
    }
  });
  check(over == rounds, "what ends a phase was done twice or never");
  for (int cell : cells) check(cell == rounds, "a phase missed or repeated work");
}

// How long a phase takes on cores of these speeds (items per unit of time), compared with cores that all end together.
// Whoever is free first takes the next chunk: as take() does, or else `grain` of what nobody has taken.
double slowness(const std::vector<double>& speeds, int64_t count, int64_t grain, bool shared) {
  std::vector<double> free(speeds.size(), 0);
  double together = 0, end = 0;
  for (double speed : speeds) together += speed;
  Share share;
  share.reset(static_cast<int>(speeds.size()));
  for (int64_t done = 0; done < count;) {
    const auto first = std::min_element(free.begin(), free.end());
    const auto thread = static_cast<size_t>(first - free.begin());
    Share::Chunk chunk{done, std::min(done + grain, count)};
    if (shared) check(share.claim(static_cast<int>(thread), count, grain, chunk), "nothing was left too early");
    *first += static_cast<double>(chunk.end - chunk.begin) / speeds[thread];
    done += chunk.end - chunk.begin;
    end = std::max(end, *first);
  }
  return end / (static_cast<double>(count) / together);
}

// A thread's chunks lie in a row until its range is done, and all chunks together are everything once.
void ranges_are_taken_in_order() {
  constexpr int64_t kCount = 1000;
  for (int threads : {1, 2, 3, 7}) {
    Share share;
    share.reset(threads);
    Share::Chunk chunk;
    std::vector<int> seen(kCount, 0);
    for (int64_t at = kCount * (threads - 1) / threads; at < kCount; at = chunk.end) {
      check(share.claim(threads - 1, kCount, 20, chunk) && chunk.begin == at, "a thread left its range");
      for (int64_t i = chunk.begin; i < chunk.end; ++i) ++seen[static_cast<size_t>(i)];
    }
    while (share.claim(threads - 1, kCount, 20, chunk))
      for (int64_t i = chunk.begin; i < chunk.end; ++i) ++seen[static_cast<size_t>(i)];
    for (int times : seen) check(times == 1, "an item was shared out twice or never");
  }
}

// A core ends last with the chunk it took last: a phase is longer than it must be by that chunk's time at the most. That is
// a quarter of `grain`, at the slowest speed.
void slow_cores_hold_nobody_up() {
  double worst = 1, worst_fixed = 1;
  for (double slow : {0.5, 0.3})
    for (int slow_cores : {1, 2, 4, 8})
      for (int64_t count : {256, 1000, 4096}) {
        std::vector<double> speeds(8, 1);
        std::fill_n(speeds.begin(), slow_cores, slow);
        const int64_t grain = count / (8 * 8);
        const double found = slowness(speeds, count, grain, true);
        double together = 0;
        for (double speed : speeds) together += speed;
        const double last = static_cast<double>((grain + 3) / 4) / slow / (static_cast<double>(count) / together);
        check(found <= 1 + last, "the last chunk of a slow core was large");
        worst = std::max(worst, found);
        worst_fixed = std::max(worst_fixed, slowness(speeds, count, grain, false));
      }
  check(worst - 1 < (worst_fixed - 1) / 2, "chunks that shrink help little");
}

void every_index_once(Pool& pool) {
  for (int64_t count : {0, 1, 7, 1000}) {
    for (int64_t grain : {1, 3, 2000}) {
      std::vector<int> seen(static_cast<size_t>(count), 0);
      pool.parallel_for(count, grain, [&](int64_t begin, int64_t end, int) {
        for (; begin < end; ++begin) seen[static_cast<size_t>(begin)] += 1;
      });
      for (int times : seen) check(times == 1, "parallel_for missed or repeated an index");
    }
  }
}

void exceptions_arrive(Pool& pool) {
  for (int failing = 0; failing < pool.threads(); ++failing) {
    std::string got;
    Share share;
    share.reset(pool.threads());
    std::atomic<bool> taken{false};
    try {
      pool.run([&](int thread) {
        if (thread == failing)
          share.take(
              thread, 2, 1,
              [&](int64_t, int64_t) {
                taken = true;
                share.abandon();
                throw std::runtime_error("thread " + std::to_string(thread));
              },
              [] {});
        while (!taken) std::this_thread::yield();
        // One item will never be done: the others must not wait for it forever.
        check(!share.take(thread, 2, 1, [](int64_t, int64_t) {}, [] {}), "abandoned work counts as done");
      });
    } catch (const std::runtime_error& e) { got = e.what(); }
    check(got == "thread " + std::to_string(failing), "an exception was lost");
    phases_order(pool, 10);
  }
  bool refused = false;
  try {
    pool.run([&](int thread) {
      if (thread == 0) pool.run([](int) {});
    });
  } catch (const std::logic_error&) { refused = true; }
  check(refused, "run() inside run() was not refused");
}

void phases_without_work_end(Pool& pool) {
  Share share;
  const auto never = [](auto...) { check(false, "a phase without work did some"); };
  share.reset(pool.threads());
  pool.run([&](int thread) { check(share.take(thread, 0, 1, never, never), "a phase without work was abandoned"); });
}

void callers_take_turns(Pool& pool) {
  int total = 0;  // not atomic: only one run at a time may touch it
  std::vector<std::thread> callers;
  for (int c = 0; c < 3; ++c)
    callers.emplace_back([&] {
      for (int i = 0; i < 200; ++i)
        pool.run([&](int thread) {
          if (thread == 0) ++total;
        });
    });
  for (std::thread& t : callers) t.join();
  check(total == 600, "two callers ran at once");
}

void sleepers_wake(Pool& pool) {
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // long enough to be asleep, not spinning
    phases_order(pool, 3);
  }
}

// A child of fork() has no threads: run() must throw there, a new pool must work, and the child must be able to exit.
void fork_is_refused() {
  auto pool = std::make_unique<Pool>(2);
  const pid_t child = fork();
  if (child == 0) {
    int code = 1;
    try {
      pool->run([](int) {});
    } catch (const std::runtime_error&) { code = 0; }
    pool.reset();
    Pool own(2);
    phases_order(own, 3);
    _exit(code);
  }
  int status = 0;
  waitpid(child, &status, 0);
  check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a pool worked after fork()");
}

}  // namespace

int main(int argc, char**) {
  if (argc == 1) fork_is_refused();  // not under a sanitizer: see test_pool.py
  for (int threads : {1, 2, 3, 8}) {
    Pool pool(threads);
    check(pool.threads() == threads, "threads()");
    phases_order(pool, 300);
    every_index_once(pool);
    exceptions_arrive(pool);
    phases_without_work_end(pool);
    callers_take_turns(pool);
    sleepers_wake(pool);
  }
  ranges_are_taken_in_order();
  slow_cores_hold_nobody_up();
  bool refused = false;
  try {
    Pool none(0);
  } catch (const std::invalid_argument&) { refused = true; }
  check(refused, "a pool without threads was not refused");
  check(bitwright::shared_pool(2) != bitwright::shared_pool(3), "pools of two sizes are the same");
  auto a = bitwright::shared_pool(2), b = bitwright::shared_pool(2);
  check(a == b, "pools of one size are not shared");
}
