// Which rule suits the traffic of now? Every rule runs a ShadowCache fed with the same sample of the keys; after a
// period, the rule whose model has hit most leads. Old periods count less and less.
//
// The sample is all keys whose mixed hash lies under a threshold: a share of about kSampledItems of the cache's items,
// never less than one in kRateMin: a sample so small leads no worse than a larger one, as the public traces show. The
// models' capacity is the cache's, times that share. Threads: one owner. I/O: none. Limits: see ShadowCache; a period
// is at least kPeriodMin requests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cacheserver/eviction/frequency_sketch.h"
#include "cacheserver/eviction/shadow_cache.h"

namespace tidemark::cacheserver {

enum class Goal { kObjectHits, kByteHits };

class ExpertPanel {
 public:
  static constexpr size_t kSampledItems = 1024;
  static constexpr size_t kRateMin = 1024;
  static constexpr uint64_t kPeriodMin = 1000;
  static constexpr double kDecay = 0.9;
  static constexpr double kLeadNeeded = 1.01;             // for a change of rules: less is noise
  static constexpr double kLeadNeededAgainstSizes = 1.5;  // to count sizes no longer: every item has to move

  // `rules` outlives the panel.
  ExpertPanel(std::span<const Rule> rules, Goal goal) : rules_(rules), goal_(goal) {}

  // What the cache holds when it is full. The first rule that counts sizes, or else the first that does not, leads
  // until another proves better.
  void start(size_t items, uint64_t bytes, bool sizes_count);
  void stop();
  bool is_started() const { return !experts_.empty(); }

  bool is_sampled(uint64_t hash) const { return mixed(hash) <= threshold_; }
  void request(uint64_t hash, uint32_t bytes);  // of a sampled key, whether the cache had it or not
  // Every request, sampled or not. True when a period is over: then leader() may be another.
  bool count_request(size_t items, uint64_t bytes, bool sizes_count) {
    if (++requests_ < period_) return false;
    end_period(items, bytes, sizes_count);
    return true;
  }
  const Rule& leader() const { return rules_[leader_]; }

  size_t bytes_used() const { return bytes_used_; }  // as of the last period

 private:
  struct Expert {
    std::unique_ptr<ShadowCache> shadow;
    double score = 0;
  };
  static uint32_t mixed(uint64_t hash) { return static_cast<uint32_t>(hash * 0x9e3779b97f4a7c15 >> 32); }
  double rate() const { return (static_cast<double>(threshold_) + 1) / 4294967296.0; }
  void choose_rate(size_t items);
  void set_capacities(size_t items, uint64_t bytes);
  void end_period(size_t items, uint64_t bytes, bool sizes_count);
  void choose_leader(bool sizes_count);
  size_t first_rule(bool by_density) const;
  void count_bytes_used();

  std::span<const Rule> rules_;
  Goal goal_;
  std::vector<Expert> experts_;
  FrequencySketch sketch_;  // of the sampled keys
  uint32_t threshold_ = 0;
  size_t items_at_rate_ = 0;  // when the rate was chosen
  size_t to_thin_ = 0;        // experts that still hold keys sampled no longer
  uint64_t requests_ = 0;     // in this period
  uint64_t period_ = kPeriodMin;
  size_t leader_ = 0;
  size_t bytes_used_ = 0;
};

}  // namespace tidemark::cacheserver
