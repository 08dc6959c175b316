// All entries of one worker: find, put, erase, expire, scan, evict, count.
//
//     Keyspace keyspace({.memory_bytes_max = 64 << 20, .policy = "lru", .hash_seed = random});
//     keyspace.put("k", "v", {.expires_at = now + 10s}, now);
//     if (Entry* entry = keyspace.find("k", now)) reply.bulk(entry->value());
//
// Time is told: `now` is steady. An expired entry is never seen: a lookup erases it (lazy), tick() erases the rest
// (active). Memory: the limit is on what the system gave, so it holds at every moment but for that; put() takes a free
// block of the size, else it evicts (what has expired first), and a small reserve below the limit (1/64 of it) serves
// what finds no block of its size; as much again is overdrawn before a write is refused that could evict. Holes between
// blocks are bounded: entries of sparse chunks move together, a few per call. Without a victim put() returns nullptr. A
// scan visits every entry that is there from its first to its last call, whatever grows or shrinks between, and no
// entry twice unless it was erased and put again (scan() says how).
//
// Bounds per call: kEntriesMovedPerChange entries of table growth, kTimersPerTick timers, kChunksDroppedPerTick chunks
// of a flush, kBlocksMovedPerStep blocks of compaction per step, and from one begin_turn() to the next no more
// than kBlocksMovedPerTurn, unless a write would be refused else; evictions and steps are proportional to the bytes
// asked for. Limits: a key has up to kKeyBytesMax bytes; a keyspace up to 64 GiB (Options). Lifetime: an Entry& lives
// until the next call that puts, erases, expires, reserves or ticks. Threads: one worker's own. I/O: none.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/slot.h"
#include "cacheserver/entry/entry.h"
#include "cacheserver/entry/far_spares.h"
#include "cacheserver/eviction/evictor.h"
#include "cacheserver/keyspace/hash_table.h"
#include "cacheserver/keyspace/memory_budget.h"

namespace tidemark::cacheserver {

struct KeyspaceStats {
  uint64_t hits = 0, misses = 0;
  uint64_t expired = 0;  // lazily and actively
  uint64_t evicted = 0;
  uint64_t refused_for_memory = 0;
  uint64_t entries_moved = 0;  // by growth and shrinking of tables
};

class Keyspace final : private ItemSource, private BlockMover {
 public:
  struct Options {
    uint64_t memory_bytes_max = 0;  // 0 = no limit but the heap's (16 GiB)
    std::string policy = std::string(kDefaultEvictor);
    uint64_t hash_seed = 0;  // random in a server, so that nobody can choose colliding keys
  };
  static Result<std::unique_ptr<Keyspace>> open(const Options& options);
  explicit Keyspace(const Options& options);  // requires a policy name that make_evictor knows
  ~Keyspace();
  Keyspace(const Keyspace&) = delete;
  Keyspace& operator=(const Keyspace&) = delete;

  // --- lookups -------------------------------------------------------------------------------------------------------
  // For a command that reads: counts a hit or a miss and tells the eviction policy.
  Entry* find(std::string_view key, Instant now);
  // Looks without leaving a trace. Pair with count_hit/count_miss once the caller knows whether the entry serves.
  Entry* peek(std::string_view key, Instant now);
  void count_hit(Entry& entry, Instant now);
  void count_miss();
  // Starts loading the cache lines of a key that will be looked up soon.
  void prefetch(std::string_view key) const;

  // --- looking ahead -------------------------------------------------------------------------------------------------
  // Of many keys at once: refer to all, then prefetch all, then look them up.
  KeyRef refer(std::string_view key) const;  // begins to load the table
  void prefetch(std::span<const KeyRef> refs) const;
  // The keys that the coming calls name, in this order: a call with the same bytes at the same address does not hash
  // them again. Holds until the next expect(); the refs and the bytes of their keys stay as they are until then.
  void expect(std::span<const KeyRef> refs) {
    expected_ = refs;
    expected_at_ = 0;
  }
  // refer(), or what was expected.
  KeyRef recall(std::string_view key) {
    return is_expected(expected_at_, key) ? expected_[expected_at_] : recall_another(key);
  }

  // --- changes -------------------------------------------------------------------------------------------------------
  struct PutOptions {
    std::optional<Instant> expires_at = std::nullopt;
    bool keep_expiry = false;             // an existing entry's expiry stays; expires_at is ignored then
    const EntryClaims* claims = nullptr;  // a fill from a database
  };
  // Installs or replaces. nullptr: no room and nothing to evict; then nothing has changed but what was evicted.
  // `key` and `value` may be views into this keyspace's own entries.
  Entry* put(std::string_view key, std::string_view value, const PutOptions& options, Instant now);
  Entry* put(std::string_view key, std::string_view value, Instant now) { return put(key, value, PutOptions{}, now); }
  // Gives the entry a value of `size` bytes: the old value's beginning, then zeros. Creates it if missing; expiry
  // stays; claims go. nullptr: no room.
  Entry* resize(std::string_view key, size_t size, Instant now);
  bool erase(std::string_view key, Instant now);  // true if there was a live entry
  // `at` <= now erases; nothing: never expires.
  enum class ExpireOutcome { kDone, kMissing, kNoRoom };
  ExpireOutcome expire(std::string_view key, std::optional<Instant> at, Instant now);
  // Puts a copy of value and expiry under another key, replacing what is there. Claims are about a key and stay behind.
  enum class CopyOutcome { kDone, kMissing, kNoRoom };
  CopyOutcome copy(std::string_view from, std::string_view to, Instant now);

  // The one on its way that `value` is the content of, and which is counted already; nullptr: it has come in another
  // way.
  FarValue* received_at(std::string_view value) const;
  // --- large values received in place --------------------------------------------------------------------------------
  // Memory for a value of `bytes` that is about to arrive, so that put() of just these bytes links it instead of
  // copying. It counts as used, and what must go for it goes now. nullptr: too small or too large for this, too much is
  // under way (kReceivedBytesMax, and a sixteenth of the limit), or no room; then receive the value elsewhere.
  FarValue* begin_receive(size_t bytes, Instant now);
  // Ends the caller's hold, once nothing looks at the bytes any more, whatever became of them.
  void end_receive(FarValue* value);

  // Evicts until `bytes` more fit. False: they do not, and nothing (more) can be evicted.
  bool reserve(uint64_t bytes, Instant now);
  // O(1): the tables are put aside and freed bit by bit by tick() and reserve().
  void flush();

  // --- iteration -----------------------------------------------------------------------------------------------------
  // Appends the live entries of the next few buckets to `out`, until there are `wanted` or a few more. Start with
  // cursor 0; 0 comes back at the end. A cursor is a place in hash order, which no growth or shrinking changes.
  // Fewer than `wanted` may come when many buckets are empty.
  uint64_t scan(uint64_t cursor, size_t wanted, Instant now, std::vector<const Entry*>& out) const;
  const Entry* random(Instant now);      // nullptr if empty; close to uniform
  size_t size() const { return size_; }  // entries, those that expired unnoticed included
  size_t size_with_expiry() const;
  size_t count_in_slot(Slot slot) const;
  std::vector<std::string_view> keys_in_slot(Slot slot, size_t count_max, Instant now) const;
  // Erases entries of a slot, expired ones too, until `entries_max` or a few more have gone or its table's next
  // kPurgeGroups were looked at. Start with cursor 0, go on with what came back; 0: all that were there have gone.
  struct Purge {
    uint64_t cursor = 0;
    size_t erased = 0;
  };
  Purge purge_slot(Slot slot, uint64_t cursor, size_t entries_max);
  static constexpr size_t kPurgeGroups = 128;

  // --- upkeep --------------------------------------------------------------------------------------------------------
  // Compaction may again move kBlocksMovedPerTurn blocks and kBytesMovedPerTurn bytes. Call it before each round of
  // requests that run together; a tick is a turn of its own.
  void begin_turn();
  // Bounded upkeep: active expiry, deferred frees, growth, compaction. Call every few milliseconds. True if work is
  // left over.
  bool tick(Instant now);
  void set_memory_limit(uint64_t bytes_max);
  // One pass over all entries, unbounded: an operator's rare command.
  Status set_policy(std::string_view name, Instant now);
  const MemoryBudget& memory() const { return budget_; }
  MemoryReport memory_report() const;
  const KeyspaceStats& stats() const { return stats_; }
  void reset_stats() { stats_ = {}; }
  std::string_view policy_name() const { return evictor_->name(); }
  // For OBJECT IDLETIME and OBJECT FREQ; nothing when the policy does not track it.
  std::optional<uint64_t> idle_seconds(const Entry& entry, Instant now) const;
  std::optional<uint64_t> frequency(const Entry& entry) const;
  size_t bytes_of(const Entry& entry) const;  // with its share of the tables
  void check() const;                         // of the heap: stops the process if it is not sound; for tests

  static constexpr size_t kPrefetchedAtOnce = 64;
  static constexpr size_t kReceivedValueMax = size_t{4} << 20;   // of one value that is received in place
  static constexpr size_t kReceivedBytesMax = size_t{32} << 20;  // of all that are on their way
  static constexpr size_t kSparesBytesMax = size_t{16} << 20;    // of far values kept for the next ones
  static constexpr uint64_t kReceivedShare = 16;                 // of the limit: at most 1/16 each for these two
  static constexpr size_t kEntriesMovedPerChange = 128;
  static constexpr size_t kTimersPerTick = 512;
  static constexpr size_t kChunksDroppedPerTick = 2;
  static constexpr size_t kReclaimsPerTick = 256;
  static constexpr size_t kBlocksMovedPerStep = 16;
  static constexpr size_t kBlocksMovedPerTick = 256;
  static constexpr size_t kBytesMovedPerStep = size_t{64} << 10;
  static constexpr size_t kBlocksMovedPerTurn = 1536;
  static constexpr size_t kBytesMovedPerTurn = size_t{512} << 10;
  static constexpr uint64_t kPlacedPerPressure = 64;  // writes between two words to the policy about the memory left
  static constexpr unsigned kChunkHolesPercent = 15;  // a chunk with fewer holes is not worth moving
  static constexpr unsigned kHolesPercent = 10;       // of what is held: beyond, compaction goes on without need
  static constexpr size_t kScanGroupsPerEntry =
      10;  // empty groups a scan passes per wanted entry, at least kScanGroupsMin
  static constexpr size_t kScanGroupsMin = 1024;

 private:
  struct Tables;

  static std::unique_ptr<Tables> make_tables(uint64_t memory_bytes_max, uint64_t seed);
  bool is_expected(size_t at, std::string_view key) const {
    return at < expected_.size() && expected_[at].key.data() == key.data() && expected_[at].key.size() == key.size();
  }
  KeyRef recall_another(std::string_view key);
  HashTable& table_of(const KeyRef& ref) const;
  Entry* find_entry(const KeyRef& ref) const;
  Entry* lookup(const KeyRef& ref, Instant now);  // erases an expired entry

  uint64_t hash_of(ItemId id) override;
  uint32_t bytes_of(ItemId id) override;
  ItemId sample();
  void on_entry_moved(ItemId from, ItemId to) override;
  void on_raw_moved(ItemId from, ItemId to) override;

  // What a write puts into an entry: `content` and zeros up to the shape's value size.
  struct Draft {
    Entry::Shape shape;
    std::string_view content{};
    size_t capacity = 0;           // of a far value; 0: the value's size
    FarValue* received = nullptr;  // that holds the content already
  };
  Entry* write(const KeyRef& ref, const Draft& draft, Instant now);
  Entry* place(const KeyRef& ref, const Draft& draft, FarValue* far, Instant now);
  void take_over(const KeyRef& ref, Entry& old, Entry& fresh, Instant now);
  void relink(Entry& old, FarValue* received, size_t size);
  void adopt(FarValue* received);
  FarValue* make_far(size_t bytes);
  void release_far(FarValue* value);
  bool write_in_place(Entry& old, const Entry::Shape& shape, std::string_view value);
  Entry* refuse();
  void set_expiry(Entry& entry, std::optional<Instant> at, Instant now);
  void take_out(const KeyRef& ref, Entry& entry);  // out of table, counts and timers; not freed
  void destroy(Entry& entry);
  void erase_entry(const KeyRef& ref, Entry& entry);
  void work_on(HashTable& table);

  // --- keyspace_memory.cpp ---
  uint32_t weight_of(const Entry& entry) const;  // bytes, far value included
  bool evict_one(Instant now);
  bool make_room(size_t bytes, size_t far_bytes, Instant now);
  enum class Depth : uint8_t { kNormal, kReserve, kOverdraft };
  bool has_block(size_t bytes, size_t far_bytes, Depth depth);
  bool reclaim_for(size_t bytes, size_t far_bytes, Instant now);
  bool reclaim(Instant now);
  bool compact(size_t blocks_max);
  bool is_turn_spent() const { return blocks_left_ == 0 || bytes_left_ == 0; }
  bool drop_flushed();
  bool drop_spares(size_t far_bytes);
  bool is_short() const;   // the reserve is in use
  bool is_untidy() const;  // tidy() has something to do
  void tidy(Instant now, bool may_evict);
  uint64_t reserve_bytes() const;
  uint64_t bytes_beside_heap() const;
  void refresh_budget();

  uint64_t hash_seed_;
  std::span<const KeyRef> expected_;
  size_t expected_at_ = 0;
  MemoryBudget budget_;
  KeyspaceStats stats_;
  std::unique_ptr<Tables> tables_;
  std::unique_ptr<Evictor> evictor_;             // after tables_: it reads their memory
  std::deque<std::unique_ptr<Tables>> flushed_;  // being given back
  std::vector<FarValue*> received_;              // on their way, held by begin_receive's callers
  size_t received_bytes_ = 0;
  FarSpares spares_;
  size_t size_ = 0;
  uint64_t random_state_;
  size_t next_idle_table_ = 0;
  uint64_t placed_ = 0;
  size_t blocks_left_ = kBlocksMovedPerTurn, bytes_left_ = kBytesMovedPerTurn;  // of compaction, in this turn
  const Entry* hashed_entry_ = nullptr;  // of the last lookup, with its key's hash: a hit does not hash again
  uint64_t hashed_ = 0;
};

}  // namespace tidemark::cacheserver
