#include "tools/shards/shards_file.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>

namespace tidemark::shards {
namespace {

using Json = nlohmann::json;

std::unexpected<Error> wrong(const std::string& place, const std::string& what) {
  return fail(ErrorCode::kInvalidArgument, "shards file: " + place + ": " + what);
}

std::string trimmed_line(std::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

Result<std::string> text_of(const Json& object, const std::string& place, const char* name) {
  if (!object.is_object() || !object.contains(name) || !object[name].is_string() ||
      object[name].get<std::string>().empty())
    return wrong(place, fmt::format("\"{}\" must be a text that is not empty", name));
  return object[name].get<std::string>();
}

// What is wrong with a conninfo that must not name these keywords; libpq itself says what it holds.
std::optional<std::string> fault_of_conninfo(const std::string& conninfo,
                                             std::initializer_list<std::string_view> banned) {
  if (conninfo.starts_with("postgres://") || conninfo.starts_with("postgresql://"))
    return "must be keywords (host=… port=… dbname=…), not a URI";
  char* message = nullptr;
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(
      PQconninfoParse(conninfo.c_str(), &message), &PQconninfoFree);
  const std::unique_ptr<char, decltype(&PQfreemem)> owned(message, &PQfreemem);
  if (!options) return fmt::format("cannot be read by libpq ({})", message ? trimmed_line(message) : "out of memory");
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option)
    if (option->val != nullptr && std::ranges::find(banned, std::string_view(option->keyword)) != banned.end())
      return fmt::format("must not name a {}", option->keyword);
  return std::nullopt;
}

Result<ShardServer> server_of(const Json& json, const std::string& place) {
  const auto name = text_of(json, place, "name");
  if (!name) return std::unexpected(name.error());
  const auto role = text_of(json, place, "role");
  if (!role) return std::unexpected(role.error());
  const auto conninfo = text_of(json, place, "conninfo");
  if (!conninfo) return std::unexpected(conninfo.error());
  if (*role != "primary" && *role != "replica")
    return wrong(place, "\"role\" must be primary or replica, not " + *role);
  if (auto wrong_with = fault_of_conninfo(*conninfo, {"user", "password", "passfile", "sslpassword"}))
    return wrong(place, "\"conninfo\" " + *wrong_with + ": it is stored in the topology, which every client reads");
  return ShardServer{*name, *role == "primary" ? ShardServer::Role::kPrimary : ShardServer::Role::kReplica, *conninfo};
}

Result<AdminShard> shard_of(const Json& json, const std::string& place) {
  if (!json.is_object() || !json.contains("id") || !json["id"].is_number_unsigned() ||
      json["id"].get<uint64_t>() > 65535)
    return wrong(place, "\"id\" must be a number from 0 to 65535");
  AdminShard shard;
  shard.shard.id = json["id"].get<ShardId>();
  const auto admin = text_of(json, place, "admin");
  if (!admin) return std::unexpected(admin.error());
  if (auto wrong_with = fault_of_conninfo(*admin, {"password", "sslpassword"}))
    return wrong(place, "\"admin\" " + *wrong_with + " (a password belongs into a passfile=…)");
  shard.admin = *admin;
  if (!json.contains("servers") || !json["servers"].is_array()) return wrong(place, "\"servers\" must be a list");
  size_t primaries = 0;
  for (size_t i = 0; i < json["servers"].size(); ++i) {
    const auto server = server_of(json["servers"][i], fmt::format("{}.servers[{}]", place, i));
    if (!server) return std::unexpected(server.error());
    if (server->role == ShardServer::Role::kPrimary) ++primaries;
    shard.shard.servers.push_back(*server);
  }
  if (primaries != 1) return wrong(place, fmt::format("{} primaries are given, exactly one is needed", primaries));
  return shard;
}

}  // namespace

Result<std::string> read_text_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorCode::kNotFound, path.string() + ": cannot be opened");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

Result<std::vector<AdminShard>> read_shards_file(const std::filesystem::path& path) {
  const auto text = read_text_file(path);
  if (!text) return std::unexpected(text.error());
  auto shards = parse_shards_file(*text);
  if (!shards) return std::unexpected(shards.error().with_context(path.string()));
  return shards;
}

Result<std::vector<AdminShard>> parse_shards_file(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return fail(ErrorCode::kInvalidArgument, "shards file: not JSON");
  if (!json.is_object() || !json.contains("shards") || !json["shards"].is_array() || json["shards"].empty())
    return wrong("top", "\"shards\" must be a list that is not empty");
  std::vector<AdminShard> shards;
  std::set<ShardId> ids;
  std::set<std::string> names;
  for (size_t i = 0; i < json["shards"].size(); ++i) {
    auto shard = shard_of(json["shards"][i], fmt::format("shards[{}]", i));
    if (!shard) return std::unexpected(shard.error());
    if (!ids.insert(shard->shard.id).second)
      return wrong("shards", fmt::format("id {} is given twice", shard->shard.id));
    for (const ShardServer& server : shard->shard.servers)
      if (!names.insert(server.name).second) return wrong("shards", "server name " + server.name + " is given twice");
    shards.push_back(std::move(*shard));
  }
  return shards;
}

}  // namespace tidemark::shards
