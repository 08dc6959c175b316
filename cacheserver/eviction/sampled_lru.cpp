#include "cacheserver/eviction/sampled_lru.h"

namespace tidemark::cacheserver {
namespace {

constexpr int64_t kTickMicros = 1'000'000 / 16;

uint32_t tick_of(Instant now) {
  return static_cast<uint32_t>(now.time_since_epoch().count() / kTickMicros);
}

}  // namespace

void SampledLru::on_insert(Entry& entry, uint64_t, Instant now) {
  entry.set_policy_word(tick_of(now));
}
void SampledLru::on_hit(Entry& entry, Instant now) {
  entry.set_policy_word(tick_of(now));
}

Entry* SampledLru::choose_victim(EntrySampler& sampler, Instant now) {
  const uint32_t tick = tick_of(now);
  Entry* victim = nullptr;
  for (int i = 0; i < kSamples; ++i) {
    Entry* candidate = sampler.sample_entry();
    if (candidate == nullptr) continue;
    if (candidate->is_expired(now)) return candidate;
    if (victim == nullptr || tick - candidate->policy_word() > tick - victim->policy_word()) victim = candidate;
  }
  return victim;
}

std::optional<uint64_t> SampledLru::idle_seconds(const Entry& entry, Instant now) const {
  return (tick_of(now) - entry.policy_word()) / 16;
}

}  // namespace tidemark::cacheserver
