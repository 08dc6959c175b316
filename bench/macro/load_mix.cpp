#include "bench/macro/load_mix.h"

#include <algorithm>
#include <cmath>

#include "bench/macro/load_script.h"

namespace tidemark::bench {

LoadMix::LoadMix(const LoadConfig& config)
    : config_(config),
      random_(config.seed),
      fill_next_(config.fill ? config.first_key : 0),
      fill_end_(config.fill ? config.keys : 0),
      phase_ends_(config.operations / std::max(config.size_phases, 1U)),
      sizes_(sizes_of_phase(config, 0)) {}

LoadMix::Sizes LoadMix::sizes_of_phase(const LoadConfig& config, uint32_t phase) {
  const uint64_t from = config.value_bytes;
  const uint64_t to = std::max(config.value_bytes_max, from);
  const uint32_t phases = std::max(config.size_phases, 1U);
  if (phases == 1) return {.from = from, .to = to};
  const uint32_t slice = phase % 2 == 0 ? phase / 2 : phases - 1 - phase / 2;
  const double least = static_cast<double>(std::max<uint64_t>(from, 1));
  const auto edge = [&](uint32_t i) {
    return static_cast<uint64_t>(std::lround(least * std::pow(static_cast<double>(to) / least, i / double(phases))));
  };
  const uint64_t last = slice + 1 == phases ? to : edge(slice + 1) - 1;
  return {.from = edge(slice), .to = std::max(last, edge(slice))};
}

LoadRequest LoadMix::next() {
  if (fill_next_ < fill_end_) return set_of(fill_next_++);
  if (config_.size_phases > 1 && made_ >= phase_ends_ && phase_ + 1 < config_.size_phases) {
    sizes_ = sizes_of_phase(config_, ++phase_);
    phase_ends_ = config_.operations / config_.size_phases * (phase_ + 1);
  }
  ++made_;
  const uint64_t key = random_.below(config_.keys);
  if (config_.get_share >= 1) return {.key = key};
  const double which = random_.uniform();
  if (which < config_.get_share) return {.key = key};
  if (which < config_.get_share + config_.delete_share) return {.kind = LoadRequest::Kind::kDelete, .key = key};
  return set_of(key);
}

LoadRequest LoadMix::set_of(uint64_t key) {
  LoadRequest request{.kind = LoadRequest::Kind::kSet, .key = key, .value_bytes = draw_size()};
  if (config_.ttl_share > 0 && random_.uniform() < config_.ttl_share)
    request.ttl_ms = static_cast<uint64_t>(config_.ttl.count()) / 1000;
  return request;
}

uint64_t LoadMix::draw_size() {
  return sizes_.to > sizes_.from ? sizes_.from + random_.below(sizes_.to - sizes_.from + 1) : sizes_.from;
}

void LiveModel::apply(const LoadRequest& request, uint64_t now_ms) {
  if (request.kind == LoadRequest::Kind::kGet) return;
  Entry& entry = entries_[request.key];
  remove(entry);
  if (request.kind == LoadRequest::Kind::kDelete) return;
  entry.bytes = static_cast<uint32_t>(LoadScript::kKeyBytes + request.value_bytes);
  ++items_;
  bytes_ += entry.bytes;
  if (request.ttl_ms == 0) return;
  entry.expires_ms = static_cast<uint32_t>(now_ms + request.ttl_ms);
  expiring_[entry.expires_ms].push_back(request.key);
}

void LiveModel::expire(uint64_t now_ms) {
  while (!expiring_.empty() && expiring_.begin()->first <= now_ms) {
    const auto due = expiring_.extract(expiring_.begin());
    for (uint64_t key : due.mapped()) {
      if (entries_[key].expires_ms == due.key()) remove(entries_[key]);
    }
  }
}

void LiveModel::remove(Entry& entry) {
  if (entry.bytes == 0) return;
  --items_;
  bytes_ -= entry.bytes;
  entry = {};
}

}  // namespace tidemark::bench
