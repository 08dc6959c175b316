#include "base/topology/bootstrap.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/parse.h"
#include "base/topology/placement.h"
#include "base/topology/topology_check.h"

namespace tidemark {
namespace {

std::unexpected<Error> bad_spec(std::string_view text, const std::string& why) {
  return fail(ErrorCode::kInvalidArgument,
              "node \"" + std::string(text) + "\": " + why + "; the form is ID[@HOST][/WORKERS][*WEIGHT]");
}

// Cuts what stands behind the last `mark` off `rest`; empty if there is no mark.
std::string_view cut_behind(std::string_view& rest, char mark) {
  size_t at = rest.rfind(mark);
  if (at == std::string_view::npos) return {};
  std::string_view tail = rest.substr(at + 1);
  rest = rest.substr(0, at);
  return tail;
}

void add_node(Topology& topology, const NodeSpec& spec) {
  auto node = std::ranges::find(topology.nodes, spec.id, &Node::id);
  if (node == topology.nodes.end()) {
    topology.nodes.push_back({.id = spec.id, .host = spec.host, .worker_ports = {}, .workers = spec.workers});
  } else if (node->host != spec.host || node->workers != spec.workers) {
    node->host = spec.host;
    node->workers = spec.workers;
    node->worker_ports.clear();  // they belonged to the old place; the node registers the new ones
    node->metrics_port = 0;
  }
}

void add_group(Topology& topology, const NodeSpec& spec) {
  auto is_member = [&](const Group& group) { return std::ranges::find(group.nodes, spec.id) != group.nodes.end(); };
  auto group = std::ranges::find_if(topology.groups, is_member);
  if (group == topology.groups.end()) {
    topology.groups.push_back({.id = "g-" + spec.id, .nodes = {spec.id}, .weight = spec.weight});
  } else if (group->nodes.front() == spec.id) {
    group->weight = spec.weight;
  }
}

}  // namespace

Result<NodeSpec> parse_node_spec(std::string_view text, uint32_t default_workers) {
  NodeSpec spec{.id = {}, .workers = default_workers};
  std::string_view rest = text;
  if (rest.find('*') != std::string_view::npos) {
    std::string_view weight = cut_behind(rest, '*');
    auto [end, error] = std::from_chars(weight.data(), weight.data() + weight.size(), spec.weight);
    if (error != std::errc() || end != weight.data() + weight.size() || !std::isfinite(spec.weight) ||
        spec.weight < 0) {
      return bad_spec(text, "the weight is no number of 0 or more");
    }
  }
  if (rest.find('/') != std::string_view::npos) {
    auto workers = parse_u64(cut_behind(rest, '/'));
    if (!workers || *workers == 0 || *workers > kWorkersPerNodeMax) {
      return bad_spec(text, "workers must be from 1 to " + std::to_string(kWorkersPerNodeMax));
    }
    spec.workers = static_cast<uint32_t>(*workers);
  }
  if (rest.find('@') != std::string_view::npos) {
    spec.host = cut_behind(rest, '@');
    if (spec.host.empty()) return bad_spec(text, "the host is empty");
  }
  spec.id = rest;
  if (spec.id.empty()) return bad_spec(text, "the id is empty");
  return spec;
}

Status add_nodes(Topology& topology, const std::vector<NodeSpec>& specs) {
  Topology next = topology;
  for (const NodeSpec& spec : specs) {
    if (std::ranges::count(specs, spec.id, &NodeSpec::id) > 1) {
      return fail(ErrorCode::kInvalidArgument, "node \"" + spec.id + "\" is named twice");
    }
    add_node(next, spec);
    add_group(next, spec);
  }
  if (Status checked = check_topology(next); !checked) return checked;
  if (std::ranges::none_of(next.groups, [](const Group& group) { return group.weight > 0; })) {
    return fail(ErrorCode::kInvalidArgument, "no group of positive weight would be left to serve the slots");
  }
  SlotPlan plan = plan_slots(next.slot_groups, next.groups);
  if (!plan.moves.empty()) ++next.slots_version;
  next.slot_groups = std::move(plan.slot_groups);
  topology = std::move(next);
  return {};
}

}  // namespace tidemark
