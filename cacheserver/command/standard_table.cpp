#include "cacheserver/command/command_table.h"

namespace tidemark::cacheserver {

const CommandTable& CommandTable::standard() {
  static const CommandTable table = [] {
    const std::span<const CommandSpec> parts[] = {string_commands(),  key_commands(),        freshness_commands(),
                                                  cluster_commands(), connection_commands(), server_commands()};
    return CommandTable(parts);
  }();
  return table;
}

}  // namespace tidemark::cacheserver
