#include "replication/wal/worker_feed.h"

#include <gtest/gtest.h>

#include <algorithm>

#include <random>
#include <set>

#include "base/parse.h"

namespace tidemark::replication {
namespace {

Instant at(int64_t ms) {
  return Instant(std::chrono::milliseconds(ms));
}

Commit commit(uint64_t lsn, std::string key) {
  return {.xid = lsn, .end_lsn = {lsn}, .commit_us = 1, .invalidates_all = false, .keys = {{key, slot_of_key(key)}}};
}

// A node's side of the protocol, as PROTOCOL.md states it, that remembers what it was told to invalidate.
struct ModelNode {
  bool is_joined = false;
  DbEpoch epoch = 0;
  uint64_t complete_through = 0;
  uint64_t stamp = 1000;
  uint32_t parts_open = 0;                 // the next part of a batch under way
  std::vector<uint64_t> applied{};         // end_lsn of every transaction received
  std::set<std::string> keys{};            // every key received
  std::vector<uint64_t> revalidated_at{};  // FENCEALL positions
  std::vector<uint64_t> succeeded_at{};    // EPOCH positions

  static std::vector<std::string> words_of(const std::string& request) {
    ReplyParser parser;
    parser.feed(request);
    auto value = parser.next();
    std::vector<std::string> words;
    for (auto& element : (*value)->elements) words.push_back(element.text);
    return words;
  }
  FeedReply ok() { return FeedOk{{complete_through}, ++stamp}; }

  FeedReply handle(const std::string& request) {
    auto words = words_of(request);
    if (words[0] == "TIDE") return FeedTide{is_joined, epoch, {complete_through}};
    auto e = static_cast<DbEpoch>(*parse_u64(words[2]));
    if (words[0] == "FENCEALL") {
      if (e < epoch) return FeedEpoch{epoch};
      is_joined = true;
      epoch = e;
      complete_through = Lsn::parse(words[4])->value;
      revalidated_at.push_back(complete_through);
      return ok();
    }
    if (!is_joined) return FeedGap{};
    if (words[0] == "EPOCH") {
      auto prev = static_cast<DbEpoch>(*parse_u64(words[4]));
      uint64_t switched = Lsn::parse(words[5])->value;
      if (e == epoch) return ok();
      if (e < epoch || prev != epoch) return FeedEpoch{epoch};
      if (complete_through < switched) return FeedGap{{complete_through}};
      epoch = e;
      complete_through = switched;
      succeeded_at.push_back(switched);
      return ok();
    }
    if (e != epoch) return FeedEpoch{epoch};
    uint64_t prev = Lsn::parse(words[4])->value, last = Lsn::parse(words[5])->value;
    if (prev > complete_through) return FeedGap{{complete_through}};
    bool advances = true;
    if (words[0] == "INVALB") {
      std::vector<std::string_view> arguments(words.begin() + 1, words.end());
      auto batch = decode_invalb(arguments);
      EXPECT_TRUE(batch.has_value());
      if (batch->part == 0) parts_open = 0;  // a new batch ends an open one
      if (batch->part != parts_open) return parts_open = 0, FeedGap{{complete_through}};
      parts_open = batch->has_more ? batch->part + 1 : 0;
      for (auto& transaction : batch->transactions) {
        applied.push_back(transaction.end_lsn.value);
        keys.insert(transaction.keys.begin(), transaction.keys.end());
      }
      advances = !batch->has_more;
    }
    if (advances) complete_through = std::max(complete_through, last);
    return ok();
  }
};

// A shard's stream of commits with a window and a journal that both begin somewhere.
struct World {
  CommitWindow window{1u << 20};
  std::vector<Commit> journal;
  PgSnapshot snapshot{100, 100, {}};
  WorkerFeed::Shard shard{
      .address = {0, 1, 1}, .position = {}, .journal_begin = {}, .window = &window, .settled = {}, .snapshot = nullptr};
  WorkerFeed feed{WorkerFeed::Options{}};
  ModelNode node;
  int64_t now_ms = 0;

  World() { feed.set_slots(SlotSet().set()); }

  void add(uint64_t lsn, bool unknown_keys = false) {
    Commit c = commit(lsn, "k" + std::to_string(lsn));
    if (unknown_keys) c.invalidates_all = true, c.keys.clear();
    window.push(c);
    journal.push_back(c);
    shard.position = {lsn};
  }
  Result<JournalRecord> read_journal(Lsn from) {
    if (from < shard.journal_begin) return fail(ErrorCode::kNotFound, "too old");
    JournalRecord record{.prev_lsn = from, .lsn = shard.position, .commits = {}};
    for (auto& c : journal) {
      if (c.end_lsn > from) record.commits.push_back(c);
    }
    return record;
  }
  WorkerFeed::Action act() { return feed.take_action(at(now_ms), shard); }
  void reply(const WorkerFeed::Step& step, size_t i, const FeedReply& answer) {
    feed.on_reply(step.id, i, answer, at(now_ms));
  }

  // Runs until nothing is due, with a node that answers everything.
  void settle(int turns = 50) {
    for (int turn = 0; turn < turns; ++turn) {
      auto action = act();
      if (auto* read = std::get_if<WorkerFeed::JournalRead>(&action)) {
        feed.on_journal(read->id, read_journal(read->from), at(now_ms));
      } else if (auto* step = std::get_if<WorkerFeed::Step>(&action)) {
        for (size_t i = 0; i < step->requests.size(); ++i) reply(*step, i, node.handle(step->requests[i]));
      } else {
        now_ms += 50;
      }
    }
  }
  // Every commit is either applied or covered by a later FENCEALL.
  void expect_nothing_missing() {
    uint64_t revalidated = node.revalidated_at.empty() ? 0 : *std::ranges::max_element(node.revalidated_at);
    for (auto& c : journal) {
      uint64_t lsn = c.end_lsn.value;
      if (lsn > node.complete_through || lsn <= revalidated) continue;
      EXPECT_NE(std::ranges::find(node.applied, lsn), node.applied.end()) << "commit " << lsn << " was skipped";
    }
  }
};

uint64_t fencealls(const WorkerFeed& feed, FenceAllReason reason) {
  auto found = feed.counters().fencealls.find(reason);
  return found == feed.counters().fencealls.end() ? 0 : found->second;
}

TEST(WorkerFeed, JoinsANewWorkerAtTheCurrentPositionThenFollows) {
  World world;
  world.add(10);
  world.settle();
  EXPECT_EQ(world.node.revalidated_at, std::vector<uint64_t>{10});
  world.add(20);
  world.add(30);
  world.settle();
  EXPECT_EQ(world.node.applied, (std::vector<uint64_t>{20, 30}));
  EXPECT_EQ(world.node.complete_through, 30u);
  EXPECT_EQ(fencealls(world.feed, FenceAllReason::kJoin), 1u);
}

TEST(WorkerFeed, ContinuesWhereAKnownWorkerIs) {
  World world;
  world.add(10);
  world.add(20);
  world.node = {.is_joined = true, .epoch = 1, .complete_through = 10};
  world.settle();
  EXPECT_TRUE(world.node.revalidated_at.empty());
  EXPECT_EQ(world.node.applied, std::vector<uint64_t>{20});
}

TEST(WorkerFeed, ReplaysOutOfTheJournalWhatTheWindowHasLost) {
  World world;
  for (uint64_t lsn = 10; lsn <= 50; lsn += 10) world.add(lsn);
  world.window.reset({50});
  world.node = {.is_joined = true, .epoch = 1, .complete_through = 20};
  world.settle();
  EXPECT_EQ(world.node.applied, (std::vector<uint64_t>{30, 40, 50}));
  EXPECT_TRUE(world.node.revalidated_at.empty());
}

TEST(WorkerFeed, RevalidatesAWorkerThatIsOlderThanTheJournal) {
  World world;
  world.add(10);
  world.add(20);
  world.shard.journal_begin = {10};
  world.node = {.is_joined = true, .epoch = 1, .complete_through = 5};
  world.settle();
  EXPECT_EQ(world.node.revalidated_at, std::vector<uint64_t>{20});
  EXPECT_EQ(fencealls(world.feed, FenceAllReason::kJournal), 1u);
}

TEST(WorkerFeed, AnotherIncarnationOfTheDatabaseRevalidatesBeforeTheNextBatch) {
  World world;
  world.add(10);
  world.settle();
  world.shard.address.db_epoch = 2;
  world.add(20);
  world.settle();
  EXPECT_EQ(world.node.epoch, 2u);
  EXPECT_EQ(fencealls(world.feed, FenceAllReason::kEpoch), 1u);
  EXPECT_TRUE(world.node.applied.empty());
}

// What the invalidator does when it attaches to a promoted server: its position is the switch.
void promote(World& world, uint64_t switched) {
  world.shard.address.db_epoch = 131072;
  world.shard.succession = Succession{1, {switched}};
  world.shard.position = {switched};
  world.shard.journal_begin = {switched};
  world.window.reset({switched});
  world.journal.clear();
}

TEST(WorkerFeed, APromotionRewindsAWorkerThatHasEverythingUpToTheSwitch) {
  World world;
  world.add(10);
  world.settle();
  world.add(20);
  world.add(30);  // lost: the new primary never had it
  world.settle();
  promote(world, 25);
  world.add(28);  // of the new timeline, below what the worker had
  world.settle();
  EXPECT_EQ(world.node.epoch, 131072u);
  EXPECT_EQ(world.node.succeeded_at, std::vector<uint64_t>{25});
  EXPECT_EQ(world.node.applied, (std::vector<uint64_t>{20, 30, 28}));
  EXPECT_EQ(fencealls(world.feed, FenceAllReason::kEpoch), 0u);
  EXPECT_EQ(world.feed.counters().epochs, 1u);
}

TEST(WorkerFeed, APromotionRevalidatesAWorkerThatHadNotReachedTheSwitch) {
  World world;
  world.add(10);
  world.settle();
  promote(world, 25);  // a commit at 20 was never decoded, perhaps
  world.add(40);
  world.settle();
  EXPECT_TRUE(world.node.succeeded_at.empty());
  EXPECT_EQ(fencealls(world.feed, FenceAllReason::kEpoch), 1u);
  EXPECT_EQ(world.node.epoch, 131072u);
  world.expect_nothing_missing();
}

TEST(WorkerFeed, AWorkerOfAnotherEpochThanThePromotedServersIsRevalidated) {
  World world;
  world.add(10);
  world.settle();
  world.node.epoch = 1;
  promote(world, 5);
  world.shard.succession->prev_epoch = 9;
  world.settle();
  EXPECT_TRUE(world.node.succeeded_at.empty());
  EXPECT_EQ(fencealls(world.feed, FenceAllReason::kEpoch), 1u);
}

TEST(WorkerFeed, AWorkerThatWasAwayDuringThePromotionIsToldWhenItIsBack) {
  World world;
  world.add(10);
  world.settle();
  auto action = world.act();  // a step that gets no answer
  world.now_ms += 50;
  if (std::holds_alternative<std::monostate>(action)) action = world.act();
  world.reply(std::get<WorkerFeed::Step>(action), 0, FeedFailure{"connection lost"});
  promote(world, 10);
  world.now_ms += 2000;
  world.settle();
  EXPECT_EQ(world.node.succeeded_at, std::vector<uint64_t>{10});
  EXPECT_EQ(fencealls(world.feed, FenceAllReason::kEpoch), 0u);
}

TEST(WorkerFeed, AWorkerThatDoesNotKnowEpochIsRevalidated) {
  World world;
  world.add(10);
  world.settle();
  promote(world, 10);
  const auto action = world.act();
  world.reply(std::get<WorkerFeed::Step>(action), 0, FeedFailure{"ERR unknown command 'EPOCH'"});
  world.now_ms += 2000;
  world.settle();
  EXPECT_EQ(fencealls(world.feed, FenceAllReason::kEpoch), 1u);
  EXPECT_EQ(world.node.epoch, 131072u);
}

TEST(WorkerFeed, UnknownKeysRevalidateInsteadOfBeingSkipped) {
  World world;
  world.add(10);
  world.settle();
  world.add(20);
  world.add(30, true);
  world.add(40);
  world.settle();
  EXPECT_EQ(world.node.revalidated_at.back(), 40u);
  EXPECT_EQ(fencealls(world.feed, FenceAllReason::kUnknownKeys), 1u);
}

TEST(WorkerFeed, SlotsItGainsAreRevalidated) {
  World world;
  WorkerFeed feed{WorkerFeed::Options{}};
  feed.set_slots(SlotSet().set(1));
  world.feed = feed;
  world.add(10);
  world.settle();
  world.feed.set_slots(SlotSet().set(2));
  world.settle();
  EXPECT_EQ(fencealls(world.feed, FenceAllReason::kSlots), 1u);
}

TEST(WorkerFeed, SlotsItGainsBeforeItsPositionIsKnownAreRevalidatedToo) {
  World world;
  WorkerFeed feed{WorkerFeed::Options{}};
  feed.set_slots(SlotSet().set(1));
  feed.set_slots(SlotSet().set(2));  // an earlier session may have moved the position without this slot's keys
  world.feed = feed;
  world.node = {.is_joined = true, .epoch = 1, .complete_through = 0};
  world.settle();
  EXPECT_EQ(fencealls(world.feed, FenceAllReason::kSlots), 1u);
}

TEST(WorkerFeed, CommitsOfOtherSlotsCostNoBatchAndAdvanceWithTheFence) {
  World world;
  WorkerFeed feed{WorkerFeed::Options{}};
  feed.set_slots(SlotSet().set((slot_of_key("k20") + 1) % kSlotCount));
  world.feed = feed;
  world.add(10);
  world.settle();
  world.add(20);
  world.settle();
  EXPECT_EQ(world.feed.counters().batches, 0u);
  EXPECT_EQ(world.node.complete_through, 20u);
}

TEST(WorkerFeed, FencesNeverClaimMoreSettledThanTheWorkerHas) {
  World world;
  world.add(10);
  world.settle();
  world.shard.settled = {500};
  world.shard.snapshot = &world.snapshot;
  world.now_ms += 100;
  auto action = world.act();
  auto words = ModelNode::words_of(std::get<WorkerFeed::Step>(action).requests.back());
  EXPECT_EQ(words[0], "FENCE");
  EXPECT_EQ(words[6], "0/A");
}

TEST(WorkerFeed, AWorkerOfANewerEpochIsReportedAndNotTouched) {
  World world;
  world.add(10);
  world.node = {.is_joined = true, .epoch = 9, .complete_through = 10};
  world.settle();
  EXPECT_EQ(world.feed.newer_epoch(), 9u);
  EXPECT_TRUE(world.node.revalidated_at.empty());
}

TEST(WorkerFeed, ARepeatedOrForeignAnswerChangesNothing) {
  World world;
  world.add(10);
  world.settle();
  world.add(20);
  world.now_ms += 100;
  auto action = world.act();
  auto& step = std::get<WorkerFeed::Step>(action);
  ASSERT_EQ(step.requests.size(), 2u);
  FeedReply first = world.node.handle(step.requests[0]);
  world.reply(step, 0, first);
  world.reply(step, 0, first);
  EXPECT_TRUE(world.feed.is_busy()) << "the same answer twice is not two answers";
  world.feed.on_reply(step.id + 1, 1, FeedGap{}, at(0));
  world.feed.on_reply(step.id, 7, FeedGap{}, at(0));
  world.reply(step, 1, world.node.handle(step.requests[1]));
  EXPECT_FALSE(world.feed.is_busy());
  EXPECT_EQ(world.feed.chain_lsn(), Lsn{20});
}

TEST(WorkerFeed, NoPositionPassesAPartThatWasRefused) {
  for (size_t refused = 0; refused < 6; ++refused) {
    World world;
    world.add(10);
    world.settle();
    Commit big{.xid = 20, .end_lsn = {20}, .keys = {}};
    for (int i = 0; i < 10'000; ++i) {
      std::string key = "big" + std::to_string(i);
      big.keys.push_back({key, slot_of_key(key)});
    }
    world.window.push(big);
    world.journal.push_back(big);
    world.shard.position = {20};
    for (size_t sent = 0; sent <= refused;) {
      auto action = world.act();
      auto* step = std::get_if<WorkerFeed::Step>(&action);
      if (step == nullptr) break;
      for (size_t i = 0; i < step->requests.size(); ++i, ++sent) {
        bool is_refused = sent == refused;
        world.reply(*step, i, is_refused ? FeedReply(FeedFailure{"OOM"}) : world.node.handle(step->requests[i]));
      }
    }
    world.settle();
    EXPECT_EQ(world.node.complete_through, 20u);
    EXPECT_EQ(world.node.keys.size(), 10'000u) << "request " << refused << " was refused";
  }
}

// All fates of the first steps: each request is delivered or not, each answer arrives or is lost, the node restarts in
// between or not, answers come in either order. Whatever happened, nothing may be missing at the end.
TEST(WorkerFeed, LosesNothingInAnyOrderOfLossRestartAndReply) {
  for (int fate = 0; fate < 3 * 3 * 3 * 3 * 3; ++fate) {
    for (bool reversed : {false, true}) {
      World world;
      world.add(10);
      world.settle();
      int rest = fate;
      for (uint64_t turn = 0; turn < 5; ++turn) {
        int choice =
            rest % 3;  // 0 all well, 1 the last request is lost, 2 delivered but no answer, node restarts at turn 3
        rest /= 3;
        world.add(20 + 10 * turn);
        world.now_ms += 2000;
        auto action = world.act();
        auto* step = std::get_if<WorkerFeed::Step>(&action);
        if (step == nullptr) continue;
        std::vector<FeedReply> answers;
        for (size_t i = 0; i < step->requests.size(); ++i) {
          bool is_lost = choice == 1 && i + 1 == step->requests.size();
          FeedReply answer = is_lost ? FeedReply(FeedFailure{"lost"}) : world.node.handle(step->requests[i]);
          answers.push_back(choice == 2 ? FeedReply(FeedFailure{"no answer"}) : answer);
        }
        if (choice == 2 && turn == 3) world.node = ModelNode{};
        for (size_t i = 0; i < answers.size(); ++i) {
          size_t index = reversed ? answers.size() - 1 - i : i;
          world.reply(*step, index, answers[index]);
        }
      }
      world.settle();
      world.expect_nothing_missing();
      EXPECT_EQ(world.node.complete_through, 60u) << "fate " << fate;
    }
  }
}

TEST(WorkerFeed, LosesNothingUnderRandomFailures) {
  for (uint32_t seed = 1; seed <= 300; ++seed) {
    std::mt19937 random(seed);
    World world;
    uint64_t lsn = 0;
    for (int turn = 0; turn < 80; ++turn) {
      for (uint32_t i = random() % 3; i > 0; --i) world.add(lsn += 1 + random() % 5, random() % 40 == 0);
      if (random() % 10 == 0) world.window.reset(world.shard.position);
      if (random() % 25 == 0) world.shard.journal_begin = world.shard.position;
      if (random() % 25 == 0) world.node = ModelNode{};
      if (random() % 40 == 0) ++world.shard.address.db_epoch;
      world.now_ms += static_cast<int64_t>(random() % 200);
      auto action = world.act();
      if (auto* read = std::get_if<WorkerFeed::JournalRead>(&action)) {
        world.feed.on_journal(read->id, world.read_journal(read->from), at(world.now_ms));
      }
      if (auto* step = std::get_if<WorkerFeed::Step>(&action)) {
        bool answers = random() % 5 != 0;
        for (size_t i = 0; i < step->requests.size(); ++i) {
          bool is_lost = random() % 8 == 0;  // also an earlier one alone: refused, or sent over another connection
          FeedReply answer = is_lost ? FeedReply(FeedFailure{"lost"}) : world.node.handle(step->requests[i]);
          world.reply(*step, i, answers ? answer : FeedReply(FeedFailure{"no answer"}));
        }
      }
      world.expect_nothing_missing();
      if (::testing::Test::HasFailure()) FAIL() << "seed " << seed << " turn " << turn;
    }
  }
}

}  // namespace
}  // namespace tidemark::replication
