// SQLSTATE -> our error codes: what a caller may do after a failed statement.
// Threads: pure. I/O: none.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "shardrouter/sql/statement.h"

namespace tidemark::shardrouter {

// SH001 keeps its detail at the end of the message, for refusal_of().
Error error_of_sqlstate(std::string_view sqlstate, std::string_view message, std::string_view detail);

// True for the states after which the session is gone or useless: class 08, 57P0x.
bool is_connection_sqlstate(std::string_view sqlstate);

// The first word of a statement in capitals, opening parentheses skipped; empty if it begins otherwise.
std::string first_word(std::string_view sql);

// True if the statement can change the database by itself. What begins with SELECT, SHOW, VALUES, TABLE, EXPLAIN, FETCH
// is taken for a read; WITH is not, for it may hold an UPDATE.
bool may_write(std::string_view sql);
bool is_commit(std::string_view sql);           // COMMIT or END
bool is_begin(std::string_view sql);            // BEGIN or START TRANSACTION
bool is_begin_read_only(std::string_view sql);  // … with READ ONLY in it

// For each statement of the pipeline, in order over its groups: could the database have changed once it was executed?
// That is a COMMIT of a transaction not declared READ ONLY, and a write outside of BEGIN … COMMIT; nothing of kRead.
std::vector<bool> commit_points(const Pipeline& pipeline);

}  // namespace tidemark::shardrouter
