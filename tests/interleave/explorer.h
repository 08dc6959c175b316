// Every order of a few short scripts: an exhaustive scheduler.
//
// An actor is a list of steps that happen in its own order; the explorer tries every merge of all actors, copying the
// world at each branch, and asks the world's check() after each step. With scripts of 3, 2 and 1 steps that are 60
// orders. A step that is not enabled waits; an order ends when no step is enabled. Prefixes are checked too, so "it
// never comes to that step" needs no order of its own. Nothing is pruned: no state is skipped because it looks like
// another. Threads: one. I/O: none.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace tidemark::interleave {

template <typename World>
struct Step {
  std::string name;
  std::function<void(World&)> run;
  std::function<bool(const World&)> is_enabled = nullptr;  // nullptr: always
};

template <typename World>
using Script = std::vector<Step<World>>;

struct Exploration {
  uint64_t orders = 0;    // complete ones
  uint64_t states = 0;    // checked, after each step of each order
  std::string violation;  // empty: none
  std::string trace;      // the steps that led there
};

template <typename World>
class Explorer {
 public:
  explicit Explorer(std::vector<Script<World>> scripts) : scripts_(std::move(scripts)) {}

  // `at_end` sees the world of each complete order.
  Exploration explore(const World& initial, std::function<void(const World&)> at_end = nullptr) {
    result_ = {};
    at_end_ = std::move(at_end);
    next_.assign(scripts_.size(), 0);
    path_.clear();
    visit(initial);
    return result_;
  }

 private:
  void visit(const World& world) {
    ++result_.states;
    result_.violation = world.check();
    if (!result_.violation.empty()) return write_trace();
    bool is_end = true;
    for (size_t actor = 0; actor < scripts_.size(); ++actor) {
      if (next_[actor] == scripts_[actor].size()) continue;
      const Step<World>& step = scripts_[actor][next_[actor]];
      if (step.is_enabled && !step.is_enabled(world)) continue;
      is_end = false;
      World after = world;
      step.run(after);
      ++next_[actor];
      path_.push_back(&step);
      visit(after);
      path_.pop_back();
      --next_[actor];
      if (!result_.violation.empty()) return;
    }
    if (!is_end) return;
    ++result_.orders;
    if (at_end_) at_end_(world);
  }

  void write_trace() {
    for (const Step<World>* step : path_) {
      if (!result_.trace.empty()) result_.trace += "; ";
      result_.trace += step->name;
    }
  }

  std::vector<Script<World>> scripts_;
  std::function<void(const World&)> at_end_;
  std::vector<size_t> next_;
  std::vector<const Step<World>*> path_;
  Exploration result_;
};

}  // namespace tidemark::interleave
