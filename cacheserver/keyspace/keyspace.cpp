#include "cacheserver/keyspace/keyspace.h"

#include <cstring>

#include "base/invariant.h"
#include "cacheserver/keyspace/keyspace_tables.h"

namespace tidemark::cacheserver {
namespace {

// APPEND and SETRANGE get spare room, so that a value that grows byte by byte is not copied each time.
constexpr size_t kSpareBytesMax = 1 << 20;
// A put may evict this many entries, and one more per 64 bytes it asks for: its cost stays in proportion.
constexpr uint64_t kEvictionsMin = 128;
constexpr uint64_t kBytesPerEviction = 64;

}  // namespace

Result<std::unique_ptr<Keyspace>> Keyspace::open(const Options& options) {
  auto policy = make_eviction_policy(options.policy);
  if (!policy) return std::unexpected(policy.error());
  return std::make_unique<Keyspace>(options);
}

Keyspace::Keyspace(const Options& options)
    : hash_seed_(options.hash_seed),
      tables_(std::make_unique<Tables>(options.hash_seed)),
      random_state_(options.hash_seed | 1) {
  auto policy = make_eviction_policy(options.policy);
  INVARIANT(policy.has_value(), options.policy);
  policy_ = std::move(*policy);
  budget_.bytes_max = options.memory_bytes_max;
  refresh_budget();
}

Keyspace::~Keyspace() = default;

HashTable& Keyspace::table_of(const KeyRef& ref) const {
  return tables_->of(ref.slot);
}

// --- lookups ---------------------------------------------------------------------------------------------------------

Entry* Keyspace::lookup(const KeyRef& ref, Instant now) {
  Entry* entry = table_of(ref).find(ref);
  if (entry == nullptr || !entry->is_expired(now)) return entry;
  ++stats_.expired;
  erase_entry(ref, entry);
  return nullptr;
}

Entry* Keyspace::find(std::string_view key, Instant now) {
  Entry* entry = lookup(recall(key), now);
  if (entry == nullptr) {
    count_miss();
  } else {
    count_hit(*entry, now);
  }
  return entry;
}

Entry* Keyspace::peek(std::string_view key, Instant now) {
  return lookup(recall(key), now);
}

void Keyspace::count_hit(Entry& entry, Instant now) {
  ++stats_.hits;
  policy_->on_hit(entry, now);
}

void Keyspace::count_miss() {
  ++stats_.misses;
}

void Keyspace::prefetch(std::string_view key) const {
  KeyRef ref = refer(key);
  table_of(ref).prefetch(ref);
}

void Keyspace::prefetch_place(const KeyRef& ref) const {
  table_of(ref).prefetch(ref);
}

void Keyspace::prefetch_entry(const KeyRef& ref) const {
  table_of(ref).prefetch_entry(ref);
}

KeyRef Keyspace::recall(std::string_view key) {
  const size_t at = expected_at_;
  for (size_t i : {at, at + 1, size_t{0}}) {  // the same as before, the one behind it, once more from the beginning
    if (i >= expected_.size()) continue;
    const std::string_view expected = expected_[i].key;
    if (expected.data() != key.data() || expected.size() != key.size()) continue;
    expected_at_ = i;
    return expected_[i];
  }
  return refer(key);
}

// --- changes ---------------------------------------------------------------------------------------------------------

Entry* Keyspace::put(std::string_view key, std::string_view value, const PutOptions& options, Instant now) {
  const KeyRef ref = recall(key);
  Entry* old = lookup(ref, now);
  auto expires_at = options.expires_at;
  if (options.keep_expiry) expires_at = old != nullptr ? old->expires_at() : std::nullopt;
  const Entry::Shape shape{.key_size = key.size(),
                           .value_size = value.size(),
                           .has_expiry = expires_at.has_value(),
                           .has_claims = options.claims != nullptr};
  Entry* entry = old;
  if (old != nullptr && old->fits_in_place(shape)) {
    if (!value.empty()) std::memmove(old->value_mutable(), value.data(), value.size());
    old->set_value_size(value.size());
    policy_->on_hit(*old, now);
  } else {
    Entry* fresh = Entry::create(shape);
    if (!key.empty()) std::memcpy(fresh->key_mutable(), key.data(), key.size());
    if (!value.empty()) std::memcpy(fresh->value_mutable(), value.data(), value.size());
    entry = install({fresh->key(), ref.hash, ref.slot}, fresh, now);
    if (entry == nullptr) return nullptr;
  }
  entry->set_encoding(ValueEncoding::kText);
  if (options.claims != nullptr) entry->set_claims(*options.claims);
  set_expiry(*entry, expires_at, now);
  refresh_budget();
  return entry;
}

// `fresh` takes the place of the key's entry, if there is one. The victims that make room for it may include that one.
Entry* Keyspace::install(const KeyRef& ref, Entry* fresh, Instant now) {
  const size_t bytes = fresh->bytes_allocated();
  if (!make_room(bytes, now)) {
    ++stats_.refused_for_memory;
    Entry::destroy(fresh);
    return nullptr;
  }
  HashTable& table = table_of(ref);
  entry_bytes_ += bytes;
  if (Entry* old = table.find(ref)) {
    tables_->wheel.cancel(*old);
    fresh->set_policy_word(old->policy_word());
    policy_->on_move(*old, *fresh);
    policy_->on_hit(*fresh, now);
    table.replace(ref, old, fresh);
    entry_bytes_ -= old->bytes_allocated();
    Entry::destroy(old);
  } else {
    table.insert(ref, fresh);
    tables_->slots.on_insert(ref.slot);
    ++size_;
    policy_->on_insert(*fresh, ref.hash, now);
  }
  work_on(table);
  return fresh;
}

// The same key and the beginning of the same value in an entry of another shape; expiry and claims as the shape says.
Entry* Keyspace::reshape(const KeyRef& ref, Entry* old, const Entry::Shape& shape, Instant now) {
  const auto expires_at = old->expires_at();
  Entry* fresh = Entry::create(shape);
  std::memcpy(fresh->key_mutable(), ref.key.data(), ref.key.size());
  const size_t kept = std::min(shape.value_size, old->value().size());
  std::memcpy(fresh->value_mutable(), old->value().data(), kept);
  std::memset(fresh->value_mutable() + kept, 0, shape.value_size - kept);
  fresh->set_encoding(old->encoding());
  if (shape.has_claims) fresh->set_claims(old->claims());
  Entry* entry = install({fresh->key(), ref.hash, ref.slot}, fresh, now);
  if (entry != nullptr && shape.has_expiry) set_expiry(*entry, expires_at, now);
  return entry;
}

Entry* Keyspace::resize(std::string_view key, size_t size, Instant now) {
  const KeyRef ref = recall(key);
  Entry* old = lookup(ref, now);
  if (old == nullptr) {
    const Entry::Shape shape{.key_size = key.size(), .value_size = size};
    Entry* fresh = Entry::create(shape);
    if (!key.empty()) std::memcpy(fresh->key_mutable(), key.data(), key.size());
    std::memset(fresh->value_mutable(), 0, size);
    Entry* entry = install({fresh->key(), ref.hash, ref.slot}, fresh, now);
    refresh_budget();
    return entry;
  }
  const size_t old_size = old->value().size();
  Entry::Shape shape{.key_size = key.size(), .value_size = size, .has_expiry = old->has_expiry_section()};
  if (!old->has_claims() && old->has_room_for(shape)) {
    if (size > old_size) std::memset(old->value_mutable() + old_size, 0, size - old_size);
    old->set_value_size(size);
    policy_->on_hit(*old, now);
    return old;
  }
  if (size > old_size) shape.value_size = std::min(size + std::min(size, kSpareBytesMax), kValueBytesMax);
  Entry* entry = reshape(ref, old, shape, now);
  if (entry != nullptr) entry->set_value_size(size);
  refresh_budget();
  return entry;
}

bool Keyspace::erase(std::string_view key, Instant now) {
  const KeyRef ref = recall(key);
  Entry* entry = lookup(ref, now);
  if (entry == nullptr) return false;
  erase_entry(ref, entry);
  return true;
}

void Keyspace::take_out(const KeyRef& ref, Entry* entry) {
  HashTable& table = table_of(ref);
  table.remove(ref, entry);
  tables_->slots.on_erase(ref.slot);
  tables_->wheel.cancel(*entry);
  --size_;
  entry_bytes_ -= entry->bytes_allocated();
  work_on(table);
}

void Keyspace::erase_entry(const KeyRef& ref, Entry* entry) {
  policy_->on_remove(*entry);
  take_out(ref, entry);
  Entry::destroy(entry);
  refresh_budget();
}

void Keyspace::set_expiry(Entry& entry, std::optional<Instant> at, Instant now) {
  if (!entry.has_expiry_section()) return;
  entry.set_expiry(at);
  if (at) {
    tables_->wheel.schedule(entry, *at, now);
  } else {
    tables_->wheel.cancel(entry);
  }
}

Keyspace::ExpireOutcome Keyspace::expire(std::string_view key, std::optional<Instant> at, Instant now) {
  const KeyRef ref = recall(key);
  Entry* entry = lookup(ref, now);
  if (entry == nullptr) return ExpireOutcome::kMissing;
  if (at && *at <= now) {
    erase_entry(ref, entry);
    return ExpireOutcome::kDone;
  }
  if (at && !entry->has_expiry_section()) {
    entry = reshape(ref, entry,
                    {.key_size = key.size(),
                     .value_size = entry->value().size(),
                     .has_expiry = true,
                     .has_claims = entry->has_claims()},
                    now);
    if (entry == nullptr) return ExpireOutcome::kNoRoom;
  }
  set_expiry(*entry, at, now);
  refresh_budget();
  return ExpireOutcome::kDone;
}

Keyspace::CopyOutcome Keyspace::copy(std::string_view from, std::string_view to, Instant now) {
  Entry* source = peek(from, now);
  if (source == nullptr) return CopyOutcome::kMissing;
  const ValueEncoding encoding = source->encoding();
  Entry* entry = put(to, source->value(), {.expires_at = source->expires_at()}, now);
  if (entry == nullptr) return CopyOutcome::kNoRoom;
  entry->set_encoding(encoding);
  return CopyOutcome::kDone;
}

// --- memory ----------------------------------------------------------------------------------------------------------

bool Keyspace::reserve(uint64_t bytes, Instant now) {
  bool has_room = make_room(bytes, now);
  if (!has_room) ++stats_.refused_for_memory;
  return has_room;
}

bool Keyspace::make_room(uint64_t bytes, Instant now) {
  if (budget_.has_room_for(bytes)) return true;
  if (bytes > budget_.bytes_max) return false;
  const uint64_t entries_before = entry_bytes_ + flushed_bytes_;
  for (uint64_t left = kEvictionsMin + bytes / kBytesPerEviction; left > 0; --left) {
    if (free_flushed(kFreedPerTick) == 0 && !evict_one(now)) return false;
    if (budget_.has_room_for(bytes)) return true;
  }
  // Far above the limit, for it was lowered: good enough if every put brings it nearer.
  return entry_bytes_ + flushed_bytes_ + bytes <= entries_before;
}

bool Keyspace::evict_one(Instant now) {
  Entry* victim = policy_->choose_victim(*this, now);
  if (victim == nullptr) return false;
  const KeyRef ref = refer(victim->key());
  policy_->on_evict(*victim, ref.hash);
  take_out(ref, victim);
  ++(victim->is_expired(now) ? stats_.expired : stats_.evicted);
  Entry::destroy(victim);
  refresh_budget();
  return true;
}

void Keyspace::refresh_budget() {
  budget_.bytes_used = entry_bytes_ + tables_->bytes_used() + policy_->bytes_used() + flushed_bytes_;
  for (const auto& tables : flushed_) budget_.bytes_used += tables->bytes_used();
}

void Keyspace::work_on(HashTable& table) {
  if (table.is_resizing()) stats_.entries_moved += table.step(kEntriesMovedPerChange);
}

size_t Keyspace::bytes_of(const Entry& entry) const {
  constexpr size_t kTimerBytes = 16;
  const size_t table_bytes = size_ == 0 ? 0 : tables_->memory.bytes_used() / size_;
  return entry.bytes_allocated() + table_bytes + (entry.expires_at() ? kTimerBytes : 0);
}

}  // namespace tidemark::cacheserver
