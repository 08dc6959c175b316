// One blocking libpq session, for tools: connect, ask, done. Errors name the server and carry the SQLSTATE.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "shardrouter/sql/statement.h"

namespace tidemark::shards {

class PgSession {
 public:
  static constexpr int kConnectTimeoutSeconds = 5;
  static constexpr const char* kLockTimeout = "5s";  // a tool that waits for locks makes others wait behind it

  // `name` is what errors call the server. `passfile` may be empty.
  static Result<PgSession> connect(std::string name, const std::string& conninfo, const std::string& passfile = "");

  Result<shardrouter::ResultSet> query(const std::string& sql, std::vector<std::optional<std::string>> params = {});
  Result<std::string> value(const std::string& sql,
                            std::vector<std::optional<std::string>> params = {});  // first cell; NULL: ""
  Status run(const std::string& sql, std::vector<std::optional<std::string>> params = {});
  Result<shardrouter::ResultSet> script(
      const std::string& sql);  // many statements, no parameters; the last one's result

  std::string quote(std::string_view name);  // an identifier
  // The SCRAM verifier of a password, made here: the password itself is never sent.
  Result<std::string> scram_verifier(const std::string& role, const std::string& password);

 private:
  struct Closer {
    void operator()(void* connection) const;
  };
  PgSession(std::string name, void* connection) : name_(std::move(name)), connection_(connection) {}
  std::string name_;
  std::unique_ptr<void, Closer> connection_;
};

}  // namespace tidemark::shards
