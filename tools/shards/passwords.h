// The roles' passwords: libpq passfiles of mode 0600, made once, read again by every later run.
//
//   --passfile F          one file with a line per role
//   --passwords-dir DIR   DIR/<role>.pgpass, so that each program is given its own role's only
//
// A line is "*:*:*:<role>:<password>". Passwords are 32 random bytes in hex. They are sent to Postgres only as a SCRAM
// verifier computed here, in a session that logs no statements.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace tidemark::shards {

struct PasswordPlace {
  std::filesystem::path passfile;  // one of the two
  std::filesystem::path directory;
};

class Passwords {
 public:
  // Reads what is there; refuses files that others may read.
  static Result<Passwords> open(PasswordPlace place, const std::vector<std::string>& roles);

  bool is_known(const std::string& role) const { return passwords_.contains(role); }
  const std::string& get(const std::string& role) const { return passwords_.at(role); }
  void generate(const std::string& role);
  Status save() const;  // atomically, mode 0600

 private:
  PasswordPlace place_;
  std::map<std::string, std::string> passwords_;
};

}  // namespace tidemark::shards
