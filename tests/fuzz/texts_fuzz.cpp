// Texts from outside: proofs, snapshots, LSNs, key patterns and topologies. What parses prints back to what parses
// equal.
#include "base/family/key_pattern.h"
#include "base/proof/proof.h"
#include "base/topology/topology_json.h"
#include "tests/fuzz/fuzz.h"

using tidemark::KeyPattern;
using tidemark::Proof;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view text = as_text(data + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      if (auto proof = Proof::parse(text)) FUZZ_CLAIM(Proof::parse(proof->to_string()) == proof);
      break;
    case 1: {
      auto pattern = KeyPattern::parse(text);
      if (!pattern) break;
      std::vector<std::string_view> values(pattern->parameters().size(), "17");
      auto key = pattern->render(values);
      if (key) FUZZ_CLAIM(pattern->match(*key).has_value());
      break;
    }
    case 2:
      if (auto topology = tidemark::decode_topology(text)) {
        auto again = tidemark::decode_topology(tidemark::encode_topology(*topology));
        FUZZ_CLAIM(again && *again == *topology);
      }
      break;
  }
  return 0;
}
