#include "client/testing/scripted_node.h"

#include <algorithm>

#include "base/parse.h"

namespace tidemark::testing {
namespace {

constexpr Lsn kUnknownHi{UINT64_MAX};

// The value behind a named option, from `first` on.
std::optional<std::string> option_of(const std::vector<std::string>& request, size_t first, std::string_view name,
                                     size_t offset = 1) {
  for (size_t i = first; i + offset < request.size(); ++i) {
    if (request[i] == name) return request[i + offset];
  }
  return std::nullopt;
}

bool contains(const Proof& proof, Lsn end, Xid xid) {
  return proof.kind == Proof::Kind::kReplica ? proof.lsn >= end : proof.snapshot.sees(xid);
}

}  // namespace

std::string ScriptedNode::answer(const Request& request, Instant now) {
  std::string out;
  RespWriter writer(out, 3);
  const std::string& command = request.at(0);
  if (command == "GETL" && request.size() >= 2) {
    getl(request, now, writer);
  } else if (command == "SETV" && request.size() >= 5) {
    setv(request, now, writer);
  } else if (command == "INVAL" && request.size() >= 6) {
    const Tombstone tombstone{Lsn::parse(request[3]).value_or(Lsn{}), parse_u64(request[4]).value_or(0)};
    int64_t dropped = 0;
    for (size_t i = 5; i < request.size(); ++i) {
      dropped += entries_.contains(request[i]) ? 1 : 0;
      drop(request[i], tombstone);
    }
    writer.integer(dropped);
  } else if (command == "STAGE" && request.size() >= 8) {
    drop(request[6], {Lsn::parse(request[3]).value_or(Lsn{}), parse_u64(request[4]).value_or(0)});
    writer.simple("DROPPED FULL");
  } else {
    plain(request, now, writer);
  }
  return out;
}

void ScriptedNode::apply(const ScriptedWal::Commit& commit) {
  for (const std::string& key : commit.keys) drop(key, {commit.end, commit.xid});
  complete_through_ = std::max(complete_through_, commit.end);
}

void ScriptedNode::drop(const std::string& key, const Tombstone& tombstone) {
  auto found = entries_.find(key);
  if (found != entries_.end() && found->second.lo < tombstone.end) entries_.erase(found);
  leases_.erase(key);
  Tombstone& known = tombstones_[key];
  if (known.end < tombstone.end) known = tombstone;
}

ScriptedNode::Entry* ScriptedNode::find(const std::string& key, Instant now) {
  auto found = entries_.find(key);
  if (found == entries_.end()) return nullptr;
  if (!found->second.ends || now < *found->second.ends) return &found->second;
  entries_.erase(found);
  return nullptr;
}

void ScriptedNode::getl(const Request& request, Instant now, RespWriter& writer) {
  const std::string& key = request[1];
  const int64_t bound_ms = to_millis(now - fenced_at_) + 1;
  const auto max_stale = option_of(request, 2, "MAXSTALE");
  const auto after = option_of(request, 2, "AFTER", 2);
  const Lsn needed = after ? Lsn::parse(*after).value_or(Lsn{}) : Lsn{};
  Entry* entry = find(key, now);
  if (entry != nullptr && max_stale && bound_ms > parse_i64(*max_stale).value_or(INT64_MAX)) {
    writer.array(3);
    writer.bulk("BYPASS");
    writer.bulk("BEHIND");
    writer.integer(bound_ms);
    return;
  }
  if (entry != nullptr && std::max(entry->lo, complete_through_) >= needed) {
    writer.array(entry->value ? 6 : 5);
    writer.bulk(entry->value ? "HIT" : "ABSENT");
    if (entry->value) writer.bulk(*entry->value);
    writer.integer(bound_ms);
    writer.bulk(entry->lo.to_string());
    writer.bulk(entry->hi.to_string());
    writer.integer(kDbEpoch);
    return;
  }
  auto held = leases_.find(key);
  if (held != leases_.end() && now - held->second.granted < kLeaseLife) {
    writer.array(2);
    writer.bulk("BUSY");
    writer.integer(1);
    return;
  }
  leases_[key] = {"lease-" + std::to_string(++last_lease_), now};
  auto tombstone = tombstones_.find(key);
  const Lsn need = std::max(needed, tombstone == tombstones_.end() ? Lsn{} : tombstone->second.end);
  writer.array(5);
  writer.bulk("MISS");
  writer.bulk(leases_[key].text);
  writer.bulk(need.to_string());
  writer.integer(0);
  writer.bulk(complete_through_.to_string());
}

void ScriptedNode::setv(const Request& request, Instant now, RespWriter& writer) {
  const std::string& key = request[1];
  auto lease = leases_.find(key);
  const bool is_current = lease != leases_.end() && lease->second.text == request[2];
  if (is_current) leases_.erase(lease);
  const auto proof = Proof::parse(request[3]);
  auto tombstone = tombstones_.find(key);
  if (!proof) {
    writer.error("ERR not a proof");
  } else if (!is_current) {
    writer.error("REJECT LEASE it is not the key's current one");
  } else if (proof->db_epoch != kDbEpoch || proof->bucket_epoch != kBucketEpoch) {
    writer.error("REJECT EPOCH 1 1");
  } else if (tombstone != tombstones_.end() && !contains(*proof, tombstone->second.end, tombstone->second.xid)) {
    writer.error("REJECT OLDER " + tombstone->second.end.to_string());
  } else {
    Entry entry;
    if (std::find(request.begin() + 5, request.end(), "NEG") == request.end()) entry.value = request[4];
    entry.lo = proof->kind == Proof::Kind::kReplica ? proof->lsn : complete_through_;
    const auto hi = option_of(request, 5, "HI");
    entry.hi = proof->kind == Proof::Kind::kSnapshot ? proof->lsn
               : hi                                  ? Lsn::parse(*hi).value_or(kUnknownHi)
                                                     : kUnknownHi;
    if (const auto px = option_of(request, 5, "PX")) {
      entry.ends = now + std::chrono::milliseconds(parse_i64(*px).value_or(0));
    }
    entries_[key] = std::move(entry);
    writer.ok();
  }
}

void ScriptedNode::plain(const Request& request, Instant now, RespWriter& writer) {
  const std::string& command = request[0];
  if (command == "GET" && request.size() == 2) {
    const Entry* entry = find(request[1], now);
    entry == nullptr || !entry->value ? writer.null() : writer.bulk(*entry->value);
  } else if (command == "SET" && request.size() >= 3) {
    entries_[request[1]] = {request[2], {}, kUnknownHi, std::nullopt};
    writer.ok();
  } else if (command == "DEL" || command == "UNLINK") {
    int64_t dropped = 0;
    for (size_t i = 1; i < request.size(); ++i) {
      dropped += static_cast<int64_t>(entries_.erase(request[i]));
      leases_.erase(request[i]);
    }
    writer.integer(dropped);
  } else {
    writer.error("ERR the make-believe node does not know '" + command + "'");
  }
}

}  // namespace tidemark::testing
