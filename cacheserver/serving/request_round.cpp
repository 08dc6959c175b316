#include "cacheserver/serving/request_round.h"

namespace tidemark::cacheserver {

RequestParser::Outcome RequestRound::parse(RequestParser& parser, std::string_view& input) {
  const std::string_view before = input;
  const RequestParser::Outcome outcome = parser.next(input, batch_);
  if (outcome == RequestParser::Outcome::kRequest) {
    requests_.push_back({.input = before, .found = find(batch_[batch_.size() - 1])});
  }
  return outcome;
}

CommandTable::Found RequestRound::find(Arguments arguments) {
  const std::string_view name = arguments[0];
  if (name.size() == last_name_.size() && are_same_bytes(name.data(), last_name_.data(), name.size())) {
    return last_found_;
  }
  return find_anew(arguments);
}

CommandTable::Found RequestRound::find_anew(Arguments arguments) {
  const CommandTable::Found found = table_.find(arguments);
  if (found.kind == CommandTable::Found::Kind::kCommand && !table_.is_container(found.row) &&
      !table_.is_subcommand(found.row)) {
    last_name_.assign(arguments[0]);
    last_found_ = found;
  }
  return found;
}

void RequestRound::load(Keyspace& keyspace) {
  refs_.clear();
  for (size_t i = 0; i < requests_.size(); ++i) refer_to_keys(requests_[i], batch_[i], keyspace);
  if (refs_.size() < 2) return;  // the lookup comes at once
  keyspace.prefetch(refs_);
}

void RequestRound::refer_to_keys(Request& request, Arguments arguments, const Keyspace& keyspace) {
  request.first_ref = static_cast<uint32_t>(refs_.size());
  request.ref_count = 0;
  if (request.found.kind != CommandTable::Found::Kind::kCommand) return;
  const KeyPositions keys = key_positions(table_.spec(request.found.row), arguments.size());
  if (keys.empty()) return;
  if (keys.first == keys.last) [[likely]] {
    if (refs_.size() == kKeysMax) return;
    refs_.push_back(keyspace.refer(arguments[keys.first]));
    request.ref_count = 1;
    return;
  }
  for (size_t at = keys.first; at <= keys.last; at += keys.step) {
    if (request.ref_count == kKeysOfRequestMax || refs_.size() == kKeysMax) return;
    refs_.push_back(keyspace.refer(arguments[at]));
    ++request.ref_count;
  }
}

void RequestRound::clear() {
  batch_.clear();
  requests_.clear();
  refs_.clear();
}

}  // namespace tidemark::cacheserver
