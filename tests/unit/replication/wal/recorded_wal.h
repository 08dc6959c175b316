// Messages of a real PostgreSQL 15.20 walsender (pgoutput, proto_version 1, messages 'true'), recorded as they came.
//
//   shop.product(sku text primary key, v int, big text STORAGE EXTERNAL)
//   shop.orders(id int8 primary key, bucket int, customer_id int8, note text)  REPLICA IDENTITY USING INDEX (bucket,
//   customer_id, id) shop.fullrow(a int, b text)  REPLICA IDENTITY FULL       shop.typed(id int primary key, m
//   shop.mood)  an enum
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tidemark::replication {

struct RecordedMessage {
  std::string_view scene;  // the statement that made it
  std::string bytes;
};

inline std::string from_hex(std::string_view hex) {
  auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) bytes += static_cast<char>(digit(hex[i]) * 16 + digit(hex[i + 1]));
  return bytes;
}

inline const std::vector<RecordedMessage>& recorded_messages() {
  static const std::vector<RecordedMessage> messages = {
      {"insert", from_hex("420000000001553680000303feb4bb9923000002da")},
      {"insert",
       from_hex("520000400173686f700070726f647563740064000301736b750000000019ffffffff00760000000017ffffffff006269"
                "670000000019ffffffff")},
      {"insert", from_hex("49000040014e0003740000000562726561647400000001317400001388") + std::string(5000, 'x')},
      {"insert", from_hex("4300000000000155368000000000015536b0000303feb4bb9923")},
      {"update_same_key", from_hex("420000000001553748000303feb4c1bb23000002db")},
      {"update_same_key", from_hex("55000040014e00037400000005627265616474000000013275")},
      {"update_same_key", from_hex("430000000000015537480000000001553778000303feb4c1bb23")},
      {"update_new_key", from_hex("420000000001553858000303feb4c7ea2e000002dc")},
      {"update_new_key", from_hex("55000040014b0003740000000562726561646e6e4e0003740000000362756e74000000013275")},
      {"update_new_key", from_hex("430000000000015538580000000001553888000303feb4c7ea2e")},
      {"delete", from_hex("420000000001553970000303feb4ce09a1000002dd")},
      {"delete", from_hex("44000040014b0003740000000362756e6e6e")},
      {"delete", from_hex("4300000000000155397000000000015539a0000303feb4ce09a1")},
      {"orders", from_hex("420000000001553cb0000303feb4d433f1000002de")},
      {"orders",
       from_hex("520000400873686f70006f7264657273006900040169640000000014ffffffff016275636b65740000000017ffffffff"
                "01637573746f6d65725f69640000000014ffffffff006e6f74650000000019ffffffff")},
      {"orders", from_hex("49000040084e00047400000001317400000002373774000000013574000000016e")},
      {"orders",
       from_hex("55000040084b0004740000000131740000000237377400000001356e4e00047400000001317400000002373774000000"
                "013674000000016e")},
      {"orders", from_hex("44000040084b0004740000000131740000000237377400000001366e")},
      {"orders", from_hex("43000000000001553cb00000000001553ce0000303feb4d433f1")},
      {"full", from_hex("420000000001553db0000303feb4da53d0000002df")},
      {"full", from_hex("520000401073686f700066756c6c726f770066000201610000000017ffffffff01620000000019ffffffff")},
      {"full", from_hex("49000040104e00027400000001316e")},
      {"full", from_hex("55000040104f00027400000001316e4e00027400000001326e")},
      {"full", from_hex("44000040104f00027400000001326e")},
      {"full", from_hex("43000000000001553db00000000001553de0000303feb4da53d0")},
      {"truncate", from_hex("420000000001555810000303feb4e0b218000002e0")},
      {"truncate",
       from_hex("520000400173686f700070726f647563740064000301736b750000000019ffffffff00760000000017ffffffff006269"
                "670000000019ffffffff")},
      {"truncate",
       from_hex("520000400873686f70006f7264657273006900040169640000000014ffffffff016275636b65740000000017ffffffff"
                "01637573746f6d65725f69640000000014ffffffff006e6f74650000000019ffffffff")},
      {"truncate", from_hex("5400000002030000400100004008")},
      {"truncate", from_hex("430000000000015558100000000001555b08000303feb4e0b218")},
      {"message_tx", from_hex("420000000001555b60000303feb4e70f25000002e1")},
      {"message_tx",
       from_hex("4d010000000001555b6063616368652e696e76616c000000001770726f647563743a7b617d0a70726f647563743a7b62"
                "7d")},
      {"message_tx", from_hex("43000000000001555b600000000001555b90000303feb4e70f25")},
      {"message_nontx", from_hex("4d000000000001555bd8746964656d61726b2e7469636b000000000178")},
      {"typed", from_hex("420000000001555cb8000303feb4f3634b000002e2")},
      {"typed", from_hex("590000401673686f70006d6f6f6400")},
      {"typed", from_hex("520000401b73686f70007479706564006400020169640000000017ffffffff006d0000004016ffffffff")},
      {"typed", from_hex("490000401b4e0002740000000131740000000179")},
      {"typed", from_hex("43000000000001555cb80000000001555ce8000303feb4f3634b")},
      {"origin", from_hex("420000000001556040000303feb4f98727000002e4")},
      {"origin", from_hex("4f00000000000000006d765f3100")},
      {"origin",
       from_hex("520000400173686f700070726f647563740064000301736b750000000019ffffffff00760000000017ffffffff006269"
                "670000000019ffffffff")},
      {"origin", from_hex("49000040014e000374000000016f7400000001316e")},
      {"origin", from_hex("430000000000015560400000000001556088000303feb4f98727")},
  };
  return messages;
}

}  // namespace tidemark::replication
