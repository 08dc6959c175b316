#include "bench/macro/demo/judge.h"

#include <fmt/format.h>

#include "base/slot.h"
#include "bench/macro/io/answer_log_file.h"

namespace tidemark::bench {
namespace {

constexpr size_t kLostExamplesMax = 10;

// Groups the error records of one request (they stand together in the log) and hands them to the report.
class ErrorGrouper {
 public:
  ErrorGrouper(FaultReport& report, const std::vector<std::string>& names) : report_(report), names_(names) {}

  void add(const AnswerRecord& record) {
    if (has_error_ && record.request != error_.request) flush();
    error_ = record;
    has_error_ = true;
    if (record.product != kNoProduct)
      slots_.push_back(slot_of_key(fmt::format("product:{{{}}}", names_[record.product])));
  }
  void flush() {
    if (has_error_) report_.add(error_, slots_);
    slots_.clear();
    has_error_ = false;
  }

 private:
  FaultReport& report_;
  const std::vector<std::string>& names_;
  AnswerRecord error_;
  bool has_error_ = false;
  std::vector<uint16_t> slots_;
};

Result<AnswerLogEnd> for_each_known(const Evidence& evidence, const std::function<void(const AnswerRecord&)>& visit) {
  bool is_known = true;
  auto end = read_answer_log(evidence.answers, [&](const AnswerRecord& record) {
    const bool names_none = record.kind == RecordKind::kError && record.product == kNoProduct;
    if (names_none || record.product < evidence.names->size()) return visit(record);
    is_known = false;
  });
  if (end && !is_known) return fail(ErrorCode::kCorrupt, "the answer log names a product that is not in the list");
  return end;
}

}  // namespace

Status judge(const Evidence& evidence, DemoSummary& summary) {
  const std::vector<std::string>& names = *evidence.names;
  StaleOracle oracle;
  for (const RowCommit& commit : *evidence.commits)
    if (commit.table == 0) oracle.add(commit);
  for (const AcknowledgedWrite& write : evidence.other_writes)
    oracle.acknowledge(names[write.product], write.version, write.at_us);

  FaultReport faults(evidence.windows);
  ErrorGrouper errors(faults, names);
  auto end = for_each_known(evidence, [&](const AnswerRecord& record) {
    if (record.kind == RecordKind::kWritten) oracle.acknowledge(names[record.product], record.version, record.end_us);
    if (record.kind == RecordKind::kError) errors.add(record);
  });
  if (!end) return std::unexpected(end.error());
  errors.flush();

  // Only now are all completions known: a second reading for the answers.
  end = for_each_known(evidence, [&](const AnswerRecord& record) {
    if (record.kind != RecordKind::kAnswer && record.kind != RecordKind::kAbsent) return;
    const std::string& name = names[record.product];
    summary.tally.add(name, record, oracle.judge(name, record));
  });
  if (!end) return std::unexpected(end.error());

  uint64_t imports_lost = 0;
  for (const std::string& name : evidence.imported) {
    if (oracle.has_row(name)) continue;
    ++imports_lost;
    if (summary.lost_examples.size() < kLostExamplesMax)
      summary.lost_examples.push_back(fmt::format("{} (imported)", name));
  }
  summary.lost = oracle.lost() + imports_lost;
  summary.acknowledged = oracle.acknowledged() + evidence.imported.size();
  summary.commits = oracle.commits();
  for (auto& example : oracle.lost_examples(kLostExamplesMax - summary.lost_examples.size())) {
    summary.lost_examples.push_back(std::move(example));
  }
  summary.errors_in_window = faults.in_window();
  summary.errors_outside_window = faults.outside_window();
  summary.errors_warmup = faults.warmup();
  summary.errors_other_slots = faults.other_slots();
  return {};
}

}  // namespace tidemark::bench
