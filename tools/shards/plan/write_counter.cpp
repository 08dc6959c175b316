#include "tools/shards/plan/write_counter.h"

#include "base/parse.h"
#include "replication/wal/pgoutput_decoder.h"

namespace tidemark::shards {

using namespace replication;

Status WriteCounter::add(std::string_view message) {
  const auto decoded = decode_pgoutput(message);
  if (!decoded) return std::unexpected(decoded.error());
  const auto count_tuple = [this](RelationId relation, const Tuple& tuple) {
    const auto column = bucket_columns_.find(relation);
    if (column == bucket_columns_.end() || column->second >= tuple.size()) return;
    if (tuple[column->second].kind == TupleColumn::Kind::kText) count_text(tuple[column->second].text);
  };
  if (const auto* relation = std::get_if<RelationMessage>(&*decoded)) {
    bucket_columns_.erase(relation->id);
    for (size_t i = 0; i < relation->columns.size(); ++i)
      if (relation->columns[i].name == "bucket") bucket_columns_[relation->id] = i;
  } else if (const auto* insert = std::get_if<InsertMessage>(&*decoded)) {
    count_tuple(insert->relation, insert->after);
  } else if (const auto* update = std::get_if<UpdateMessage>(&*decoded)) {
    count_tuple(update->relation, update->after);
  } else if (const auto* removal = std::get_if<DeleteMessage>(&*decoded)) {
    count_tuple(removal->relation, removal->before);
  }
  return {};
}

void WriteCounter::count_text(std::string_view text) {
  if (const auto bucket = parse_u64(text); bucket && *bucket < kBucketCount) ++counts_[*bucket];
}

}  // namespace tidemark::shards
