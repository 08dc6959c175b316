// Puts together what was seen (answer log), what was acknowledged and what was committed, and judges it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "bench/macro/commit_stream.h"
#include "bench/macro/demo_summary.h"
#include "bench/macro/fault_report.h"
#include "bench/macro/io/row_writer.h"

namespace tidemark::bench {

struct Evidence {
  const std::vector<RowCommit>* commits = nullptr;  // in commit order, from before the import on
  std::vector<AcknowledgedWrite> other_writes;      // psql's
  std::vector<std::string> imported;                // names whose import was acknowledged
  std::filesystem::path answers;                    // the shop's log
  const std::vector<std::string>* names = nullptr;
  std::vector<FaultWindow> windows;
};

// Fills the summary's tally, losses and errors.
Status judge(const Evidence& evidence, DemoSummary& summary);

}  // namespace tidemark::bench
