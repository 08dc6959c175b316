#include "base/topology/topology_json.h"

#include <cmath>
#include <initializer_list>
#include <nlohmann/json.hpp>

#include "base/family/family_check.h"
#include "base/invariant.h"
#include "base/topology/topology_check.h"

namespace tidemark {
namespace {

using Json = nlohmann::ordered_json;

// One object of the document; remembers where it stands, so that every refusal names its place.
class Reader {
 public:
  Reader(const Json& json, std::string place, std::optional<Error>& error)
      : json_(json), place_(std::move(place)), error_(error) {
    if (!json_.is_object()) refuse("an object is needed here");
  }

  void refuse(const std::string& why) const {
    if (!error_) error_ = Error{ErrorCode::kCorrupt, "topology: " + place_ + ": " + why};
  }

  // A name we do not know is a document of a newer format or a slip of the pen; both would be lost on the next write.
  void allow_only(std::initializer_list<std::string_view> names) const {
    if (!json_.is_object()) return;
    for (const auto& [name, value] : json_.items()) {
      if (std::find(names.begin(), names.end(), name) == names.end()) refuse("unknown field \"" + name + "\"");
    }
  }

  bool has(const char* name) const { return json_.is_object() && json_.contains(name); }

  std::string text(const char* name) const {
    const Json* value = find(name);
    if (value == nullptr) return {};
    if (!value->is_string()) refuse(std::string(name) + " must be a text");
    return value->is_string() ? value->get<std::string>() : std::string();
  }

  uint64_t number(const char* name, uint64_t max, std::optional<uint64_t> fallback = {}) const {
    if (fallback && !has(name)) return *fallback;
    const Json* value = find(name);
    if (value == nullptr) return 0;
    if (!value->is_number_unsigned() || value->get<uint64_t>() > max) {
      refuse(std::string(name) + " must be a whole number from 0 to " + std::to_string(max));
      return 0;
    }
    return value->get<uint64_t>();
  }

  double weight(const char* name) const {
    if (!has(name)) return 1.0;
    const Json& value = json_.at(name);
    if (!value.is_number()) refuse(std::string(name) + " must be a number");
    return value.is_number() ? value.get<double>() : 0;
  }

  std::vector<std::string> texts(const char* name) const {
    std::vector<std::string> out;
    for (const Json* item : items(name)) {
      if (!item->is_string())
        refuse(std::string(name) + " must hold texts");
      else
        out.push_back(item->get<std::string>());
    }
    return out;
  }

  std::vector<const Json*> items(const char* name) const {
    std::vector<const Json*> out;
    const Json* value = find(name);
    if (value == nullptr) return out;
    if (!value->is_array())
      refuse(std::string(name) + " must be a list");
    else
      for (const Json& item : *value) out.push_back(&item);
    return out;
  }

  template <typename Read>
  void each(const char* name, Read read) const {
    size_t index = 0;
    for (const Json* item : items(name)) {
      read(Reader(*item, std::string(name) + "[" + std::to_string(index++) + "]", error_));
    }
  }

 private:
  const Json* find(const char* name) const {
    if (!has(name)) {
      refuse(std::string(name) + " is missing");
      return nullptr;
    }
    return &json_.at(name);
  }

  const Json& json_;
  std::string place_;
  std::optional<Error>& error_;
};

Node read_node(const Reader& in) {
  in.allow_only({"id", "host", "workers", "worker_ports", "metrics_port"});
  Node node{.id = in.text("id"), .host = in.text("host"), .worker_ports = {}};
  node.workers = static_cast<uint32_t>(in.number("workers", kWorkersPerNodeMax));
  for (const Json* port : in.items("worker_ports")) {
    if (!port->is_number_unsigned() || port->get<uint64_t>() > 65535)
      in.refuse("worker_ports must hold numbers from 0 to 65535");
    else
      node.worker_ports.push_back(port->get<uint16_t>());
  }
  node.metrics_port = static_cast<uint16_t>(in.number("metrics_port", 65535, 0));
  return node;
}

Group read_group(const Reader& in) {
  in.allow_only({"id", "epoch", "weight", "nodes"});
  return {.id = in.text("id"),
          .epoch = static_cast<uint32_t>(in.number("epoch", UINT32_MAX)),
          .nodes = in.texts("nodes"),
          .weight = in.weight("weight")};
}

Shard read_shard(const Reader& in) {
  in.allow_only({"id", "servers"});
  Shard shard{.id = static_cast<ShardId>(in.number("id", UINT16_MAX)), .servers = {}};
  in.each("servers", [&](const Reader& server) {
    server.allow_only({"name", "role", "conninfo"});
    std::string role = server.text("role");
    if (role != "primary" && role != "replica") server.refuse("role must be primary or replica, not \"" + role + "\"");
    shard.servers.push_back({.name = server.text("name"),
                             .role = role == "primary" ? ShardServer::Role::kPrimary : ShardServer::Role::kReplica,
                             .conninfo = server.text("conninfo")});
  });
  return shard;
}

// Calls set(index) for each index of the object's from..to, which must lie beyond the last range and below `count`.
template <typename Set>
void read_range(const Reader& in, uint32_t count, uint32_t& next, Set set) {
  auto from = static_cast<uint32_t>(in.number("from", count - 1));
  auto to = static_cast<uint32_t>(in.number("to", count - 1));
  if (from < next || to < from) {
    in.refuse("ranges must ascend and not overlap: " + std::to_string(from) + ".." + std::to_string(to));
    return;
  }
  for (uint32_t i = from; i <= to; ++i) set(i);
  next = to + 1;
}

void read_slots(const Reader& in, Topology& topology) {
  topology.slot_groups.assign(kSlotCount, kNoGroup);
  uint32_t next = 0;
  in.each("slots", [&](const Reader& range) {
    range.allow_only({"from", "to", "group"});
    std::string id = range.text("group");
    uint16_t index = 0;
    while (index < topology.groups.size() && topology.groups[index].id != id) ++index;
    if (index == topology.groups.size()) range.refuse("group \"" + id + "\" is not in groups");
    read_range(range, kSlotCount, next, [&](uint32_t slot) { topology.slot_groups[slot] = index; });
  });
}

void read_buckets(const Reader& in, Topology& topology) {
  topology.buckets.assign(kBucketCount, {});
  uint32_t next = 0;
  in.each("buckets", [&](const Reader& range) {
    range.allow_only({"from", "to", "shard", "epoch"});
    BucketOwner owner{.shard = static_cast<ShardId>(range.number("shard", UINT16_MAX)),
                      .epoch = static_cast<BucketEpoch>(range.number("epoch", UINT32_MAX))};
    uint32_t from = next;
    read_range(range, kBucketCount, next, [&](uint32_t bucket) { topology.buckets[bucket] = owner; });
    if (range.number("from", kBucketCount - 1) != from)
      range.refuse("buckets must be whole: a range must start at " + std::to_string(from));
  });
  if (next != kBucketCount) in.refuse("buckets must be whole: they end at " + std::to_string(next) + " of 4096");
}

Family read_family(const Reader& in) {
  in.allow_only({"name", "pattern", "table", "key_columns", "ttl_ms", "negative_ttl_ms", "max_stale_ms"});
  Family family{.name = in.text("name"), .pattern = in.text("pattern"), .table = {}, .key_columns = {}};
  if (in.has("table")) family.table = in.text("table");
  if (in.has("key_columns")) family.key_columns = in.texts("key_columns");
  family.ttl_ms = in.number("ttl_ms", kFamilyMillisMax, family.ttl_ms);
  family.negative_ttl_ms = in.number("negative_ttl_ms", kFamilyMillisMax, family.negative_ttl_ms);
  family.max_stale_ms = in.number("max_stale_ms", kFamilyMillisMax, family.max_stale_ms);
  return family;
}

LaneLease read_lane(const Reader& in) {
  in.allow_only({"lane", "owner", "holder", "until_ms"});
  return {.lane = static_cast<uint32_t>(in.number("lane", UINT32_MAX)),
          .owner = in.text("owner"),
          .holder = in.text("holder"),
          .until = {static_cast<int64_t>(in.number("until_ms", INT64_MAX))}};
}

Json write_lanes(const Topology& topology) {
  Json list = Json::array();
  for (const LaneLease& lease : topology.lanes) {
    list.push_back(
        {{"lane", lease.lane}, {"owner", lease.owner}, {"holder", lease.holder}, {"until_ms", lease.until.value}});
  }
  return list;
}

Json write_family(const Family& family) {
  return {{"name", family.name},
          {"pattern", family.pattern},
          {"table", family.table},
          {"key_columns", family.key_columns},
          {"ttl_ms", family.ttl_ms},
          {"negative_ttl_ms", family.negative_ttl_ms},
          {"max_stale_ms", family.max_stale_ms}};
}

Json write_families(const std::vector<Family>& families) {
  Json list = Json::array();
  for (const Family& family : families) list.push_back(write_family(family));
  return list;
}

Json write_nodes(const Topology& topology) {
  Json list = Json::array();
  for (const Node& node : topology.nodes) {
    list.push_back({{"id", node.id},
                    {"host", node.host},
                    {"workers", node.workers},
                    {"worker_ports", node.worker_ports},
                    {"metrics_port", node.metrics_port}});
  }
  return list;
}

Json write_shards(const Topology& topology) {
  Json list = Json::array();
  for (const Shard& shard : topology.shards) {
    Json servers = Json::array();
    for (const ShardServer& server : shard.servers) {
      const char* role = server.role == ShardServer::Role::kPrimary ? "primary" : "replica";
      servers.push_back({{"name", server.name}, {"role", role}, {"conninfo", server.conninfo}});
    }
    list.push_back({{"id", shard.id}, {"servers", servers}});
  }
  return list;
}

// Runs of equal values as [{"from": …, "to": …, …describe(value)}]; describe() gives null for values left out.
template <typename T, typename Describe>
Json write_ranges(const std::vector<T>& values, Describe describe) {
  Json list = Json::array();
  for (size_t from = 0; from < values.size();) {
    size_t to = from;
    while (to + 1 < values.size() && values[to + 1] == values[from]) ++to;
    Json range = {{"from", from}, {"to", to}};
    Json more = describe(values[from]);
    if (!more.is_null()) {
      range.update(more);
      list.push_back(std::move(range));
    }
    from = to + 1;
  }
  return list;
}

// One line per field, lists one line per item: a diff of two versions shows what changed and nothing else.
std::string print(const Json& document) {
  std::string out = "{";
  bool first = true;
  for (const auto& [name, value] : document.items()) {
    out += std::string(first ? "" : ",") + "\n  " + Json(name).dump() + ": ";
    first = false;
    if (!value.is_array() || value.empty()) {
      out += value.dump();
      continue;
    }
    out += "[";
    for (size_t i = 0; i < value.size(); ++i) out += std::string(i == 0 ? "" : ",") + "\n    " + value[i].dump();
    out += "\n  ]";
  }
  return out + "\n}\n";
}

Result<Json> parse_document(std::string_view text) {
  Json document = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) return fail(ErrorCode::kCorrupt, "topology: the text is not JSON");
  return document;
}

}  // namespace

std::string encode_topology(const Topology& topology) {
  Status checked = check_topology(topology);
  INVARIANT(checked, checked ? std::string() : checked.error().message);
  Json document = {{"format", kTopologyFormat},
                   {"version", topology.version},
                   {"slots_version", topology.slots_version},
                   {"nodes", write_nodes(topology)},
                   {"groups", Json::array()}};
  for (const Group& group : topology.groups) {
    document["groups"].push_back(
        {{"id", group.id}, {"epoch", group.epoch}, {"weight", group.weight}, {"nodes", group.nodes}});
  }
  if (!topology.slot_groups.empty()) {
    document["slots"] = write_ranges(topology.slot_groups, [&](uint16_t group) {
      return group == kNoGroup ? Json() : Json{{"group", topology.groups[group].id}};
    });
  }
  document["shards"] = write_shards(topology);
  if (!topology.buckets.empty()) {
    document["buckets"] = write_ranges(topology.buckets, [](const BucketOwner& owner) {
      return Json{{"shard", owner.shard}, {"epoch", owner.epoch}};
    });
  }
  document["families_version"] = topology.families_version;
  document["families"] = write_families(topology.families);
  if (!topology.lanes.empty()) document["lanes"] = write_lanes(topology);
  return print(document);
}

Result<Topology> decode_topology(std::string_view json) {
  Result<Json> document = parse_document(json);
  if (!document) return std::unexpected(document.error());
  std::optional<Error> error;
  Reader in(*document, "document", error);
  if (in.number("format", UINT32_MAX) != static_cast<uint64_t>(kTopologyFormat)) {
    in.refuse("its format is not " + std::to_string(kTopologyFormat) + ", the one this program reads");
  }
  in.allow_only({"format", "version", "slots_version", "nodes", "groups", "slots", "shards", "buckets",
                 "families_version", "families", "lanes"});
  Topology topology;
  topology.version = in.number("version", UINT64_MAX);
  topology.slots_version = static_cast<uint32_t>(in.number("slots_version", UINT32_MAX));
  in.each("nodes", [&](const Reader& node) { topology.nodes.push_back(read_node(node)); });
  in.each("groups", [&](const Reader& group) { topology.groups.push_back(read_group(group)); });
  if (in.has("slots")) read_slots(in, topology);
  in.each("shards", [&](const Reader& shard) { topology.shards.push_back(read_shard(shard)); });
  if (in.has("buckets")) read_buckets(in, topology);
  topology.families_version = in.number("families_version", UINT64_MAX);
  in.each("families", [&](const Reader& family) { topology.families.push_back(read_family(family)); });
  if (in.has("lanes")) in.each("lanes", [&](const Reader& lane) { topology.lanes.push_back(read_lane(lane)); });
  if (error) return std::unexpected(*error);
  Status checked = check_topology(topology);
  if (!checked) return fail(ErrorCode::kCorrupt, checked.error().message);
  return topology;
}

std::string encode_families(const std::vector<Family>& families) {
  return print(Json{{"families", write_families(families)}});
}

Result<std::vector<Family>> decode_families(std::string_view json) {
  Result<Json> document = parse_document(json);
  if (!document) return std::unexpected(document.error().with_context("families file"));
  std::optional<Error> error;
  Reader in(*document, "families file", error);
  in.allow_only({"families"});
  std::vector<Family> families;
  in.each("families", [&](const Reader& family) { families.push_back(read_family(family)); });
  if (error) return fail(ErrorCode::kInvalidArgument, error->message);
  Status checked = check_families(families);
  if (!checked) return std::unexpected(checked.error());
  return families;
}

}  // namespace tidemark
