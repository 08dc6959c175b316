// Every order of a small world: does a session's next answer ever lack what it has written or read?
//
// Two commits on what is read, the second one the session's own. A commit becomes visible on the primary some time
// after its record was written, in any order (synchronous replication, ProcArray); the replica replays the log in
// order, whatever the primary shows; the node applies invalidations in order, keeps one entry, learns `settled`. The
// session's reads may share loads that others began before or after, and the primary's proof may be older than its
// rows. The real SessionToken and judge_for_session decide; a mutant of each ingredient must be caught.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_set>

#include "base/hash.h"
#include "client/strategy/session_demand.h"

namespace tidemark::client {
namespace {

constexpr int kCommits = 2;
constexpr int kOwn = 2;  // commits are numbered from 1, and so are positions: position 2 holds commits 1 and 2

using Mask = uint8_t;
Mask prefix(int position) {
  return static_cast<Mask>((1 << position) - 1);
}

struct Load {
  bool is_there = false;
  bool is_primary = false;
  Mask content = 0;
  uint8_t contains = 0, hi = 0;
  bool is_complete = false;       // every commit written when it was counted is in it
  bool is_sent_after = false;     // after the session's operation began
  bool is_counted_after = false;  // and so was the next xid read
  bool operator==(const Load&) const = default;
};

struct World {
  uint8_t written = 0, replayed = 0, applied = 0, settled = 0;
  Mask visible = 0;
  bool has_entry = false;
  Mask entry = 0;
  uint8_t lo = 0, hi = 0;
  uint8_t own = 0, read = 0;  // the session's token
  Mask required = 0;          // what it has written and read
  bool is_own_known = false;
  bool is_reading = false;
  uint8_t wanted_own = 0, wanted_read = 0;  // the token when the operation began
  int8_t counted = -1;                      // records written when the next xid was read; -1: it was not
  bool is_counted_after = false;
  Load load;
  bool operator==(const World&) const = default;
};

struct WorldHash {
  static_assert(std::has_unique_object_representations_v<World>);
  size_t operator()(const World& world) const {
    return hash64(std::string_view(reinterpret_cast<const char*>(&world), sizeof(world)));
  }
};

int visible_prefix(const World& world) {
  int position = 0;
  while (position < world.written && (world.visible >> position & 1) != 0) ++position;
  return position;
}

struct Rules {
  std::function<SessionVerdict(const SessionDemand&, const AnswerClaims&)> judge = judge_for_session;
  bool absorbs_lo = false;
};

class Explorer {
 public:
  explicit Explorer(Rules rules) : rules_(std::move(rules)) {}

  // The violation, empty if there is none.
  std::string explore() {
    add(World{});
    while (!todo_.empty() && violation_.empty()) {
      const World world = todo_.front();
      todo_.pop_front();
      database_steps(world);
      node_steps(world);
      load_steps(world);
      session_steps(world);
    }
    return violation_;
  }
  size_t states() const { return seen_.size(); }
  size_t answers() const { return answers_; }

 private:
  void add(const World& world) {
    if (seen_.insert(world).second) todo_.push_back(world);
  }

  void database_steps(const World& world) {
    if (world.written < kCommits) {
      World next = world;
      ++next.written;
      add(next);
    }
    for (int commit = 0; commit < world.written; ++commit) {
      if ((world.visible >> commit & 1) != 0) continue;
      World next = world;
      next.visible = static_cast<Mask>(next.visible | 1 << commit);
      add(next);
    }
    if (world.replayed < world.written) {
      World next = world;
      ++next.replayed;
      add(next);
    }
    const bool can_be_acknowledged = !world.is_own_known && (world.visible >> (kOwn - 1) & 1) != 0;
    if (can_be_acknowledged && !world.is_reading) {
      World next = world;
      next.is_own_known = true;
      next.required = static_cast<Mask>(next.required | 1 << (kOwn - 1));
      next.own = std::max(next.own, next.written);  // the insert LSN after the commit
      add(next);
    }
  }

  void node_steps(const World& world) {
    if (world.applied < world.written) {
      World next = world;
      const int commit = next.applied++;
      if (next.has_entry && (next.entry >> commit & 1) == 0) drop_entry(next);
      add(next);
    }
    if (world.settled < visible_prefix(world)) {
      World next = world;
      next.settled = static_cast<uint8_t>(visible_prefix(world));
      add(next);
    }
    fill(world, prefix(world.replayed), world.replayed);
    fill(world, world.visible, world.settled);
  }
  static void drop_entry(World& world) {
    world.has_entry = false;
    world.entry = world.lo = world.hi = 0;
  }
  void fill(const World& world, Mask content, uint8_t lo) {
    const bool is_accepted = (content & prefix(world.applied)) == prefix(world.applied);
    if (!is_accepted || (world.has_entry && world.lo > lo)) return;
    World next = world;
    next.has_entry = true;
    next.entry = content;
    next.lo = lo;
    next.hi = world.written;
    add(next);
  }

  // Loads of anybody's; each takes its rows when it is sent and ends any time later.
  void load_steps(const World& world) {
    if (world.counted < 0) {
      World next = world;
      next.counted = static_cast<int8_t>(world.written);
      next.is_counted_after = world.is_reading;
      add(next);
    } else if (!world.load.is_there) {
      World next = world;
      forget_load(next);
      add(next);
    }
    if (world.load.is_there) {
      World next = world;
      forget_load(next);
      add(next);
      return;
    }
    World next = world;
    next.load = {.is_there = true,
                 .is_primary = false,
                 .content = prefix(world.replayed),
                 .contains = world.replayed,
                 .hi = world.written,
                 .is_sent_after = world.is_reading};
    add(next);
    for (uint8_t known_settled : {uint8_t{0}, world.settled}) {
      next.load = {.is_there = true,
                   .is_primary = true,
                   .content = world.visible,
                   .contains = known_settled,
                   .hi = world.written,
                   .is_sent_after = world.is_reading};
      add(next);
      if (world.counted < 0 || (world.visible & prefix(world.counted)) != prefix(world.counted)) continue;
      next.load.is_complete = true;
      next.load.is_counted_after = world.is_counted_after;
      add(next);
    }
  }
  static void forget_load(World& world) {
    world.load = {};
    world.counted = -1;
    world.is_counted_after = false;
  }

  void session_steps(const World& world) {
    if (!world.is_reading) {
      World next = world;
      next.is_reading = true;
      next.wanted_own = world.own;
      next.wanted_read = world.read;
      next.load.is_sent_after = next.load.is_counted_after = next.is_counted_after = false;
      add(next);
      return;
    }
    const SessionDemand demand = demand_of(token_of(world.wanted_own, world.wanted_read), 1, 10);
    if (world.has_entry) {
      const auto needed = static_cast<uint8_t>(demand.position.needed().value);
      AnswerClaims hit;
      hit.shard = 1;
      hit.db_epoch = 1;
      hit.hi = Lsn{world.hi};
      hit.contains = Lsn{world.lo};  // somebody else's hit
      take(world, demand, hit, world.entry, world.lo);
      if (std::max(world.applied, world.lo) >= needed) {  // a hit of GETL AFTER
        hit.contains = std::max(hit.contains, Lsn{needed});
        take(world, demand, hit, world.entry, world.lo);
      }
    }
    if (!world.load.is_there) return;
    const Load& load = world.load;
    AnswerClaims rows;
    rows.source = load.is_primary ? AnswerClaims::Source::kPrimary : AnswerClaims::Source::kReplica;
    rows.shard = 1;
    rows.db_epoch = 1;
    rows.contains = Lsn{load.contains};
    rows.hi = Lsn{load.hi};
    rows.sent = load.is_sent_after ? 11 : 9;
    if (load.is_complete) rows.complete_at = load.is_counted_after ? 11 : 9;
    take(world, demand, rows, load.content, load.contains);
  }

  static SessionToken token_of(uint8_t own, uint8_t read) {
    SessionToken token;
    token.absorb_read(1, 1, Lsn{own}, true);
    token.absorb_read(1, 1, Lsn{read}, false);
    return token;
  }

  void take(const World& world, const SessionDemand& demand, const AnswerClaims& claims, Mask content, uint8_t lo) {
    if (rules_.judge(demand, claims) != SessionVerdict::kYes) return;
    ++answers_;
    if ((world.required & ~content) != 0 && violation_.empty()) {
      violation_ = "an answer with commits " + std::to_string(content) + " (source " +
                   std::to_string(static_cast<int>(claims.source)) + ") for a session that has " +
                   std::to_string(world.required);
    }
    World next = world;
    next.is_reading = false;
    next.wanted_own = next.wanted_read = 0;
    next.required = static_cast<Mask>(next.required | content);
    SessionToken token = token_of(world.own, world.read);
    token.absorb_read(1, 1, rules_.absorbs_lo ? Lsn{lo} : *claims.hi, claims.is_primary());
    if (claims.is_primary()) token.absorb_proven(1, 1, demand.position.read);
    if (auto position = token.find(1)) {
      next.own = static_cast<uint8_t>(position->own.value);
      next.read = static_cast<uint8_t>(position->read.value);
    }
    next.load = {};
    add(next);
  }

  Rules rules_;
  std::unordered_set<World, WorldHash> seen_;
  std::deque<World> todo_;
  std::string violation_;
  size_t answers_ = 0;
};

TEST(SessionInterleavings, NoOrderGoesBackwardsOrHidesAnOwnWrite) {
  Explorer explorer({});
  EXPECT_EQ(explorer.explore(), "");
  EXPECT_GT(explorer.states(), 10'000u);
  RecordProperty("states", static_cast<int>(explorer.states()));
  printf("%zu states, %zu answers\n", explorer.states(), explorer.answers());
}

// Each ingredient left out alone is found.
std::string explore_mutant(std::function<void(SessionDemand&, AnswerClaims&)> change) {
  Explorer explorer({.judge = [change = std::move(change)](SessionDemand demand, AnswerClaims claims) {
    change(demand, claims);
    return judge_for_session(demand, claims);
  }});
  return explorer.explore();
}

TEST(SessionInterleavings, TrustingThePrimaryWithWhatWasReadElsewhereIsFound) {
  EXPECT_NE(explore_mutant([](SessionDemand& demand, AnswerClaims& claims) {
              if (claims.is_primary()) demand.position.read = {};
            }),
            "");
}

TEST(SessionInterleavings, TakingAGreaterOwnPositionForAProofIsFound) {
  EXPECT_NE(explore_mutant([](SessionDemand& demand, AnswerClaims& claims) {
              if (claims.is_primary() && demand.position.read <= demand.position.own) demand.position.read = {};
            }),
            "");
}

TEST(SessionInterleavings, JoiningALoadThatWasSentBeforeIsFound) {
  EXPECT_NE(explore_mutant([](SessionDemand&, AnswerClaims& claims) { claims.sent = 11; }), "");
}

TEST(SessionInterleavings, AProofFromBeforeTheSessionsReadIsFound) {
  EXPECT_NE(explore_mutant([](SessionDemand&, AnswerClaims& claims) {
              if (claims.complete_at != 0) claims.complete_at = 11;
            }),
            "");
}

TEST(SessionInterleavings, AReplicaThatIsOnlyAskedForOwnWritesIsFound) {
  EXPECT_NE(explore_mutant([](SessionDemand& demand, AnswerClaims& claims) {
              if (!claims.is_primary()) demand.position.read = {};
            }),
            "");
}

TEST(SessionInterleavings, AReplicaThatIsNotAskedForOwnWritesIsFound) {
  EXPECT_NE(explore_mutant([](SessionDemand& demand, AnswerClaims& claims) {
              if (!claims.is_primary()) demand.position.own = {};
            }),
            "");
}

TEST(SessionInterleavings, AbsorbingWhatAnAnswerContainsInsteadOfWhatItMayContainIsFound) {
  Explorer explorer({.absorbs_lo = true});
  EXPECT_NE(explorer.explore(), "");
}

}  // namespace
}  // namespace tidemark::client
