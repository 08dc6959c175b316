// A cache node for tests of clients: real RESP over loopback, GETL/SETV/INVAL/STAGE/DEL/GET/SET on a map, with leases.
//
// STAGE drops and parks until bring_stream(key, stage) tells it what the invalidator's stream would. It accepts every
// fill that holds the current lease unless `verdict` says otherwise; it checks no proof. `script` may answer a request
// first (an empty string: not mine; "-" alone: leave it unanswered). Threads: the io_context's thread.
#pragma once

#include <algorithm>
#include <map>
#include <optional>

#include "base/proof/lsn.h"
#include "base/testing/fake_resp_server.h"
#include "base/wire/resp_writer.h"

namespace tidemark::testing {

class FakeNode {
 public:
  using Request = std::vector<std::string>;

  explicit FakeNode(boost::asio::io_context& context, uint16_t port = 0)
      : server(context, [this](const Request& request) { return answer(request); }, port) {}

  // Requests of one command, without the handshake.
  std::vector<Request> of(std::string_view command) const {
    std::vector<Request> found;
    for (const Request& request : server.requests()) {
      if (request[0] == command) found.push_back(request);
    }
    return found;
  }

  struct Parked {
    std::string stage;
    std::optional<std::string> value;  // nullopt: the row is gone
  };
  // The stream brought the commit with this stage as the key's last event ("": with something else as the last).
  void bring_stream(const std::string& key, const std::string& stage) {
    entries.erase(key);
    leases.erase(key);
    auto found = parked.find(key);
    if (found == parked.end()) return;
    if (found->second.stage == stage) entries[key] = found->second.value;
    parked.erase(found);
  }

  std::map<std::string, std::optional<std::string>> entries;  // nullopt: proven absent
  std::map<std::string, Parked> parked;
  std::map<std::string, std::string> leases;
  int64_t bound_ms = 5;
  std::string need = "0/0";
  bool is_visible_soon = false;
  // What entries contain (GETL AFTER), what is in none, what every snapshot of the primary sees.
  int64_t db_epoch = 7;
  std::string complete_through = "0/100";
  std::string hi = "0/180";
  std::string settled = "0/0";
  std::string verdict;  // of SETV: "-REJECT OLDER 0/10 …"; empty: by the lease
  std::function<std::string(const Request&)> script;
  FakeRespServer server;

 private:
  std::string answer(const Request& request) {
    if (script) {
      std::string scripted = script(request);
      if (scripted == "-") return "";
      if (!scripted.empty()) return scripted;
    }
    std::string out;
    RespWriter writer(out, 3);
    const std::string& command = request[0];
    if (command == "GETL") {
      getl(request, writer);
    } else if (command == "SETV") {
      setv(request, writer);
    } else if (command == "INVAL" || command == "DEL") {
      int64_t dropped = 0;
      for (size_t i = command == "DEL" ? 1 : 5; i < request.size(); ++i) {
        dropped += static_cast<int64_t>(entries.erase(request[i]));
        leases.erase(request[i]);
      }
      writer.integer(dropped);
    } else if (command == "STAGE") {
      const bool is_gone = request.back() == "NEG" && request.size() > 8;
      entries.erase(request[6]);
      leases.erase(request[6]);
      parked[request[6]] = {request[5], is_gone ? std::nullopt : std::optional(request[7])};
      writer.simple("STAGED");
    } else if (command == "TIDE") {
      writer.array(1);
      writer.array(6);
      writer.integer(0);
      writer.integer(db_epoch);
      for (const std::string* lsn : {&complete_through, &settled}) writer.bulk(*lsn);
      writer.bulk("0/0");
      writer.integer(bound_ms);
    } else if (command == "GET") {
      auto found = entries.find(request[1]);
      found == entries.end() || !found->second ? writer.null() : writer.bulk(*found->second);
    } else if (command == "SET") {
      entries[request[1]] = request[2];
      writer.ok();
    } else {
      writer.error("ERR unknown command");
    }
    return out;
  }

  static size_t option_at(const Request& request, std::string_view name) {
    return static_cast<size_t>(std::find(request.begin() + 2, request.end(), name) - request.begin()) + 1;
  }

  void getl(const Request& request, RespWriter& writer) {
    const std::string& key = request[1];
    const size_t max_stale = option_at(request, "MAXSTALE");
    const size_t after = option_at(request, "AFTER");
    const int64_t max_stale_ms = max_stale < request.size() ? std::stoll(request[max_stale]) : INT64_MAX;
    auto found = entries.find(key);
    if (after < request.size()) {
      if (request[after] != std::to_string(db_epoch)) {
        writer.array(3);
        writer.bulk("BYPASS");
        writer.bulk("EPOCH");
        writer.integer(bound_ms);
        return;
      }
      if (*Lsn::parse(complete_through) < *Lsn::parse(request[after + 1])) found = entries.end();
    }
    if (found != entries.end() && bound_ms > max_stale_ms) {
      writer.array(3);
      writer.bulk("BYPASS");
      writer.bulk("BEHIND");
      writer.integer(bound_ms);
      return;
    }
    if (found != entries.end()) {
      writer.array(found->second ? 6 : 5);
      writer.bulk(found->second ? "HIT" : "ABSENT");
      if (found->second) writer.bulk(*found->second);
      writer.integer(bound_ms);
      writer.bulk("0/100");
      writer.bulk(hi);
      writer.integer(db_epoch);
    } else if (leases.contains(key)) {
      writer.array(2);
      writer.bulk("BUSY");
      writer.integer(1);
    } else {
      leases[key] = "lease" + std::to_string(++last_lease_);
      writer.array(5);
      writer.bulk("MISS");
      writer.bulk(leases[key]);
      writer.bulk(need);
      writer.integer(is_visible_soon ? 1 : 0);
      writer.bulk(settled);
    }
  }

  void setv(const Request& request, RespWriter& writer) {
    auto lease = leases.find(request[1]);
    const bool is_current = lease != leases.end() && lease->second == request[2];
    if (is_current) leases.erase(lease);
    if (!verdict.empty()) {
      writer.buffer() += verdict + "\r\n";
    } else if (!is_current) {
      writer.error("REJECT LEASE not the current one");
    } else {
      const bool is_absent = std::find(request.begin(), request.end(), "NEG") != request.end();
      entries[request[1]] = is_absent ? std::nullopt : std::optional(request[4]);
      writer.ok();
    }
  }

  int last_lease_ = 0;
};

}  // namespace tidemark::testing
