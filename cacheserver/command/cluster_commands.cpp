// CLUSTER, READONLY, READWRITE, ASKING: the topology, as Redis Cluster clients ask for it.
//
// A node without a topology answers as a Redis server without cluster support does.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/parse.h"
#include "base/slot.h"
#include "cacheserver/command/command.h"
#include "cacheserver/command/help.h"
#include "cacheserver/keyspace/keyspace.h"
#include "cacheserver/session/session.h"
#include "cacheserver/worker/cluster_members.h"
#include "cacheserver/worker/worker_view.h"

namespace tidemark::cacheserver {
namespace {

constexpr size_t kKeysListedMax = 1'000'000;  // GETKEYSINSLOT

using Handler = void (*)(CommandContext&, Arguments);

// Only a node of a cluster runs these.
template <Handler handler>
void clustered(CommandContext& context, Arguments arguments) {
  if (!context.worker.is_clustered()) {
    return context.reply.error("ERR This instance has cluster support disabled");
  }
  handler(context, arguments);
}

void readonly(CommandContext& context, Arguments) {
  context.session.is_readonly = true;
  context.reply.ok();
}

void readwrite(CommandContext& context, Arguments) {
  context.session.is_readonly = false;
  context.reply.ok();
}

void asking(CommandContext& context, Arguments) {
  context.session.is_asking = true;
  context.reply.ok();
}

void reply_slots_member(RespWriter& reply, const ClusterMember& member) {
  reply.array(4);
  reply.bulk(member.host);
  reply.integer(member.port);
  reply.bulk(member.id);
  reply.array(0);  // metadata
}

void cluster_slots(CommandContext& context, Arguments) {
  ClusterView view = cluster_view(context.worker.topology());
  size_t ranges = 0;
  for (const ClusterShard& shard : view.shards) ranges += shard.ranges.size();
  context.reply.array(ranges);
  for (const ClusterShard& shard : view.shards) {
    for (const SlotRange& range : shard.ranges) {
      context.reply.array(2 + shard.members.size());
      context.reply.integer(range.first);
      context.reply.integer(range.last);
      for (size_t member : shard.members) reply_slots_member(context.reply, view.members[member]);
    }
  }
}

void reply_shards_member(RespWriter& reply, const ClusterMember& member) {
  reply.map(7);
  reply.bulk("id");
  reply.bulk(member.id);
  reply.bulk("port");
  reply.integer(member.port);
  reply.bulk("ip");
  reply.bulk(member.host);
  reply.bulk("endpoint");
  reply.bulk(member.host);
  reply.bulk("role");
  reply.bulk(member.is_primary() ? "master" : "replica");
  reply.bulk("replication-offset");
  reply.integer(0);
  reply.bulk("health");
  reply.bulk("online");
}

void cluster_shards(CommandContext& context, Arguments) {
  ClusterView view = cluster_view(context.worker.topology());
  context.reply.array(view.shards.size());
  for (const ClusterShard& shard : view.shards) {
    context.reply.map(2);
    context.reply.bulk("slots");
    context.reply.array(shard.ranges.size() * 2);
    for (const SlotRange& range : shard.ranges) {
      context.reply.integer(range.first);
      context.reply.integer(range.last);
    }
    context.reply.bulk("nodes");
    context.reply.array(shard.members.size());
    for (size_t member : shard.members) reply_shards_member(context.reply, view.members[member]);
  }
}

std::string nodes_line(const ClusterMember& member, std::string_view myself) {
  std::string line = fmt::format("{} {}:{}@0 {}{} {} 0 0 {} connected", member.id, member.host, member.port,
                                 member.id == myself ? "myself," : "", member.is_primary() ? "master" : "slave",
                                 member.is_primary() ? "-" : member.primary_id, member.epoch);
  if (!member.is_primary()) return line;
  for (const SlotRange& range : member.ranges) {
    line +=
        range.first == range.last ? fmt::format(" {}", range.first) : fmt::format(" {}-{}", range.first, range.last);
  }
  return line;
}

void cluster_nodes(CommandContext& context, Arguments) {
  std::string text;
  for (const ClusterMember& member : cluster_view(context.worker.topology()).members) {
    text += nodes_line(member, context.worker.cluster_id()) + "\n";
  }
  context.reply.verbatim(text);
}

void cluster_info(CommandContext& context, Arguments) {
  const Topology& topology = context.worker.topology();
  ClusterView view = cluster_view(topology);
  bool is_whole = view.slots_served == kSlotCount;
  size_t size = 0;
  for (const ClusterShard& shard : view.shards) size += shard.ranges.empty() ? 0 : 1;
  context.reply.verbatim(fmt::format(
      "cluster_state:{}\r\ncluster_slots_assigned:{}\r\ncluster_slots_ok:{}\r\ncluster_slots_pfail:0\r\n"
      "cluster_slots_fail:{}\r\ncluster_known_nodes:{}\r\ncluster_size:{}\r\ncluster_current_epoch:{}\r\n"
      "cluster_my_epoch:{}\r\ncluster_stats_messages_sent:0\r\ncluster_stats_messages_received:0\r\n"
      "total_cluster_links_buffer_limit_exceeded:0\r\ntidemark_topology_version:{}\r\n",
      is_whole ? "ok" : "fail", view.slots_assigned, view.slots_served, view.slots_assigned - view.slots_served,
      view.members.size(), size, topology.slots_version, context.worker.group_epoch(), topology.version));
}

void cluster_keyslot(CommandContext& context, Arguments arguments) {
  context.reply.integer(slot_of_key(arguments[2]));
}

void cluster_myid(CommandContext& context, Arguments) {
  context.reply.bulk(context.worker.cluster_id());
}

bool read_slot(CommandContext& context, std::string_view text, Slot& slot) {
  int64_t number = 0;
  if (!read_integer(context, text, number)) return false;
  if (number < 0 || number >= kSlotCount) {
    context.reply.error("ERR Invalid slot");
    return false;
  }
  slot = static_cast<Slot>(number);
  return true;
}

void cluster_countkeysinslot(CommandContext& context, Arguments arguments) {
  Slot slot = 0;
  if (!read_slot(context, arguments[2], slot)) return;
  context.reply.integer(static_cast<int64_t>(context.keyspace.count_in_slot(slot)));
}

void cluster_getkeysinslot(CommandContext& context, Arguments arguments) {
  Slot slot = 0;
  int64_t count = 0;
  if (!read_slot(context, arguments[2], slot) || !read_integer(context, arguments[3], count)) return;
  if (count < 0) return context.reply.error("ERR Invalid slot or number of keys");
  size_t wanted = std::min(static_cast<size_t>(count), kKeysListedMax);
  auto keys = context.keyspace.keys_in_slot(slot, wanted, context.now);
  context.reply.array(keys.size());
  for (std::string_view key : keys) context.reply.bulk(key);
}

void cluster_links(CommandContext& context, Arguments) {
  context.reply.array(0);
}  // there is no cluster bus

void cluster_help(CommandContext& context, Arguments) {
  reply_help(context, "cluster");
}

constexpr std::string_view kGroup = "cluster";
constexpr uint32_t kFlags = kLoading;
constexpr std::array kRows = {
    CommandSpec{"asking", 1, kFast, 0, 0, 0, clustered<asking>, kGroup,
                "Signals that a cluster client is following an -ASK redirect.", "3.0.0"},
    CommandSpec{"readonly", 1, kFast | kLoading, 0, 0, 0, clustered<readonly>, kGroup,
                "Enables read-only queries for a connection to a replica.", "3.0.0"},
    CommandSpec{"readwrite", 1, kFast | kLoading, 0, 0, 0, clustered<readwrite>, kGroup,
                "Ends read-only queries for a connection to a replica.", "3.0.0"},
    CommandSpec{"cluster|countkeysinslot", 3, kFlags, 0, 0, 0, clustered<cluster_countkeysinslot>, kGroup,
                "Returns the number of keys in a hash slot.", "3.0.0"},
    CommandSpec{"cluster|getkeysinslot", 4, kFlags, 0, 0, 0, clustered<cluster_getkeysinslot>, kGroup,
                "Returns the key names in a hash slot.", "3.0.0"},
    CommandSpec{"cluster|help", 2, kFlags, 0, 0, 0, cluster_help, kGroup, "Returns helpful text.", "5.0.0"},
    CommandSpec{"cluster|info", 2, kFlags, 0, 0, 0, clustered<cluster_info>, kGroup,
                "Returns information about the state of the cluster.", "3.0.0"},
    CommandSpec{"cluster|keyslot", 3, kFlags, 0, 0, 0, clustered<cluster_keyslot>, kGroup,
                "Returns the hash slot for a key.", "3.0.0"},
    CommandSpec{"cluster|links", 2, kFlags, 0, 0, 0, clustered<cluster_links>, kGroup,
                "Returns the TCP links of the cluster bus: there is none.", "7.0.0"},
    CommandSpec{"cluster|myid", 2, kFlags, 0, 0, 0, clustered<cluster_myid>, kGroup,
                "Returns the cluster id of this worker.", "3.0.0"},
    CommandSpec{"cluster|nodes", 2, kFlags, 0, 0, 0, clustered<cluster_nodes>, kGroup,
                "Returns the members of the cluster and their slots.", "3.0.0"},
    CommandSpec{"cluster|shards", 2, kFlags, 0, 0, 0, clustered<cluster_shards>, kGroup,
                "Returns the mapping of slots to primaries and replicas.", "7.0.0"},
    CommandSpec{"cluster|slots", 2, kFlags, 0, 0, 0, clustered<cluster_slots>, kGroup,
                "Returns the mapping of slot ranges to members.", "3.0.0"},
};

}  // namespace

std::span<const CommandSpec> cluster_commands() {
  return kRows;
}

}  // namespace tidemark::cacheserver
