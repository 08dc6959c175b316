#include "tools/localcluster/cluster_state.h"

#include <array>
#include <fstream>
#include <nlohmann/json.hpp>

namespace tidemark::localcluster {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;
constexpr int kFormat = 1;
constexpr std::array<std::pair<Kind, std::string_view>, 8> kKinds{{{Kind::kPostgresPrimary, "postgres-primary"},
                                                                   {Kind::kPostgresReplica, "postgres-replica"},
                                                                   {Kind::kNode, "node"},
                                                                   {Kind::kInvalidator, "invalidator"},
                                                                   {Kind::kCatalog, "catalog"},
                                                                   {Kind::kSession, "session"},
                                                                   {Kind::kOrder, "order"},
                                                                   {Kind::kRelay, "relay"}}};

Kind kind_of(const std::string& text) {
  for (const auto& [kind, name] : kKinds)
    if (name == text) return kind;
  throw std::invalid_argument("unknown kind " + text);  // caught in load_state
}

Json encode(const ProcessId& id) {
  return {{"pid", id.pid}, {"start_time", id.start_time}};
}
ProcessId decode_process(const Json& json) {
  return {json.at("pid").get<int>(), json.at("start_time").get<uint64_t>()};
}

Json encode(const Environment& environment) {
  Json json = Json::object();
  for (const auto& [name, value] : environment) json[name] = value;
  return json;
}
Environment decode_environment(const Json& json) {
  Environment environment;
  for (const auto& [name, value] : json.items()) environment.emplace_back(name, value.get<std::string>());
  return environment;
}

Json encode(const Member& member) {
  Json paused = Json::array();
  for (const ProcessId& id : member.paused) paused.push_back(encode(id));
  return {{"name", member.name},
          {"kind", to_string(member.kind)},
          {"process", encode(member.process)},
          {"ports", member.ports},
          {"metrics_port", member.metrics_port},
          {"log", member.log.string()},
          {"ready_file", member.ready_file.string()},
          {"primary", member.primary},
          {"shard", member.shard},
          {"paused", paused},
          {"argv", member.argv},
          {"environment", encode(member.environment)}};
}

Member decode_member(const Json& json) {
  Member member;
  member.name = json.at("name").get<std::string>();
  member.kind = kind_of(json.at("kind").get<std::string>());
  member.process = decode_process(json.at("process"));
  member.ports = json.at("ports").get<std::vector<uint16_t>>();
  member.metrics_port = json.at("metrics_port").get<uint16_t>();
  member.log = json.at("log").get<std::string>();
  member.ready_file = json.at("ready_file").get<std::string>();
  member.primary = json.at("primary").get<std::string>();
  member.shard = json.at("shard").get<uint32_t>();
  for (const Json& one : json.at("paused")) member.paused.push_back(decode_process(one));
  member.argv = json.at("argv").get<std::vector<std::string>>();
  member.environment = decode_environment(json.value("environment", Json::object()));
  return member;
}

ClusterState decode(const Json& json) {
  if (json.at("format").get<int>() != kFormat) throw std::invalid_argument("unknown format");
  ClusterState state;
  state.directory = json.at("directory").get<std::string>();
  state.binaries = json.at("binaries").get<std::string>();
  state.place.root = json.at("postgres_root").get<std::string>();
  state.place.binaries = json.at("postgres_binaries").get<std::string>();
  state.start_timeout_ms = json.at("start_timeout_ms").get<int64_t>();
  state.terminate_timeout_ms = json.at("terminate_timeout_ms").get<int64_t>();
  state.environment = decode_environment(json.at("environment"));
  for (const Json& one : json.at("processes")) state.members.push_back(decode_member(one));
  return state;
}

}  // namespace

std::string_view to_string(Kind kind) {
  for (const auto& [value, name] : kKinds)
    if (value == kind) return name;
  return "unknown";
}

Status save_state(const ClusterState& state) {
  Json json{{"format", kFormat},
            {"directory", state.directory.string()},
            {"binaries", state.binaries.string()},
            {"postgres_root", state.place.root.string()},
            {"postgres_binaries", state.place.binaries.string()},
            {"start_timeout_ms", state.start_timeout_ms},
            {"terminate_timeout_ms", state.terminate_timeout_ms},
            {"environment", encode(state.environment)},
            {"processes", Json::array()}};
  for (const Member& member : state.members) json["processes"].push_back(encode(member));
  const fs::path temporary = state.directory / "cluster.json.new";
  std::ofstream file(temporary);
  file << json.dump(2) << "\n";
  file.close();
  std::error_code error;
  if (file) fs::rename(temporary, state.file(), error);
  if (!file || error) return fail(ErrorCode::kUnavailable, state.file().string() + ": cannot be written");
  return {};
}

Result<ClusterState> load_state(const fs::path& directory) {
  std::ifstream file(directory / "cluster.json");
  if (!file)
    return fail(ErrorCode::kNotFound, (directory / "cluster.json").string() + ": no cluster was started there");
  try {
    return decode(Json::parse(file));
  } catch (const std::exception& error) {
    return fail(ErrorCode::kCorrupt, (directory / "cluster.json").string() + ": " + error.what());
  }
}

}  // namespace tidemark::localcluster
