#include "cacheserver/keyspace/keyspace.h"

#include <array>
#include <cstring>
#include <utility>

#include "base/invariant.h"
#include "cacheserver/keyspace/keyspace_tables.h"

namespace tidemark::cacheserver {
namespace {

// APPEND and SETRANGE get spare room in far values, so that one that grows byte by byte is not copied each time.
constexpr size_t kSpareBytesMax = 1 << 20;

bool is_plain(const Keyspace::PutOptions& options) {
  return !options.expires_at && !options.keep_expiry && options.claims == nullptr;
}

}  // namespace

Result<std::unique_ptr<Keyspace>> Keyspace::open(const Options& options) {
  auto keyspace = std::make_unique<Keyspace>(Options{.memory_bytes_max = options.memory_bytes_max,
                                                     .policy = std::string(kDefaultEvictor),
                                                     .hash_seed = options.hash_seed});
  if (Status set = keyspace->set_policy(options.policy, Instant{}); !set) return std::unexpected(set.error());
  return keyspace;
}

Keyspace::Keyspace(const Options& options)
    : hash_seed_(options.hash_seed),
      tables_(make_tables(options.memory_bytes_max, options.hash_seed)),
      random_state_(options.hash_seed | 1) {
  auto evictor = make_evictor(options.policy, tables_->heap.memory(), *this);
  INVARIANT(evictor.has_value(), options.policy);
  evictor_ = std::move(*evictor);
  set_memory_limit(options.memory_bytes_max);
}

Keyspace::~Keyspace() = default;

HashTable& Keyspace::table_of(const KeyRef& ref) const {
  return tables_->of(ref.slot);
}

// --- lookups ---------------------------------------------------------------------------------------------------------

Entry* Keyspace::find_entry(const KeyRef& ref) const {
  const ItemId id = table_of(ref).find(ref);
  return id == kNoItem ? nullptr : &tables_->at(id);
}

Entry* Keyspace::lookup(const KeyRef& ref, Instant now) {
  Entry* entry = find_entry(ref);
  hashed_entry_ = entry;
  hashed_ = ref.hash;
  if (entry == nullptr || !entry->is_expired(now)) return entry;
  ++stats_.expired;
  erase_entry(ref, *entry);
  hashed_entry_ = nullptr;
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
  const uint64_t hash = &entry == hashed_entry_ ? hashed_ : hash64(entry.key(), hash_seed_);
  evictor_->on_hit(tables_->id_of(entry), hash, now);
}

void Keyspace::count_miss() {
  ++stats_.misses;
}

void Keyspace::prefetch(std::string_view key) const {
  KeyRef ref = refer(key);
  table_of(ref).prefetch(ref);
}

KeyRef Keyspace::refer(std::string_view key) const {
  const KeyRef ref = KeyRef::of(key, hash_seed_);
  table_of(ref).prefetch_table();
  return ref;
}

// Misses of one kind side by side: the lines of the tables, then the entries, then those of full groups once more.
void Keyspace::prefetch(std::span<const KeyRef> refs) const {
  for (; !refs.empty(); refs = refs.subspan(std::min(refs.size(), kPrefetchedAtOnce))) {
    const auto some = refs.first(std::min(refs.size(), kPrefetchedAtOnce));
    for (const KeyRef& ref : some) table_of(ref).prefetch(ref);
    std::array<const KeyRef*, kPrefetchedAtOnce> behind;
    size_t behind_count = 0;
    for (const KeyRef& ref : some) {
      if (!table_of(ref).prefetch_entry(ref)) behind[behind_count++] = &ref;
    }
    for (size_t i = 0; i < behind_count; ++i) table_of(*behind[i]).prefetch_entry_behind(*behind[i]);
  }
}

// The one behind it, once more from the beginning, or one that was not expected.
KeyRef Keyspace::recall_another(std::string_view key) {
  for (size_t i : {expected_at_ + 1, size_t{0}}) {
    if (!is_expected(i, key)) continue;
    expected_at_ = i;
    return expected_[i];
  }
  return refer(key);
}

// --- writing ---------------------------------------------------------------------------------------------------------

Entry* Keyspace::refuse() {
  ++stats_.refused_for_memory;
  return nullptr;
}

// The entry of `ref`, in the draft's shape. Its encoding is text, its claims are zero, its timer is not set. nullptr:
// no room, and what was there still is, but for what was evicted on the way.
Entry* Keyspace::write(const KeyRef& ref, const Draft& draft, Instant now) {
  if (ref.key.size() > kKeyBytesMax || draft.shape.value_size > kValueBytesMax ||
      (!table_of(ref).make_place() && find_entry(ref) == nullptr)) {
    return refuse();
  }
  const size_t bytes = Entry::bytes_needed(draft.shape);
  const bool needs_far = draft.shape.is_far() && draft.received == nullptr;  // what was received is counted already
  const size_t far_bytes = needs_far ? std::max(draft.capacity, draft.shape.value_size) : 0;
  // Making room moves and evicts entries: what this write reads from one of them is copied first.
  std::string key_kept, content_kept;
  KeyRef stable = ref;
  Draft made = draft;
  const FarHold source(tables_->far_of(draft.content));
  if (!has_block(bytes, far_bytes, Depth::kNormal)) {
    if (tables_->heap.contains(ref.key.data())) stable.key = key_kept.assign(ref.key);
    if (tables_->heap.contains(draft.content.data())) made.content = content_kept.assign(draft.content);
    if (!make_room(bytes, far_bytes, now)) return refuse();
  }
  FarValue* far = needs_far ? make_far(far_bytes) : draft.received;
  if (needs_far && far == nullptr) return refuse();
  if (draft.received != nullptr) adopt(draft.received);
  return place(stable, made, far, now);
}

// There is room for it.
Entry* Keyspace::place(const KeyRef& ref, const Draft& draft, FarValue* far, Instant now) {
  const Entry::Shape& shape = draft.shape;
  const ItemId id = tables_->heap.allocate(Entry::bytes_needed(shape));
  INVARIANT(id != kNoItem, shape.key_size, shape.value_size);
  Entry& fresh = tables_->at(id);
  fresh.form(shape);
  if (!ref.key.empty()) std::memcpy(fresh.key_mutable(), ref.key.data(), ref.key.size());
  if (far != nullptr) {
    fresh.set_far_value(far);
    tables_->add_far(far);
  }
  const size_t kept = std::min(shape.value_size, draft.content.size());
  if (kept > 0 && draft.received == nullptr) std::memcpy(fresh.value_mutable(), draft.content.data(), kept);
  if (kept < shape.value_size) std::memset(fresh.value_mutable() + kept, 0, shape.value_size - kept);

  HashTable& table = table_of(ref);
  if (Entry* old = find_entry(ref)) {
    take_over(ref, *old, fresh, now);
  } else {
    table.insert({fresh.key(), ref.hash, ref.slot}, id);
    tables_->slots.on_insert(ref.slot);
    ++size_;
    evictor_->on_insert(id, ref.hash, weight_of(fresh), now);
  }
  work_on(table);
  refresh_budget();
  if (++placed_ % kPlacedPerPressure == 0) evictor_->set_pressure(budget_.bytes_used, budget_.bytes_max);
  return &fresh;
}

// The same key's fresh entry stands where the old one stood, in the table and with the policy.
void Keyspace::take_over(const KeyRef& ref, Entry& old, Entry& fresh, Instant now) {
  const ItemId from = tables_->id_of(old), to = tables_->id_of(fresh);
  tables_->wheel.cancel(old);
  fresh.word0 = old.word0;
  fresh.word1 = old.word1;
  fresh.set_policy_marks(old.policy_marks());
  evictor_->on_move(from, to);
  evictor_->on_resize(to, weight_of(old), weight_of(fresh));
  evictor_->on_hit(to, ref.hash, now);
  table_of(ref).replace(ref, from, to);
  destroy(old);
}

bool Keyspace::write_in_place(Entry& old, const Entry::Shape& shape, std::string_view value) {
  if (shape.has_claims != old.has_claims() || shape.has_expiry != old.has_expiry_section()) return false;
  if (shape.is_far() != old.is_far() || (!shape.is_far() && shape.is_small() == old.is_wide())) return false;
  if (shape.value_size == old.value_bytes() && !shape.is_far()) {  // the common case: nothing about the block changes
    if (!value.empty()) std::memmove(old.value_mutable(), value.data(), value.size());
    return true;
  }
  const uint32_t weight = weight_of(old);
  const ItemId id = tables_->id_of(old);
  if (shape.is_far()) {
    FarValue* far = old.far_value();
    if (far->is_shared() || shape.value_size > far->capacity() || shape.value_size < far->capacity() / 2) return false;
  } else if (!tables_->heap.refit(id, Entry::bytes_needed(shape))) {
    return false;
  }
  if (!value.empty()) std::memmove(old.value_mutable(), value.data(), value.size());
  old.set_value_size(shape.value_size);
  if (const uint32_t changed = weight_of(old); changed != weight) evictor_->on_resize(id, weight, changed);
  return true;
}

// The entry holds what was received instead of its old value.
void Keyspace::relink(Entry& old, FarValue* received, size_t size) {
  const uint32_t weight = weight_of(old);
  FarValue* before = old.far_value();
  adopt(received);
  old.set_far_value(received);
  old.set_value_size(size);
  tables_->add_far(received);
  release_far(before);
  if (const uint32_t changed = weight_of(old); changed != weight) {
    evictor_->on_resize(tables_->id_of(old), weight, changed);
  }
  refresh_budget();
}

Entry* Keyspace::put(std::string_view key, std::string_view value, const PutOptions& options, Instant now) {
  const KeyRef ref = recall(key);
  const FarHold source(tables_->far_of(value));
  if (is_untidy() && !tables_->heap.contains(key.data()) && !tables_->heap.contains(value.data())) {
    tidy(now, !options.keep_expiry);
  }
  Entry* old = lookup(ref, now);
  if (old != nullptr && is_plain(options) && old->is_plain_text(value.size())) {  // the common case
    if (!value.empty()) std::memmove(old->value_mutable(), value.data(), value.size());
    evictor_->on_hit(tables_->id_of(*old), ref.hash, now);
    return old;
  }
  auto expires_at = options.expires_at;
  if (options.keep_expiry) expires_at = old != nullptr ? old->expires_at() : std::nullopt;
  const Entry::Shape shape{.key_size = key.size(),
                           .value_size = value.size(),
                           .has_expiry = expires_at.has_value(),
                           .has_claims = options.claims != nullptr};
  FarValue* received = received_at(value);
  Entry* entry = old;
  if (received != nullptr && old != nullptr && old->is_far() && shape.has_claims == old->has_claims() &&
      shape.has_expiry == old->has_expiry_section()) {
    relink(*old, received, value.size());
    evictor_->on_hit(tables_->id_of(*old), ref.hash, now);
  } else if (received == nullptr && old != nullptr && write_in_place(*old, shape, value)) {
    evictor_->on_hit(tables_->id_of(*old), ref.hash, now);
  } else {
    entry = write(ref, {.shape = shape, .content = value, .received = received}, now);
    if (entry == nullptr) return nullptr;
  }
  entry->set_encoding(ValueEncoding::kText);
  if (options.claims != nullptr) entry->set_claims(*options.claims);
  set_expiry(*entry, expires_at, now);
  return entry;
}

Entry* Keyspace::resize(std::string_view key, size_t size, Instant now) {
  const KeyRef ref = recall(key);
  if (is_untidy()) tidy(now, false);
  Entry* old = lookup(ref, now);
  if (old == nullptr) return write(ref, {.shape = {.key_size = key.size(), .value_size = size}}, now);
  const size_t old_size = old->value().size();
  const Entry::Shape shape{.key_size = key.size(), .value_size = size, .has_expiry = old->has_expiry_section()};
  if (write_in_place(*old, shape, {})) {
    if (size > old_size) std::memset(old->value_mutable() + old_size, 0, size - old_size);
    evictor_->on_hit(tables_->id_of(*old), ref.hash, now);
    return old;
  }
  const auto expires_at = old->expires_at();
  const ValueEncoding encoding = old->encoding();
  const size_t capacity = size > old_size ? std::min(size + std::min(size, kSpareBytesMax), kValueBytesMax) : size;
  Entry* entry = write(ref, {.shape = shape, .content = old->value(), .capacity = capacity}, now);
  if (entry == nullptr) return nullptr;
  entry->set_encoding(encoding);
  set_expiry(*entry, expires_at, now);
  return entry;
}

Keyspace::CopyOutcome Keyspace::copy(std::string_view from, std::string_view to, Instant now) {
  if (is_untidy()) tidy(now, false);
  Entry* source = peek(from, now);
  if (source == nullptr) return CopyOutcome::kMissing;
  const ValueEncoding encoding = source->encoding();
  Entry* entry = put(to, source->value(), {.expires_at = source->expires_at()}, now);
  if (entry == nullptr) return CopyOutcome::kNoRoom;
  entry->set_encoding(encoding);
  return CopyOutcome::kDone;
}

// --- erasing and expiring --------------------------------------------------------------------------------------------

bool Keyspace::erase(std::string_view key, Instant now) {
  const KeyRef ref = recall(key);
  Entry* entry = lookup(ref, now);
  if (entry == nullptr) return false;
  erase_entry(ref, *entry);
  return true;
}

void Keyspace::take_out(const KeyRef& ref, Entry& entry) {
  HashTable& table = table_of(ref);
  table.remove(ref, tables_->id_of(entry));
  tables_->slots.on_erase(ref.slot);
  tables_->wheel.cancel(entry);
  --size_;
  work_on(table);
}

void Keyspace::destroy(Entry& entry) {
  if (&entry == hashed_entry_) hashed_entry_ = nullptr;
  if (entry.is_far()) release_far(entry.far_value());
  tables_->heap.release(tables_->id_of(entry));
}

void Keyspace::erase_entry(const KeyRef& ref, Entry& entry) {
  evictor_->on_remove(tables_->id_of(entry), weight_of(entry));
  take_out(ref, entry);
  destroy(entry);
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
    erase_entry(ref, *entry);
    return ExpireOutcome::kDone;
  }
  if (at && !entry->has_expiry_section()) {
    Entry::Shape shape = entry->shape();
    shape.has_expiry = true;
    const auto claims = entry->has_claims() ? std::optional(entry->claims()) : std::nullopt;
    const ValueEncoding encoding = entry->encoding();
    entry = write(ref, {.shape = shape, .content = entry->value()}, now);
    if (entry == nullptr) return ExpireOutcome::kNoRoom;
    entry->set_encoding(encoding);
    if (claims) entry->set_claims(*claims);
  }
  set_expiry(*entry, at, now);
  return ExpireOutcome::kDone;
}

void Keyspace::work_on(HashTable& table) {
  if (table.is_resizing()) stats_.entries_moved += table.step(kEntriesMovedPerChange);
}

}  // namespace tidemark::cacheserver
