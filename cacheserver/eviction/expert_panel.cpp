#include "cacheserver/eviction/expert_panel.h"

#include <algorithm>

namespace tidemark::cacheserver {
namespace {

constexpr size_t kSketchStepsPerPeriod = 64;  // the sample doubles before its rate is lowered

}  // namespace

void ExpertPanel::start(size_t items, uint64_t bytes, bool sizes_count) {
  stop();
  leader_ = first_rule(sizes_count);
  choose_rate(items);
  const auto sampled = static_cast<size_t>(static_cast<double>(items) * rate());
  for (const Rule& rule : rules_) experts_.push_back({std::make_unique<ShadowCache>(rule, sketch_, sampled), 0});
  sketch_.start(std::max<size_t>(16, sampled));
  set_capacities(items, bytes);
}

void ExpertPanel::stop() {
  experts_.clear();
  sketch_.clear();
  to_thin_ = requests_ = leader_ = bytes_used_ = 0;
}

void ExpertPanel::request(uint64_t hash, uint32_t bytes) {
  if (to_thin_ > 0) {
    ShadowCache& shadow = *experts_[to_thin_ - 1].shadow;
    if (shadow.keep_some([this](uint64_t kept) { return is_sampled(kept); })) --to_thin_;
  }
  sketch_.increment(hash);
  const double worth = goal_ == Goal::kObjectHits ? 1 : static_cast<double>(bytes);
  for (Expert& expert : experts_) {
    if (expert.shadow->request(hash, bytes)) expert.score += worth;
  }
}

void ExpertPanel::choose_rate(size_t items) {
  const double share = static_cast<double>(kSampledItems) / static_cast<double>(std::max<size_t>(items, 1));
  const double rate = std::clamp(share, 1.0 / kRateMin, 1.0);
  threshold_ = static_cast<uint32_t>(rate * 4294967295.0);
  items_at_rate_ = items;
}

void ExpertPanel::set_capacities(size_t items, uint64_t bytes) {
  const auto sampled_items = static_cast<size_t>(static_cast<double>(items) * rate() + 0.5);
  const auto sampled_bytes = static_cast<uint64_t>(static_cast<double>(bytes) * rate() + 0.5);
  for (Expert& expert : experts_) expert.shadow->set_capacity(sampled_bytes);
  for (size_t i = 0; i < kSketchStepsPerPeriod; ++i) sketch_.grow_towards(sampled_items);
  period_ = std::max<uint64_t>(kPeriodMin, items);
  count_bytes_used();
}

void ExpertPanel::end_period(size_t items, uint64_t bytes, bool sizes_count) {
  choose_leader(sizes_count);
  requests_ = 0;
  for (Expert& expert : experts_) expert.score *= kDecay;
  if (items > 2 * items_at_rate_ || items * 2 < items_at_rate_) {
    const uint32_t before = threshold_;
    choose_rate(items);
    if (threshold_ < before) to_thin_ = experts_.size();
  }
  set_capacities(items, bytes);
}

void ExpertPanel::choose_leader(bool sizes_count) {
  if (!sizes_count && leader().by_density) leader_ = first_rule(false);
  const size_t current = leader_;
  double best = 0;
  for (size_t i = 0; i < experts_.size(); ++i) {
    if (i == current || (rules_[i].by_density && !sizes_count)) continue;
    const bool gives_up_sizes = rules_[current].by_density && !rules_[i].by_density;
    const double needed = experts_[current].score * (gives_up_sizes ? kLeadNeededAgainstSizes : kLeadNeeded);
    if (experts_[i].score <= std::max(best, needed)) continue;
    best = experts_[i].score;
    leader_ = i;
  }
}

size_t ExpertPanel::first_rule(bool by_density) const {
  const auto found = std::ranges::find(rules_, by_density, &Rule::by_density);
  return found == rules_.end() ? 0 : static_cast<size_t>(found - rules_.begin());
}

void ExpertPanel::count_bytes_used() {
  bytes_used_ = sketch_.bytes_used();
  for (const Expert& expert : experts_) bytes_used_ += expert.shadow->bytes_used();
}

}  // namespace tidemark::cacheserver
